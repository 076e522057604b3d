"""Writes a simulated cohort to disk once: seeded, in parallel, safe against crashes and concurrent callers."""

import functools
import hashlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import current_process, get_context, parent_process
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from neurofocus.errors import CohortError
from neurofocus.files import atomic_write, write_json
from neurofocus.schema.cohort import CohortSpec, SimulationConfig
from neurofocus.simulate import bids
from neurofocus.simulate.anatomy import Anatomy, load_anatomy
from neurofocus.simulate.atrophy import Atrophy, build_atrophy
from neurofocus.simulate.bayes import bayes_ceiling, compute_ceiling
from neurofocus.simulate.grid import Floats, Grid
from neurofocus.simulate.severity import Subject, draw_subject
from neurofocus.simulate.subject import Studio, render, scan_grid

__all__ = ["GENERATOR_VERSION", "bayes_ceiling", "cohort_folder", "ensure_simulated"]

GENERATOR_VERSION = "1"  # part of the folder's name: raise it whenever the images change
_JOBS = 2
_SHARE_OF_CHANGE = 0.70
_LARGEST_SHARE_OF_BRAIN = 0.10


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
        CohortError: if the cohort is not a simulated one.
        NeurofocusError: if the disk is full or not writable.
    """
    root = cohort_folder(spec, cache)
    if root.exists():
        return root
    # A spawned worker first imports the caller's script. Without a main guard it would come here and wait for ever
    # for the lock that its own parent holds; multiprocessing marks this phase in the same way for itself.
    if getattr(current_process(), "_inheriting", False):
        raise RuntimeError("put the code that simulates a cohort under: if __name__ == '__main__':")
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f".{root.name}.lock"):
        if not root.exists():
            staging = root.parent / f".{root.name}.building"
            _build(spec, staging, jobs)
            staging.rename(root)
    return root


def _build(spec: CohortSpec, staging: Path, jobs: int) -> None:
    """Fill ``staging``; whatever an earlier call finished is kept."""
    config = spec.simulation
    if config is None:
        raise ValueError("cohort_folder refuses cohorts without simulation settings")
    notes = staging / "work"
    for partial in staging.rglob(".*.nf-partial.*"):
        partial.unlink(missing_ok=True)
    subjects = [draw_subject(config, index) for index in range(config.subjects)]
    missing = [s.index for s in subjects if not _note(notes, s).exists()]
    if missing:
        studio = notes / "studio.npz"
        _save_studio(studio)
        _render_all(config, staging, missing, jobs)
    measured = [json.loads(_note(notes, subject).read_text(encoding="utf-8")) for subject in subjects]
    _write_region(staging, spec, subjects)
    bids.write_descriptions(staging, spec, subjects, measured, GENERATOR_VERSION)
    write_json(staging / "truth" / "bayes.json", compute_ceiling(config, subjects))
    shutil.rmtree(notes)


def _render_all(config: SimulationConfig, staging: Path, indices: list[int], jobs: int) -> None:
    from tqdm import tqdm

    finished = (
        _in_processes(config, staging, indices, jobs)
        if _can_spawn(jobs)
        else _in_turn(config, staging, indices)
    )
    quiet = not sys.stderr.isatty()
    for _ in tqdm(finished, total=len(indices), desc="simulating (SYNTHETIC)", unit="scan", disable=quiet):
        pass


def _in_turn(config: SimulationConfig, staging: Path, indices: list[int]) -> Iterator[None]:
    for index in indices:
        _simulate_one(config, staging, index)
        yield


def _in_processes(config: SimulationConfig, staging: Path, indices: list[int], jobs: int) -> Iterator[None]:
    # Spawned, not forked: the caller may hold threads of torch, and a fork would copy their locks.
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
        futures = [pool.submit(_simulate_one, config, staging, index) for index in indices]
        try:
            for future in as_completed(futures):
                future.result()
                yield
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _can_spawn(jobs: int) -> bool:
    """Return whether worker processes can start: they import the main script, which standard input is not."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return jobs > 1 and (main is None or Path(main).exists())


def _end_with_parent() -> None:
    """Make a worker end when its parent is killed; without this it would wait for work for ever."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _simulate_one(config: SimulationConfig, staging: Path, index: int) -> None:
    """Write one subject's files, then the note that says they are there."""
    studio = _load_studio(staging / "work" / "studio.npz")
    subject = draw_subject(config, index)
    rendering = render(config, subject, studio)
    grid = scan_grid(studio.anatomy, config.voxel_mm)
    bids.write_scan(staging, subject, rendering.stored, grid)
    if rendering.change is not None:
        bids.write_change(staging, subject, rendering.change, grid)
    measured = {
        "region_changes": rendering.region_changes,
        "smallest_jacobian": rendering.smallest_jacobian,
    }
    write_json(_note(staging / "work", subject), measured)


def _note(folder: Path, subject: Subject) -> Path:
    return folder / f"{subject.participant_id}.json"


def _write_region(staging: Path, spec: CohortSpec, subjects: list[Subject]) -> None:
    """Write the smallest set of voxels that holds 70 % of the mean change, at most 10 % of the brain."""
    import nibabel

    maps = [staging / bids.change_path(subject) for subject in subjects if subject.diseased]
    images = [nibabel.load(path) for path in maps]
    mean = np.mean([np.asarray(image.dataobj, np.float32) for image in images], axis=0)
    scans = [np.asarray(nibabel.load(staging / bids.scan_path(s)).dataobj) > 0 for s in subjects[:8]]
    brain = np.mean(scans, axis=0) >= 0.5
    ordered = np.sort(np.where(brain, mean, 0.0), axis=None)[::-1]
    reached = np.searchsorted(np.cumsum(ordered), _SHARE_OF_CHANGE * ordered.sum())
    count = min(int(reached) + 1, int(_LARGEST_SHARE_OF_BRAIN * brain.sum()))
    mask = brain & (mean >= ordered[count - 1])
    share = float(mean[mask].sum() / mean[brain].sum())
    text = (
        f"Smallest set of voxels with {share:.0%} of the mean |difference| between the diseased and their healthy "
        f"twins (aim {_SHARE_OF_CHANGE:.0%}, at most {_LARGEST_SHARE_OF_BRAIN:.0%} of the brain); it is "
        f"{mask.sum() / brain.sum():.1%} of the brain."
    )
    affine = images[0].affine
    origin = (float(affine[0, 3]), float(affine[1, 3]), float(affine[2, 3]))
    grid = Grid(shape=mask.shape, origin=origin, spacing=float(affine[0, 0]))
    bids.write_mask(staging, mask, grid, text)


def _save_studio(path: Path) -> None:
    """Write template and disease fields for the workers, so that they are computed once."""
    anatomy = load_anatomy()
    atrophy = build_atrophy(anatomy)
    arrays = {
        "t1": anatomy.t1,
        "gray": anatomy.gray,
        "white": anatomy.white,
        "brain": anatomy.brain,
        "regions": anatomy.regions,
        "temporal": atrophy.temporal,
        "ventricular": atrophy.ventricular,
        "grids": np.array(
            [[*grid.shape, *grid.origin, grid.spacing] for grid in (anatomy.grid, atrophy.grid)]
        ),
    }
    with atomic_write(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


@functools.lru_cache(maxsize=1)
def _load_studio(path: Path) -> Studio:
    with np.load(path, allow_pickle=False) as arrays:
        fields: dict[str, Any] = {name: arrays[name] for name in arrays.files}
    template, region = (_grid(row) for row in fields["grids"])
    tissues: list[Floats] = [fields[name] for name in ("t1", "gray", "white", "brain")]
    anatomy = Anatomy(template, *tissues, region, fields["regions"])
    return Studio(anatomy, Atrophy(region, fields["regions"], fields["temporal"], fields["ventricular"]))


def _grid(row: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Grid:
    a, b, c = (int(n) for n in row[:3])
    x, y, z = (float(v) for v in row[3:6])
    return Grid(shape=(a, b, c), origin=(x, y, z), spacing=float(row[6]))
