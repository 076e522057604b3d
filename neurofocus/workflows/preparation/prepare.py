"""``neurofocus prepare``: every scan of a cohort through the pipeline of ``predict``, as a BIDS derivative."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neurofocus.data.frames import frame_grid
from neurofocus.errors import CohortError, ConfigError
from neurofocus.files import cache_dir, lock_beside, locked, mendable
from neurofocus.ingest.flow import CohortTable
from neurofocus.ingest.load import load_cohort
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec
from neurofocus.schema.run import RunConfig
from neurofocus.tables import write_tsv
from neurofocus.workflows.cohort.setup import find_data, says_synthetic
from neurofocus.workflows.preparation.contact_sheet import write_contact_sheet
from neurofocus.workflows.preparation.files import ScanPlace, open_dataset, recorded_places
from neurofocus.workflows.preparation.pool import run_scans
from neurofocus.workflows.preparation.quality_table import quality_table
from neurofocus.workflows.preparation.scan import ScanJob, ScanOutcome, prepare_scan
from neurofocus.workflows.progress import scan_progress

__all__ = ["PreparationResult", "prepare_cohort_files"]

_LOG = logging.getLogger(__name__)
_KILLED = ScanOutcome(
    None, "its worker process ended abruptly, also when it was tried alone; most likely memory was short"
)


@dataclass(frozen=True)
class PreparationResult:
    """What a call left behind.

    Attributes:
        out: the derivative data set.
        prepared: scans that are there now.
        kept: how many of them were there before.
        failures: participant_id, session_id, label, reason; one row a scan that could not be prepared.
        quality: the content of quality.tsv.
        counts: scans of each class in the cohort.
    """

    out: Path
    prepared: int
    kept: int
    failures: pd.DataFrame
    quality: pd.DataFrame
    counts: dict[str, int]

    def document(self) -> dict[str, Any]:
        """Return the result as plain values."""
        outliers = self.quality[self.quality["outlier_measures"] != "n/a"]
        return {
            "out": str(self.out),
            "prepared": self.prepared,
            "kept": self.kept,
            "failures": self.failures.to_dict("records"),
            "outliers": outliers[["participant_id", "session_id", "outlier_measures"]].to_dict("records"),
        }

    def summary_lines(self) -> list[str]:
        """Return the few lines a person reads."""
        total = self.prepared + len(self.failures)
        lines = [f"prepared    {self.prepared} of {total} scans ({self.kept} were done before)"]
        if len(self.failures):
            lost = Counter(self.failures["label"])
            shares = ", ".join(f"{label} {lost[label]} of {count}" for label, count in self.counts.items())
            lines.append(f"failed      {len(self.failures)} by label: {shares}")
            rows = zip(_names(self.failures), self.failures["label"], self.failures["reason"], strict=True)
            lines += _first_ten([f"  {who} {label}: {why}" for who, label, why in rows], "failures.tsv")
        outliers = self.quality[self.quality["outlier_measures"] != "n/a"]
        lines.append(f"outliers    {len(outliers)} (robust z above 3.5 inside the cohort)")
        found = zip(_names(outliers), outliers["outlier_measures"], strict=True)
        lines += _first_ten([f"  {who}: {what}" for who, what in found], "quality.tsv")
        lines.append(f"quality     {self.out / 'quality.tsv'}")
        lines.append(f"look at     {self.out / 'contact_sheet.html'}")
        return lines


def prepare_cohort_files(
    config: RunConfig, *, out: Path, data: Path | None = None, jobs: int | None = None
) -> PreparationResult:
    """Prepare every scan of a cohort, or go on where an interrupted call stopped.

    Scans that are done are kept; what changed (a file, a setting, a version) is made again; outputs of scans that
    left the cohort, or cannot be prepared any more, are removed. The frames that ``cv`` needs under this
    configuration are put into the cache.

    Args:
        config: its ``cohort`` names the cohort.
        out: the derivative data set.
        data: the cohort's folder; simulated cohorts need none.
        jobs: scans prepared at a time; none: ``data.prepare_jobs``.

    Raises:
        CohortError: the cohort cannot be read, or not one scan could be prepared.
        ConfigError: ``out`` holds something else.
        NeurofocusError: the disk is full or a folder not writable.
    """
    if config.cohort is None:
        raise ConfigError("cohort: not set; name a shipped cohort or a cohort YAML file")
    spec = load_cohort_spec(config.cohort)
    root = find_data(spec, data)
    if out.resolve() == root.resolve():
        raise ConfigError(
            f"--out {out}: is the cohort's own folder; choose another, such as derivatives/neurofocus in it"
        )
    synthetic = spec.synthetic or says_synthetic(root)
    with locked(lock_beside(out)):
        cohort = load_cohort(spec, root)
        for warning in cohort.warnings:
            _LOG.warning("%s", warning)
        open_dataset(out, spec.name, synthetic=synthetic)
        jobs_ = _scan_jobs(cohort, config, out)
        _remove_strangers(out, [job.place for job in jobs_])
        outcomes = _run(jobs_, jobs or config.data.prepare_jobs)
        return _conclude(out, spec, cohort, outcomes=outcomes, synthetic=synthetic)


def _scan_jobs(cohort: CohortTable, config: RunConfig, out: Path) -> list[ScanJob]:
    grid = frame_grid(config.prepare, config.model.frame_size)
    folder = cache_dir() / "prepared"
    names = ("path", "participant_id", "session_id", "space", "orientation")
    columns = (cohort.table[name] for name in names)
    return [
        ScanJob(
            path=Path(path),
            place=ScanPlace(out, str(participant), str(session)),
            in_template=space == "template",
            orientation=str(orientation),
            prepare=config.prepare,
            grid=grid,
            cache=folder,
        )
        for path, participant, session, space, orientation in zip(*columns, strict=True)
    ]


def _remove_strangers(out: Path, places: Sequence[ScanPlace]) -> None:
    """Remove outputs of scans that are no longer in the cohort's table, and say so."""
    strangers = [place for place in recorded_places(out) if place not in set(places)]
    for place in strangers:
        place.remove()
    if strangers:
        _LOG.warning(
            "outputs of %d scans that are no longer in the cohort were removed (%s%s)",
            len(strangers),
            ", ".join(place.participant_id for place in strangers[:5]),
            ", …" if len(strangers) > 5 else "",
        )


def _run(jobs: list[ScanJob], processes: int) -> list[ScanOutcome]:
    """Return what came of every scan, in the order of the table."""
    found: dict[int, ScanOutcome] = {}
    with scan_progress(len(jobs), "preparing") as reach, mendable(cache_dir()):
        for position, outcome in run_scans(prepare_scan, jobs, jobs=processes, killed=_KILLED):
            found[position] = outcome
            reach(len(found), len(jobs))
    return [found[position] for position in range(len(jobs))]


def _conclude(
    out: Path, spec: CohortSpec, cohort: CohortTable, *, outcomes: Sequence[ScanOutcome], synthetic: bool
) -> PreparationResult:
    """Write failures.tsv, quality.tsv and the contact sheet."""
    classes = list(spec.classes)
    labels = [classes[int(label)] for label in cohort.table["label"]]
    failed = [position for position, outcome in enumerate(outcomes) if outcome.record is None]
    failures = cohort.table.iloc[failed][["participant_id", "session_id"]].reset_index(drop=True)
    failures["label"] = [labels[position] for position in failed]
    failures["reason"] = [outcomes[position].reason for position in failed]
    write_tsv(out / "failures.tsv", failures)
    done = [
        (outcome.record, label) for outcome, label in zip(outcomes, labels, strict=True) if outcome.record
    ]
    if not done:
        shown = "; ".join(
            f"{who}: {why}" for who, why in zip(_names(failures), failures["reason"], strict=True)
        )
        raise CohortError(
            f"none of {len(outcomes)} scans can be prepared ({shown[:500]}); see {out / 'failures.tsv'}"
        )
    records = [record for record, _ in done]
    quality = quality_table(records, [label for _, label in done])
    write_tsv(out / "quality.tsv", quality)
    write_contact_sheet(out, spec.title, quality, records=records, failures=failures, synthetic=synthetic)
    return PreparationResult(
        out=out,
        prepared=len(done),
        kept=sum(outcome.kept for outcome in outcomes),
        failures=failures,
        quality=quality,
        counts={name: labels.count(name) for name in classes},
    )


def _first_ten(lines: list[str], table: str) -> list[str]:
    return lines[:10] + ([f"  and {len(lines) - 10} more; see {table}"] if len(lines) > 10 else [])


def _names(rows: pd.DataFrame) -> list[str]:
    """Return each row's participant, with the session if there is one."""
    return [
        who if visit == "n/a" else f"{who} {visit}"
        for who, visit in zip(rows["participant_id"], rows["session_id"], strict=True)
    ]
