"""Labels of an ADNI delivery without a table of diagnoses: the enrolment group, at screening and baseline only."""

from dataclasses import replace

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.adni.diagnoses import Diagnoses
from neurofocus.ingest.adni.values import fill_missing
from neurofocus.ingest.adni.visits import read_visit
from neurofocus.ingest.flow import flow_step
from neurofocus.ingest.labels import describe_values
from neurofocus.ingest.scans import FoundScans
from neurofocus.tables import MISSING

__all__ = ["SMC", "enrolled_as", "label_by_enrolment", "smc_warning"]

SMC = "CN, SMC at enrolment"

# Enrolment group -> the diagnosis that a participant had to have to enter it.
_GROUPS = {
    "CN": "CN",
    "NORMAL": "CN",
    "SMC": SMC,
    "EMCI": "MCI",
    "MCI": "MCI",
    "LMCI": "MCI",
    "AD": "AD",
}


def enrolled_as(group: str, diagnoses: Diagnoses, rid: int | None) -> str:
    """Return the enrolment group in capitals, of the scan's own table or else of ADNIMERGE (DX_bl)."""
    person = diagnoses.people.get(rid) if rid is not None else None
    known = group if group != MISSING else person.enrolment if person else MISSING
    return known.strip().upper()


def label_by_enrolment(found: FoundScans, *, advice: str) -> FoundScans:
    """Return the screening and baseline scans with the diagnosis that their enrolment group stands for.

    Later scans are left out and counted: whoever enrolled with MCI may have had dementia by then. Groups that stand
    for no diagnosis stay as they are, for the cohort definition to list or not.

    Args:
        found: the scans, with columns subject, visit, group and, if the reader has it, group_source.
        advice: what to do to get the diagnoses, for the warning.

    Raises:
        CohortError: if no scan is from screening or baseline.
    """
    frame = found.frame
    names = [read_visit(text) for text in frame["visit"]]
    first = pd.Series([name is not None and name.month == 0 for name in names], index=frame.index, dtype=bool)
    unknown = pd.Series([name is None for name in names], index=frame.index, dtype=bool)
    later = ~first & ~unknown
    if len(frame) and not first.any():
        raise CohortError(
            f"{found.source}: no table of diagnoses, and no scan from screening or baseline, at which the enrolment "
            f"group is the diagnosis; visits seen: {describe_values(frame['visit'].sort_values())}; {advice}"
        )
    steps = (
        flow_step("a later visit, and no table of diagnoses", frame.loc[later, "group"], kind="dropped"),
        flow_step(
            f"a visit of unknown name, and no table of diagnoses: {_listed(frame.loc[unknown, 'visit'])}",
            frame.loc[unknown, "group"],
            kind="dropped",
        ),
    )
    warning = (
        "NO TABLE OF DIAGNOSES: the diagnosis is the group at enrolment, and only screening and baseline scans are "
        f"used ({int(later.sum())} later scans and {int(unknown.sum())} of unknown visits are left out); who "
        f"converted or reverted later cannot be seen; {advice}"
    )
    kept = frame[first].copy()
    fill_missing(kept, "site", [(subject[:3], "subject identifier") for subject in kept["subject"]])
    labels = pd.Series(
        [_GROUPS.get(group.strip().upper(), group) for group in kept["group"]], index=kept.index
    )
    return replace(
        found,
        frame=kept.assign(diagnosis=labels, diagnosis_source=_sources(kept), session_id="ses-M000"),
        steps=(*found.steps, *(step for step in steps if step.count)),
        warnings=(*found.warnings, warning, *smc_warning(kept[labels == SMC])),
    )


def smc_warning(scans: pd.DataFrame) -> tuple[str, ...]:
    """Return how many participants are CN with significant memory concern, and how to leave them out.

    Args:
        scans: theirs.
    """
    people = scans["participant_id"].nunique()
    text = (
        f"{people} participants who enrolled with significant memory concern (SMC) have the diagnosis {SMC!r}; "
        "to leave them out, remove that value from 'classes' in the cohort definition"
    )
    return (text,) if people else ()


def _sources(scans: pd.DataFrame) -> list[str]:
    """Return where each label stands: the column of the group, if the reader says it."""
    known = scans["group_source"] if "group_source" in scans.columns else [MISSING] * len(scans)
    return ["enrolment group" if place == MISSING else f"{place} (enrolment group)" for place in known]


def _listed(visits: pd.Series) -> str:
    return describe_values(visits.sort_values())
