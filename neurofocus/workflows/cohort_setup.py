"""What a cross-validation stands on: the cohort's table, its folds, its leak checks, its prepared scans."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Never

import pandas as pd
from tqdm import tqdm

from neurofocus.data.folds import Folds, load_folds, make_folds
from neurofocus.data.frames import FrameGrid, frame_grid
from neurofocus.data.preprocess import PreparedCase
from neurofocus.errors import CohortError
from neurofocus.files import cache_dir, mendable
from neurofocus.ingest.checks import refuse_leaks, voxel_hashes
from neurofocus.ingest.flow import CohortTable
from neurofocus.ingest.load import load_cohort
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.run import RunConfig
from neurofocus.simulate.cohort import ensure_simulated
from neurofocus.tables import write_tsv

__all__ = ["CohortSetup", "find_data", "prepare_scans", "says_synthetic", "set_up_cohort"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class CohortSetup:
    """A cohort that passed its checks.

    Attributes:
        spec: the cohort's definition.
        root: the cohort's folder.
        cohort: its table (one row a scan), inclusion flow and warnings.
        folds: who trains, validates and is tested in each fold; already on disk.
    """

    spec: CohortSpec
    root: Path
    cohort: CohortTable
    folds: Folds

    @property
    def synthetic(self) -> bool:
        """Whether the scans were simulated: the definition says so, or the data set itself."""
        return self.spec.synthetic or says_synthetic(self.root)

    @property
    def table(self) -> pd.DataFrame:
        """One row a scan."""
        return self.cohort.table


def find_data(spec: CohortSpec, data: Path | None) -> Path:
    """Return the cohort's folder; a simulated one is generated at the first call.

    Raises:
        CohortError: a real cohort without ``--data``, or a folder that is not there.
    """
    if data is None:
        if spec.simulation is None:
            raise CohortError(f"cohort {spec.name!r}: no data folder; give it with --data DIR")
        with mendable(cache_dir()):
            return ensure_simulated(spec, cache_dir())
    if not data.is_dir():
        raise CohortError(f"--data {data}: no such folder; give the folder that holds the cohort")
    return data


def set_up_cohort(spec: CohortSpec, root: Path, config: RunConfig, out: Path) -> CohortSetup:
    """Read the cohort, draw and save its folds (or read those of an interrupted run), refuse every leak.

    Raises:
        CohortError: unreadable tables, too few subjects, a leak, or a cohort that changed since the run began.
    """
    cohort = load_cohort(spec, root)
    path = out / "folds.tsv"
    if path.exists():
        folds = load_folds(path, cohort.table)
    else:
        folds = make_folds(cohort.table, config.data.folds, config.data.validation_fraction, config.seed)
    refuse_leaks(cohort.table, folds.frame, voxel_hashes(cohort.table["path"], config.data.prepare_jobs))
    # Names of folders can name people, so the table in the run folder says where a scan lies below the root only.
    shown = cohort.table.assign(path=[_below(Path(name), root) for name in cohort.table["path"]])
    write_tsv(out / "cohort.tsv", shown)
    folds.save(path)
    for warning in cohort.warnings:
        _LOG.warning("%s", warning)
    return CohortSetup(spec, root, cohort, folds)


def prepare_scans(setup: CohortSetup, config: RunConfig) -> tuple[list[PreparedCase], FrameGrid]:
    """Prepare every scan of the cohort through the cache, several at a time.

    Raises:
        CohortError: naming every scan that cannot be prepared; what is prepared stays in the cache.
    """
    from neurofocus.data.prepare_cohort import (
        prepare_cohort,  # brings MONAI: seconds that others need not wait
    )

    grid = frame_grid(config.prepare, config.model.frame_size)
    bar = tqdm(total=len(setup.table), desc="preparing scans", unit="scan", disable=None)
    with bar, mendable(cache_dir()):
        prepared = prepare_cohort(
            setup.table,
            config.prepare,
            grid=grid,
            cache_folder=cache_dir() / "prepared",
            jobs=config.data.prepare_jobs,
            progress=_advance(bar),
        )
    if prepared.failures:
        reasons = "; ".join(f"{who}: {why}" for who, why in prepared.failures[:5])
        more = f"; and {len(prepared.failures) - 5} more" if len(prepared.failures) > 5 else ""
        raise CohortError(
            f"{len(prepared.failures)} of {len(setup.table)} scans cannot be prepared ({reasons}{more}); "
            "mend them or remove their rows, then run the same command again: the others are kept"
        )
    return prepared.cases, grid


def says_synthetic(root: Path) -> bool:
    """Return whether the name in a BIDS data set's description says SYNTHETIC, as ours do."""
    try:
        description = json.loads((root / "dataset_description.json").read_text(encoding="utf-8"))
        return "SYNTHETIC" in str(description["Name"])
    except (OSError, ValueError, KeyError, TypeError):  # the file is optional for reading
        return False


def _advance(bar: "tqdm[Never]") -> Callable[[int, int], None]:
    def update(done: int, total: int) -> None:
        bar.update(done - bar.n)

    return update


def _below(path: Path, root: Path) -> str:
    try:
        return path.relative_to(root.absolute()).as_posix()
    except ValueError:
        return path.name
