"""Writes a simulated cohort to disk once: seeded, in parallel, safe against crashes and concurrent callers."""

import hashlib
import json
import logging
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from neurofocus.errors import CohortError
from neurofocus.files import write_json
from neurofocus.processes import require_main_guard, run_in_workers
from neurofocus.schema.cohort import CohortSpec, SimulationConfig
from neurofocus.simulate import bids
from neurofocus.simulate.bayes import bayes_ceiling, compute_ceiling
from neurofocus.simulate.severity import Subject, draw_subject
from neurofocus.simulate.studio import build_studio, load_studio, save_studio
from neurofocus.simulate.subject import render, scan_grid
from neurofocus.simulate.truth import write_change_region

__all__ = ["GENERATOR_VERSION", "bayes_ceiling", "cohort_folder", "ensure_simulated"]

_LOGGER = logging.getLogger("neurofocus.simulate")
GENERATOR_VERSION = "2"  # part of the folder's name: raise it whenever the images change
_JOBS = 2


@dataclass(frozen=True)
class _Site:
    """Where a cohort is built: ``staging`` becomes the data set, ``work`` remembers what is finished."""

    staging: Path
    work: Path

    @property
    def studio(self) -> Path:
        return self.work / "studio.npz"

    def note(self, subject: Subject) -> Path:
        return self.work / f"{subject.participant_id}.json"


def cohort_folder(spec: CohortSpec, cache: Path) -> Path:
    """Return where a simulated cohort lives: one folder for each distinct setting and generator version.

    Raises:
        CohortError: if the cohort is not a simulated one.
    """
    if spec.simulation is None:
        raise CohortError(f"cohort {spec.name!r} has no 'simulation' settings; give its folder with --data")
    settings = {
        "version": GENERATOR_VERSION,
        "spec": spec.model_dump(mode="json", include={"simulation", "title"}),
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return cache / "simulated" / f"{spec.name}-{digest[:12]}"


def ensure_simulated(spec: CohortSpec, cache: Path, *, jobs: int = _JOBS) -> Path:
    """Return the folder of a simulated cohort as a BIDS data set, generating it at the first call.

    The folder appears whole or not at all. An interrupted call leaves finished subjects in a hidden folder
    beside it, and the next call continues there; a second caller waits for the first.

    Args:
        spec: a cohort with ``simulation`` settings.
        cache: folder that keeps generated cohorts.
        jobs: processes.

    Raises:
        CohortError: if the cohort is not a simulated one, or a worker process was killed.
        NeurofocusError: if the disk is full or not writable.
    """
    root = cohort_folder(spec, cache)
    if root.exists():
        return root
    require_main_guard("simulates a cohort")
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f".{root.name}.lock"):
        if not root.exists():
            _build(spec, root, jobs)
    return root


def _build(spec: CohortSpec, root: Path, jobs: int) -> None:
    """Make ``root`` appear; whatever an earlier call finished is kept."""
    config = spec.simulation
    if config is None:
        raise ValueError("cohort_folder refuses cohorts without simulation settings")
    site = _Site(root.parent / f".{root.name}.building", root.parent / f".{root.name}.work")
    for partial in site.staging.rglob(".*.nf-partial.*"):
        partial.unlink(missing_ok=True)
    subjects = [draw_subject(config, index) for index in range(config.subjects)]
    missing = [subject.index for subject in subjects if not site.note(subject).exists()]
    if missing:
        _LOGGER.info("simulating %d SYNTHETIC scans of cohort %s into %s", len(missing), spec.name, root)
        save_studio(build_studio(), site.studio)
        _render_all(config, site, missing, jobs)
    measured = [json.loads(site.note(subject).read_text(encoding="utf-8")) for subject in subjects]
    write_change_region(site.staging, subjects)
    bids.write_descriptions(site.staging, spec, subjects, measured)
    write_json(site.staging / "truth" / "bayes.json", compute_ceiling(config, subjects))
    site.studio.unlink(missing_ok=True)
    site.staging.rename(root)
    shutil.rmtree(site.work)


def _render_all(config: SimulationConfig, site: _Site, indices: list[int], jobs: int) -> None:
    from tqdm import tqdm

    killed = (
        f"{site.staging}: a worker process ended abruptly; if it said nothing above, memory was most likely "
        f"short (each needs about 0.6 GB). Run the same command again: finished scans are kept"
    )
    calls = [(config, site, index) for index in indices]
    finished = run_in_workers(_simulate_one, calls, jobs=jobs, killed=killed)
    quiet = not sys.stderr.isatty()
    for _ in tqdm(finished, total=len(indices), desc="simulating (SYNTHETIC)", unit="scan", disable=quiet):
        pass


def _simulate_one(config: SimulationConfig, site: _Site, index: int) -> None:
    """Write one subject's files, then the note that says they are there."""
    studio = load_studio(site.studio)
    subject = draw_subject(config, index)
    rendering = render(config, subject, studio)
    grid = scan_grid(studio.anatomy, config.voxel_mm)
    bids.write_scan(site.staging, subject, rendering.stored, grid)
    if rendering.change is not None:
        bids.write_change(site.staging, subject, rendering.change, grid)
    measured = {
        "region_changes": rendering.region_changes,
        "smallest_jacobian": rendering.smallest_jacobian,
    }
    write_json(site.note(subject), measured)
