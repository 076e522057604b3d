"""What a cross-validation stands on: the cohort's table, its folds, its leak checks, its prepared scans."""

import json
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from neurofocus.data.folds import Folds
from neurofocus.data.frames import FrameGrid, frame_grid
from neurofocus.data.preprocess import PreparedCase
from neurofocus.errors import CohortError
from neurofocus.files import cache_dir, mendable, write_json
from neurofocus.ingest.checks.findings import CheckReport
from neurofocus.ingest.flow import CohortTable
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.run import RunConfig
from neurofocus.simulate.cohort import ensure_simulated
from neurofocus.tables import write_tsv
from neurofocus.workflows.cohort.check import check_table, fingerprint_table
from neurofocus.workflows.cohort.source import CohortSource, read_cohort, saved_or_new_folds
from neurofocus.workflows.progress import scan_progress

__all__ = ["CohortSetup", "find_data", "prepare_scans", "prepare_table", "says_synthetic", "set_up_cohort"]

_LOG = logging.getLogger(__name__)
# LONI IDA: the folder 2006-03-01_08_20_30.0, the file …_Br_20060301082030123_S….nii
_DATE = re.compile(r"(19|20)\d{2}-\d{2}-\d{2}(_\d{2}_\d{2}_\d{2}(\.\d+)?)?|(?<!\d)(19|20)\d{12,15}(?!\d)")
_TABLES = (".tsv", ".csv", ".txt")


@dataclass(frozen=True)
class CohortSetup:
    """A cohort that passed its checks.

    Attributes:
        spec: the cohort's definition.
        root: the cohort's folder.
        cohort: its table (one row a scan), inclusion flow and warnings.
        folds: who trains, validates and is tested in each fold; already on disk.
        checks: what the checks for leaks and confounds found; no leak.
        others: folders of further cohorts that are combined with it.
    """

    spec: CohortSpec
    root: Path
    cohort: CohortTable
    folds: Folds
    checks: CheckReport = field(default_factory=CheckReport)
    others: tuple[Path, ...] = ()

    @property
    def synthetic(self) -> bool:
        """Whether scans were simulated: the definition says so, or a data set itself."""
        return self.spec.synthetic or any(says_synthetic(root) for root in (self.root, *self.others))

    @property
    def table(self) -> pd.DataFrame:
        """One row a scan."""
        return self.cohort.table


def find_data(spec: CohortSpec, data: Path | None) -> Path:
    """Return the cohort's folder, or a table of its scans; a simulated one is generated at the first call.

    Raises:
        CohortError: a real cohort without ``--data``, or a folder or table that is not there.
    """
    if data is None:
        if spec.simulation is None:
            raise CohortError(f"cohort {spec.name!r}: no data folder; give it with --data DIR")
        with mendable(cache_dir()):
            return ensure_simulated(spec, cache_dir())
    is_table = data.suffix.lower() in _TABLES
    if data.is_file() and not is_table:
        raise CohortError(
            f"--data {data}: {data.suffix or 'a file without an ending'} is no table; save it as .csv or .tsv, or give "
            "the folder that holds the cohort"
        )
    if not data.is_dir() and not (is_table and data.is_file()):
        kind = "file" if is_table else "folder"
        raise CohortError(
            f"--data {data}: no such {kind}; give the folder that holds the cohort, or a table of scans (.tsv, .csv)"
        )
    return data


def set_up_cohort(
    spec: CohortSpec, root: Path, config: RunConfig, out: Path, *, source: CohortSource | None = None
) -> CohortSetup:
    """Draw and save the folds of a cohort (or read those of an interrupted run), refuse every leak.

    Args:
        spec: the cohort's definition, or that of several together.
        root: the (first) cohort's folder, or a table of its scans.
        config: of the run.
        out: the run folder.
        source: the cohort, if it was read before; several that are combined are.

    Raises:
        CohortError: unreadable tables, too few subjects, a leak, or a cohort that changed since the run began.
    """
    source = source or read_cohort(spec, root, config)
    cohort = source.cohort
    path = out / "folds.tsv"
    folds = saved_or_new_folds(path, source, spec)
    prints = fingerprint_table(cohort.table, config.data.prepare_jobs)
    checks = check_table(
        cohort.table, tuple(spec.classes), prints, folds=folds.frame, session_rule=spec.session_rule
    )
    checks.refuse()
    # Names of folders can name people, so the table in the run folder says where a scan lies below the root only.
    below = [
        _below(Path(name), source.folders[origin])
        for name, origin in zip(cohort.table["path"], cohort.table["cohort"], strict=True)
    ]
    write_tsv(out / "cohort.tsv", cohort.table.assign(path=below))
    folds.save(path)
    # The hashes let an external test refuse the scans of this run without having them.
    write_json(out / "checks.json", {**checks.as_json(), "voxels": sorted(p.voxels for p in prints.values())})
    for warning in (*cohort.warnings, *(finding.text for finding in checks.warnings)):
        _LOG.warning("%s", warning)
    first, *others = source.folders.values()
    return CohortSetup(spec, first, cohort, folds, checks, tuple(others))


def prepare_scans(setup: CohortSetup, config: RunConfig) -> tuple[list[PreparedCase], FrameGrid]:
    """Prepare every scan of the cohort; see ``prepare_table``."""
    return prepare_table(setup.table, config)


def prepare_table(table: pd.DataFrame, config: RunConfig) -> tuple[list[PreparedCase], FrameGrid]:
    """Prepare every scan of a cohort table through the cache, several at a time.

    Raises:
        CohortError: naming every scan that cannot be prepared; what is prepared stays in the cache.
    """
    from neurofocus.data.prepare_cohort import (
        prepare_cohort,  # brings MONAI: seconds that others need not wait
    )

    grid = frame_grid(config.prepare, config.model.frame_size)
    with scan_progress(len(table), "preparing") as progress, mendable(cache_dir()):
        prepared = prepare_cohort(
            table,
            config.prepare,
            grid=grid,
            cache_folder=cache_dir() / "prepared",
            jobs=config.data.prepare_jobs,
            progress=progress,
        )
    if prepared.failures:
        reasons = "; ".join(f"{who}: {why}" for who, why in prepared.failures[:5])
        more = f"; and {len(prepared.failures) - 5} more" if len(prepared.failures) > 5 else ""
        raise CohortError(
            f"{len(prepared.failures)} of {len(table)} scans cannot be prepared ({reasons}{more}); "
            "mend them, or list them in a table and add --exclude FILE.tsv; the others are kept"
        )
    return prepared.cases, grid


def says_synthetic(root: Path) -> bool:
    """Return whether the name in a BIDS data set's description says SYNTHETIC, as ours do."""
    try:
        description = json.loads((root / "dataset_description.json").read_text(encoding="utf-8"))
        return "SYNTHETIC" in str(description["Name"])
    except (OSError, ValueError, KeyError, TypeError):  # the file is optional for reading
        return False


def _below(path: Path, root: Path) -> str:
    """Return where a scan lies below the root, without the dates that archives write into names."""
    try:
        shown = path.relative_to(root.absolute()).as_posix()
    except ValueError:
        shown = path.name
    return _DATE.sub("DATE", shown)
