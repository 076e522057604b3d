"""The labels of PPMI: its own table of participants goes before the groups of the image archive."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.delivered import find_table
from neurofocus.ingest.flow import flow_step
from neurofocus.ingest.labels import class_of, describe_values
from neurofocus.ingest.ppmi.sex import with_sex
from neurofocus.ingest.ppmi.status import ParticipantStatus, plain_number, read_status
from neurofocus.ingest.scans import FoundScans
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["label_status"]

# People with these had at least one study visit: PPMI Data User Guide (August 2024), section 3.4.
_TOOK_PART = ("enrolled", "withdrew", "withdrawn", "complete", "completed")


def label_status(found: FoundScans, root: Path, spec: CohortSpec) -> FoundScans:
    """Label PPMI scans by Participant_Status; the image table's group only serves where there is no such table.

    Participants whose status is not enrolled, withdrew or complete, or who are not in the table, are left out and
    counted. A sex that the image table does not give is taken from Demographics, an age from Participant_Status.

    Args:
        found: scans of the layout ``ida``, with ``subject`` (PATNO), ``group`` and ``group_source``.
        root: the folder of the delivery.
        spec: the cohort definition, with tables ``status`` and ``demographics``.

    Raises:
        CohortError: if rows of one participant, or a row's code and text, contradict each other, or nobody is left.
    """
    if "demographics" in spec.tables:
        demographics = find_table(root, "demographics", spec.tables["demographics"])
        found = found if demographics is None else with_sex(found, demographics)
    table = find_table(root, "status", spec.tables["status"]) if "status" in spec.tables else None
    if table is not None:
        return _labelled(found, read_status(table), spec)
    frame = found.frame.assign(diagnosis=found.frame["group"], diagnosis_source=found.frame["group_source"])
    warning = (
        f"{found.source}: labels are the groups of the image table, because no Participant_Status*.csv with PATNO and "
        "COHORT is in the folder; download it (Study Data, Subject Characteristics): PPMI keeps that table up to date"
    )
    return replace(found, frame=frame, warnings=(*found.warnings, warning))


def _labelled(found: FoundScans, status: ParticipantStatus, spec: CohortSpec) -> FoundScans:
    """Return the scans of people who took part, with cohorts and missing ages, and count the others."""
    joined = status.frame.reindex(found.frame["subject"].map(plain_number)).set_axis(found.frame.index)
    listed = joined["cohort"].notna()
    took_part = joined["status"].isin([*_TOOK_PART, ""])
    cohorts = joined["cohort"].where(listed, found.frame["group"])
    shown = cohorts.map(lambda value: class_of(value, spec) or value)
    absent = listed & ~took_part
    steps = (
        flow_step(f"participant not in {status.file}", shown[~listed], kind="dropped"),
        flow_step(
            f"enrolment status {describe_values(joined.loc[absent, 'status'])}", shown[absent], kind="dropped"
        ),
    )
    kept = found.frame[listed & took_part]
    if kept.empty:
        raise CohortError(
            f"{status.file}: no scan is left ("
            + "; ".join(f"{step.step}: {step.count}" for step in steps if step.count)
            + f"; scans: subject {found.frame['subject'].iloc[0]}, …; table: PATNO {next(iter(status.frame.index), '-')}, …); "
            "download the table of the same people"
        )
    joined = joined.loc[kept.index]
    aged = (kept["age"] == MISSING) & (joined["age"] != MISSING)
    frame = kept.assign(
        diagnosis=joined["cohort"],
        diagnosis_source=joined["cohort_source"],
        age=kept["age"].mask(aged, joined["age"]),
        age_source=kept["age_source"].mask(aged, joined["age_source"]),
    )
    notes = [*found.warnings, *status.warnings, *_disagreements(frame, status.file, spec)]
    if aged.any():
        notes.append(f"{status.file}: {int(aged.sum())} scans of unknown age get the age at enrolment")
    if unsure := int(joined["unsure"].astype(bool).sum()):
        notes.append(
            f"{status.file}: COHORT 9 ({unsure} scans), not defined there, is taken for early imaging"
        )
    return FoundScans(frame, status.file, (*found.steps, *steps), tuple(notes))


def _disagreements(frame: pd.DataFrame, file: str, spec: CohortSpec) -> list[str]:
    """Warn where the image table would have put a scan into another class, or into or out of all."""
    known = frame[frame["group"] != MISSING]
    texts = [
        f"{group}, now {cohort}"
        for group, cohort in zip(known["group"], known["diagnosis"], strict=True)
        if class_of(group, spec) != class_of(cohort, spec)
    ]
    if not texts:
        return []
    shown = describe_values(pd.Series(texts))
    return [
        f"{len(texts)} scans have another group in the image table than in {file}, which is used: {shown}"
    ]
