"""All diagnoses of an ADNI delivery, from ADNIMERGE and DXSUM: one a participant and visit."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurofocus.ingest.adni.codes import CONTRADICTION
from neurofocus.ingest.adni.people import Person, read_people
from neurofocus.ingest.adni.tables import (
    DiagnosisRow,
    diagnosis_rows,
    find_diagnosis_tables,
    roster_number,
    subjects_of,
)
from neurofocus.ingest.delivered import DeliveredTable
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["DAYS_A_MONTH", "Diagnoses", "Visit", "read_diagnoses"]

DAYS_A_MONTH = 365.25 / 12


@dataclass(frozen=True)
class Visit:
    """What the tables say of one visit of a participant.

    Attributes:
        month: since baseline.
        date: of the examination; None where no table says it.
        diagnosis: CN, MCI, AD; n/a where none was made; CONTRADICTION where the tables do not agree.
        source: FILE:COLUMN of the diagnosis, of several tables that agree all.
        field_strength: of the visit's MRI as delivered, n/a where no table says it.
    """

    month: int
    date: pd.Timestamp | None
    diagnosis: str
    source: str
    field_strength: str


@dataclass(frozen=True)
class Diagnoses:
    """The diagnoses of a delivery.

    Attributes:
        visits: roster number -> visits in order of their months.
        months: (roster number, visit code) -> month, for the codes of the tables.
        people: roster number -> what ADNIMERGE says of the person.
        subjects: roster number -> subject identifiers, of tables that have them.
        source: the files, for messages.
        warnings: what a person should know.
    """

    visits: Mapping[int, tuple[Visit, ...]]
    months: Mapping[tuple[int, str], int]
    people: Mapping[int, Person]
    subjects: Mapping[int, frozenset[str]]
    source: str
    warnings: tuple[str, ...]

    def of(self, subject: str) -> tuple[Visit, ...]:
        """Return the visits of a subject (002_S_0816), none if the tables do not list this person.

        The whole identifier counts where a table has it: sister studies give ADNI's roster numbers to others. Of a
        roster number that stands for several subjects nobody knows whose rows are whose.
        """
        rid = roster_number(subject)
        if rid is None or self.subjects.get(rid, {subject.strip().upper()}) != {subject.strip().upper()}:
            return ()
        return self.visits.get(rid, ())


def read_diagnoses(root: Path, spec: CohortSpec) -> Diagnoses | None:
    """Return all diagnoses of a delivery, None where it has neither ADNIMERGE nor DXSUM.

    A visit is a month since baseline: by the visit's code, or by the time since the participant's baseline where the
    code does not say it. The baseline goes before the screening. Tables that contradict each other at a visit leave
    it without a diagnosis, with a warning.

    Args:
        root: the delivery.
        spec: the cohort definition; its tables ``adnimerge`` and ``dxsum`` are used.

    Raises:
        CohortError: if a table cannot be understood.
    """
    tables = find_diagnosis_tables(root, spec)
    if not tables:
        return None
    rows: list[DiagnosisRow] = []
    warnings = [text for table in tables for text in table.warnings]
    for table in tables:
        found, unclear = diagnosis_rows(table)
        rows.extend(found)
        warnings.extend(unclear)
    placed, text = _place(rows)
    groups: dict[tuple[int, int], list[DiagnosisRow]] = defaultdict(list)
    for row, month in placed:
        groups[row.rid, month].append(row)
    subjects = subjects_of(tables)
    conflicts = {key: values for key, group in sorted(groups.items()) if len(values := _values(group)) > 1}
    visits: dict[int, list[Visit]] = defaultdict(list)
    for (rid, month), group in sorted(groups.items()):
        visits[rid].append(_visit(month, group))
    return Diagnoses(
        visits={rid: tuple(course) for rid, course in visits.items()},
        months=_code_months(placed),
        people=read_people(tables),
        subjects=subjects,
        source=_files(tables),
        warnings=(
            *warnings,
            *text,
            *_shared_warning(subjects, _files(tables)),
            *_conflict_warning(conflicts, _files(tables)),
        ),
    )


def _files(tables: Sequence[DeliveredTable]) -> str:
    return " and ".join(sorted({file for table in tables for file in table.delivered}))


def _place(rows: Iterable[DiagnosisRow]) -> tuple[list[tuple[DiagnosisRow, int]], tuple[str, ...]]:
    """Return rows with their months; rows of no month and no use are left out with a warning."""
    ordered = sorted(rows, key=_order)
    baselines: dict[int, pd.Timestamp] = {}
    for row in ordered:
        if row.month == 0 and row.date is not None:
            baselines.setdefault(row.rid, row.date)
    placed, lost = [], 0
    for row in ordered:
        month = row.month
        start = baselines.get(row.rid)
        if month is None and row.date is not None and start is not None and row.date >= start:
            month = round((row.date - start).days / DAYS_A_MONTH)
        if month is None:
            lost += row.diagnosis != MISSING
        else:
            placed.append((row, month))
    text = (
        f"{lost} rows with a diagnosis are left out: neither their visit codes nor dates say how long after the "
        "participant's baseline they are"
    )
    return placed, (text,) if lost else ()


def _order(row: DiagnosisRow) -> tuple[str, int, bool, pd.Timestamp, str, str, str]:
    """Return the order in which rows speak: ADNIMERGE, baseline, early ones first; the rest makes it definite."""
    return (
        row.table,
        row.rid,
        row.screening,
        row.date or pd.Timestamp.max,
        row.diagnosis,
        row.code,
        row.source,
    )


def _speaking(group: Sequence[DiagnosisRow]) -> list[DiagnosisRow]:
    """Return the rows of a visit that have a diagnosis; of the baseline's if both it and the screening have one."""
    said = [row for row in group if row.diagnosis != MISSING]
    return [row for row in said if not row.screening] or said


def _values(group: Sequence[DiagnosisRow]) -> tuple[str, ...]:
    return tuple(sorted({row.diagnosis for row in _speaking(group)}))


def _visit(month: int, group: Sequence[DiagnosisRow]) -> Visit:
    values = _values(group)
    return Visit(
        month=month,
        date=next((row.date for row in group if row.date is not None), None),
        diagnosis=MISSING if not values else values[0] if len(values) == 1 else CONTRADICTION,
        source="; ".join(dict.fromkeys(row.source for row in _speaking(group))) or MISSING,
        field_strength=next((row.field_strength for row in group if row.field_strength != MISSING), MISSING),
    )


def _code_months(placed: Iterable[tuple[DiagnosisRow, int]]) -> dict[tuple[int, str], int]:
    """Return the month of each code that a participant's rows use for one month only."""
    seen: dict[tuple[int, str], set[int]] = defaultdict(set)
    for row, month in placed:
        if row.code != MISSING:
            seen[row.rid, row.code].add(month)
    return {key: min(months) for key, months in seen.items() if len(months) == 1}


def _shared_warning(subjects: Mapping[int, frozenset[str]], files: str) -> tuple[str, ...]:
    shared = [names for _, names in sorted(subjects.items()) if len(names) > 1]
    if not shared:
        return ()
    text = (
        f"{files}: {len(shared)} roster numbers stand for several subjects ({' and '.join(sorted(shared[0]))}, …); "
        "none of their rows is used"
    )
    return (text,)


def _conflict_warning(conflicts: Mapping[tuple[int, int], tuple[str, ...]], files: str) -> tuple[str, ...]:
    if not conflicts:
        return ()
    kinds = Counter(" and ".join(values) for values in conflicts.values())
    shown = ", ".join(f"{kind} ({count})" for kind, count in sorted(kinds.items()))
    text = (
        f"{files}: {len(conflicts)} visits of {len({rid for rid, _ in conflicts})} participants have diagnoses that "
        f"contradict each other: {shown}; these visits give no diagnosis, and other scans of these people may count as disputed"
    )
    return (text,)
