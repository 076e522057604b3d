"""ADNI's labels: the diagnosis at the visit of a scan, and what becomes of people with MCI."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.adni.codes import CN
from neurofocus.ingest.adni.diagnoses import Diagnoses, read_diagnoses
from neurofocus.ingest.adni.enrolment import SMC, enrolled_as, label_by_enrolment, smc_warning
from neurofocus.ingest.adni.match import CONTRADICTED, MISDATED, NO_DIAGNOSIS, NOBODY, Match, match_scans
from neurofocus.ingest.adni.progression import Course, consistency, progression
from neurofocus.ingest.adni.values import fill_values
from neurofocus.ingest.flow import FlowStep, flow_step
from neurofocus.ingest.labels import describe_values
from neurofocus.ingest.scans import FoundScans
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["label_progression", "label_visits"]

_GET = (
    "download ADNIMERGE or the diagnosis summary DXSUM (LONI IDA: Download, Study Data) and put the .csv file into "
    "the data folder"
)


def label_visits(found: FoundScans, root: Path, spec: CohortSpec) -> FoundScans:
    """Return the scans with the diagnosis at their visit, from ADNIMERGE and DXSUM; never the enrolment group.

    Diagnoses that the person's other visits do not bear out have words after them ("CN, later MCI"; see
    ``consistency``), people without complaints but worry about memory are "CN, SMC at enrolment": the classes of the
    cohort definition list which of these count. Scans without a diagnosis are left out and counted by enrolment
    group. Where neither table was delivered, only screening and baseline scans stay, with their enrolment group.

    Args:
        found: the scans, with columns subject (002_S_0816) and group (at enrolment) besides the usual ones.
        root: the delivery.
        spec: the cohort definition.

    Raises:
        CohortError: if a table cannot be understood, or no scan gets a diagnosis.
    """
    diagnoses = read_diagnoses(root, spec)
    if diagnoses is None:
        return label_by_enrolment(found, advice=_GET)

    labelled, matches = _label(found, diagnoses, spec, consistency)
    frame = labelled.frame
    enrolment = [
        enrolled_as(group, diagnoses, match.rid) for group, match in zip(frame["group"], matches, strict=True)
    ]
    worried = (frame["diagnosis"] == CN) & (pd.Series(enrolment, index=frame.index) == "SMC")
    return replace(
        labelled,
        frame=frame.assign(diagnosis=frame["diagnosis"].mask(worried, SMC)),
        warnings=(*labelled.warnings, *smc_warning(frame[worried])),
    )


def label_progression(found: FoundScans, root: Path, spec: CohortSpec) -> FoundScans:
    """Return the scans with what became of the person: sMCI, pMCI, or in words why neither (see ``progression``).

    Scans at a visit with another diagnosis keep that diagnosis. The person is followed for
    ``spec.horizon_months`` from the scan's visit.

    Args:
        found: as for ``label_visits``.
        root: the delivery.
        spec: the cohort definition.

    Raises:
        CohortError: as for ``label_visits``, or if neither table was delivered.
    """
    diagnoses = read_diagnoses(root, spec)
    if diagnoses is None:
        raise CohortError(
            f"{root}: no table of the diagnoses at later visits, so nobody knows who progressed; {_GET}"
        )

    text = partial(progression, horizon=spec.horizon_months)
    return _label(found, diagnoses, spec, text)[0]


def _label(
    found: FoundScans, diagnoses: Diagnoses, spec: CohortSpec, text: Callable[[Course, int], str]
) -> tuple[FoundScans, list[Match]]:
    """Return the scans that have a diagnosis, in words by ``text``, and their matches."""
    every = match_scans(found.frame, diagnoses, spec.match_days)
    reasons = pd.Series([match.reason for match in every], index=found.frame.index, dtype=object)
    steps = _left_out(found.frame["group"], reasons, spec.match_days)
    _refuse_if_none(found.frame, reasons, diagnoses, spec)
    frame = found.frame[(reasons == "").to_numpy()]
    matches = [match for match in every if not match.reason]
    courses = {
        rid: [(visit.month, visit.diagnosis) for visit in visits if visit.diagnosis != MISSING]
        for rid, visits in diagnoses.visits.items()
    }
    labels, sources, sessions = [], [], []
    for match, session in zip(matches, frame["session_id"], strict=True):
        if match.rid is None or match.visit is None:
            raise ValueError("a match without a reason has a person and a visit")
        # A scan between two visits has the diagnosis of the nearer one, but its own time.
        month = match.visit.month if match.month is None else match.month
        labels.append(text(sorted({*courses[match.rid], (month, match.visit.diagnosis)}), month))
        sources.append(match.visit.source)
        sessions.append(session if match.month is None else f"ses-M{match.month:03d}")
    frame = frame.assign(diagnosis=labels, diagnosis_source=sources, session_id=sessions)
    warnings = (
        *found.warnings,
        *diagnoses.warnings,
        *_match_warnings(frame["visit"], matches, spec.match_days),
    )
    labelled = FoundScans(
        fill_values(frame, matches, diagnoses), diagnoses.source, (*found.steps, *steps), warnings
    )
    return labelled, matches


def _left_out(groups: pd.Series, reasons: pd.Series, match_days: int) -> list[FlowStep]:
    words = {NO_DIAGNOSIS: f"{NO_DIAGNOSIS}, nor within {match_days} days of the scan"}
    return [
        flow_step(
            f"{words.get(reason, reason)} (by enrolment group)", groups[reasons == reason], kind="dropped"
        )
        for reason in (NOBODY, CONTRADICTED, MISDATED, NO_DIAGNOSIS)
        if (reasons == reason).any()
    ]


def _refuse_if_none(frame: pd.DataFrame, reasons: pd.Series, diagnoses: Diagnoses, spec: CohortSpec) -> None:
    if frame.empty or (reasons == "").any():
        return
    table = next(iter(sorted(diagnoses.visits)), None)
    listed = "no row of use" if table is None else f"roster number {table}, …"
    raise CohortError(
        f"{diagnoses.source}: no scan gets a diagnosis: {describe_values(reasons)} (scans: subject "
        f"{frame['subject'].iloc[0]}, visit {frame['visit'].iloc[0]!r}, …; table: {listed}); download the tables of "
        f"the same people, or raise 'match_days' ({spec.match_days}) in the cohort definition"
    )


def _match_warnings(visits: pd.Series, matches: Sequence[Match], match_days: int) -> tuple[str, ...]:
    warnings = []
    by_date = pd.Series([match.by_date for match in matches], index=visits.index, dtype=bool)
    if by_date.any():
        warnings.append(
            f"{int(by_date.sum())} scans take the diagnosis of the nearest examination (at most {match_days} days "
            f"away), as the tables have none at their visit: {describe_values(visits[by_date].sort_values())}"
        )
    far = sum(not match.by_date and (match.days or 0) > match_days for match in matches)
    if far:
        warnings.append(
            f"{far} scans were made more than {match_days} days from the examination at the visit of the same code; "
            "the code counts, check these visits"
        )
    return tuple(warnings)
