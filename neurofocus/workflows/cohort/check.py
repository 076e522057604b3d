"""``neurofocus cohort check``: leaks and confounds of a cohort's table; every run makes the same checks first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurofocus.data.fingerprint import Fingerprint
from neurofocus.data.fingerprint_cache import fingerprint_all
from neurofocus.errors import CohortError
from neurofocus.files import cache_dir, mendable
from neurofocus.ingest.checks.confounds import find_confounds
from neurofocus.ingest.checks.findings import CheckReport
from neurofocus.ingest.checks.leaks import find_fold_leaks, find_leaks
from neurofocus.ingest.checks.near_duplicates import find_near_duplicates
from neurofocus.ingest.checks.overlaps import refuse_shared_studies
from neurofocus.ingest.labels import suggest
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING, read_tsv
from neurofocus.workflows.progress import scan_progress

__all__ = ["CheckedCohort", "check_cohort_file", "check_table", "fingerprint_table"]

_NEEDED = ("participant_id", "path", "label")
_SHOWN = 5
_JOBS = 2


@dataclass(frozen=True)
class CheckedCohort:
    """What ``cohort check`` read and found.

    Attributes:
        table: one row a scan; ``label`` is the index into ``classes``.
        classes: names of the labels.
        report: leaks and warnings.
    """

    table: pd.DataFrame
    classes: tuple[str, ...]
    report: CheckReport

    def summary_lines(self) -> list[str]:
        """Return what a person reads: one line a finding, one line in all if there is none."""
        people = self.table["participant_id"].nunique()
        scans = f"{len(self.table)} scans of {people} participants"
        if self.report.clean:
            return [f"{scans}: no leak and no confound found"]
        findings = [*self.report.refusals, *self.report.warnings]
        counts = f"leaks: {len(self.report.refusals)}, warnings: {len(self.report.warnings)}"
        return [*(finding.text for finding in findings), f"{scans}: {counts}"]

    def as_json(self) -> dict[str, Any]:
        """Return counts and findings as plain values."""
        people = self.table["participant_id"].nunique()
        return {"scans": len(self.table), "participants": int(people), **self.report.as_json()}


def check_cohort_file(path: Path, spec: CohortSpec | None = None, *, jobs: int = _JOBS) -> CheckedCohort:
    """Check a table as ``cohort scan`` writes it.

    Args:
        path: tab-separated, at least participant_id, path and label; paths may be relative to the file.
        spec: says which classes there are, in which order; none: the labels that occur.
        jobs: scans read at a time.

    Raises:
        CohortError: if the table or a scan cannot be read, or a label is of no class.
    """
    table, classes = _read(path, spec)
    refuse_shared_studies(table)
    prints = fingerprint_table(table, jobs)
    return CheckedCohort(table, classes, check_table(table, classes, prints))


def check_table(
    table: pd.DataFrame,
    classes: Sequence[str],
    prints: Mapping[str, Fingerprint],
    *,
    folds: pd.DataFrame | None = None,
    session_rule: str = "first",
) -> CheckReport:
    """Return the leaks and warnings of a cohort.

    Args:
        table: the cohort table.
        classes: names of the labels, in order.
        prints: fingerprint of every path of the table.
        folds: the folds table, where folds are drawn.
        session_rule: of the cohort definition.
    """
    hashes = {path: found.voxels for path, found in prints.items()}
    leaks = [] if folds is None else find_fold_leaks(folds, session_rule)
    leaks += find_leaks(table, hashes)
    people, sessions = ([str(name) for name in table[column]] for column in ("participant_id", "session_id"))
    # One scan under two names is refused as such; only other pairs are news.
    alike = [] if leaks else find_near_duplicates(people, sessions, _images(table, prints))
    confounds = find_confounds(table.assign(**_how_stored(table, prints)), classes)
    loud = [finding for finding in confounds if finding.kind == "tied to the label"]
    quiet = [finding for finding in confounds if finding.kind != "tied to the label"]
    return CheckReport(tuple(leaks), (*loud, *alike, *quiet))


def fingerprint_table(table: pd.DataFrame, jobs: int) -> dict[str, Fingerprint]:
    """Return the fingerprint of every scan of a table, from the cache where it is known.

    Raises:
        CohortError: naming the scans that cannot be read, first few and count.
    """
    with scan_progress(table["path"].nunique(), "checking") as progress, mendable(cache_dir()):
        scans = dict(zip(table["path"], table["orientation"], strict=True))
        prints = fingerprint_all(scans, cache_dir() / "fingerprints", jobs=jobs, progress=progress)
    if prints.failures:
        owners = table.drop_duplicates("path").set_index("path")["participant_id"]
        shown = [f"{owners[path]}: {reason}" for path, reason in list(prints.failures.items())[:_SHOWN]]
        more = f"; and {len(prints.failures) - _SHOWN} more" if len(prints.failures) > _SHOWN else ""
        raise CohortError(
            f"{len(prints.failures)} of {len(owners)} scans cannot be read ({'; '.join(shown)}{more}); "
            "replace the files, remove their rows, or list them in a table and add --exclude FILE.tsv"
        )
    return prints.found


def _how_stored(table: pd.DataFrame, prints: Mapping[str, Fingerprint]) -> dict[str, list[str]]:
    """Return what the files' headers say, as columns for the confounds."""
    rows = [prints[path] for path in table["path"]]
    return {
        "voxel_mm": [" x ".join(f"{size:.3f}" for size in row.voxel_mm) for row in rows],
        "matrix": [" x ".join(str(size) for size in row.matrix) for row in rows],
        "axes": [row.axes for row in rows],
        "number_type": [row.number_type for row in rows],
        "file_format": [row.file_format for row in rows],
    }


def _images(table: pd.DataFrame, prints: Mapping[str, Fingerprint]) -> NDArray[np.float32]:
    return np.stack([prints[path].image for path in table["path"]])


def _read(path: Path, spec: CohortSpec | None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the table with absolute paths and label indices, and the names of the labels."""
    frame = read_tsv(path)
    for column in _NEEDED:
        if column not in frame.columns:
            near = suggest(column, list(frame.columns))
            raise CohortError(
                f"{path}: no column {column!r}{near}; it has {', '.join(frame.columns)}; "
                "needed are participant_id, path and label, as 'neurofocus cohort scan' writes them"
            )
        if (frame[column] == MISSING).any():
            row = int((frame[column] == MISSING).to_numpy().argmax()) + 2
            raise CohortError(f"{path}: row {row} has no {column}; fill it in or remove the row")
    if frame.empty:
        raise CohortError(
            f"{path}: no scans, only a header; write the table again with 'neurofocus cohort scan'"
        )
    for column, nothing in (("session_id", MISSING), ("orientation", "header")):
        if column not in frame.columns:
            frame[column] = nothing
    frame["orientation"] = frame["orientation"].replace(MISSING, "header")
    labels, classes = _labels(path, frame["label"], spec)
    places = [str(path.absolute().parent / name) for name in frame["path"]]
    missing = [Path(place).name for place in places if not Path(place).exists()]
    if missing:
        raise CohortError(
            f"{path}: column 'path': {len(missing)} of {len(places)} files are not there "
            f"({', '.join(missing[:_SHOWN])}{', …' if len(missing) > _SHOWN else ''}); "
            "paths are absolute or relative to the table"
        )
    return frame.assign(path=places, label=labels), classes


def _labels(path: Path, values: pd.Series, spec: CohortSpec | None) -> tuple[list[int], tuple[str, ...]]:
    """Return label indices and class names; a label is a class's name or its index."""
    if spec is None:
        classes = tuple(sorted(set(values)))
        return [classes.index(value) for value in values], classes
    classes = tuple(spec.classes)
    known = {str(number): number for number in range(len(classes))}
    known |= {name: number for number, name in enumerate(classes)}
    unknown = [value for value in values if value not in known]
    if unknown:
        raise CohortError(
            f"{path}: column 'label' holds {unknown[0]!r} ({len(unknown)} such rows); cohort {spec.name!r} has "
            f"{', '.join(f'{name} ({number})' for number, name in enumerate(classes))}; choose the right --cohort"
        )
    return [known[value] for value in values], classes
