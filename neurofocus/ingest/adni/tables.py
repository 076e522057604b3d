"""ADNIMERGE and DXSUM, each read into rows that say the same: who, when, which diagnosis, and where it stands."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.adni.codes import NA_CODES, read_diagnosis
from neurofocus.ingest.adni.visits import read_visit
from neurofocus.ingest.delivered import DeliveredTable, find_table, require_table
from neurofocus.ingest.labels import describe_values
from neurofocus.ingest.values import dates, numbers
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = [
    "ROLES",
    "DiagnosisRow",
    "diagnosis_rows",
    "find_diagnosis_tables",
    "roster_number",
    "roster_numbers",
    "subjects_of",
]

ROLES = ("adnimerge", "dxsum")
# Our column -> whether its numbers are those of DXCHANGE. ADNIMERGE has the first only.
_CODINGS = {"diagnosis": False, "change": True, "current": False}
_PTID = re.compile(r"\d{3}_S_(\d{4,})", re.IGNORECASE)


@dataclass(frozen=True)
class DiagnosisRow:
    """One row of a diagnosis table.

    Attributes:
        table: the role of the table.
        rid: ADNI's roster number, the last digits of the subject identifier.
        code: of the visit, as the table writes it (VISCODE).
        month: since baseline, by the visit's code; None where no code says it.
        screening: the visit before the baseline.
        date: of the examination, or of the entry where that is missing.
        diagnosis: CN, MCI, AD or n/a.
        source: where the diagnosis stands, FILE:COLUMN.
        field_strength: of the visit's MRI as delivered, n/a where the table does not say.
    """

    table: str
    rid: int
    code: str
    month: int | None
    screening: bool
    date: pd.Timestamp | None
    diagnosis: str
    source: str
    field_strength: str


def roster_number(subject: str) -> int | None:
    """Return the roster number in a subject identifier (``002_S_0816``: 816), None if it is no such identifier."""
    match = _PTID.fullmatch(subject.strip())
    return int(match[1]) if match else None


def find_diagnosis_tables(root: Path, spec: CohortSpec) -> list[DeliveredTable]:
    """Return the tables of diagnoses that were delivered, ADNIMERGE first; missing-value codes are ``n/a``.

    Raises:
        CohortError: if there is a file of such a name, and none has the columns of a diagnosis table.
    """
    wanted = {role: spec.tables[role] for role in ROLES if role in spec.tables}
    found = [table for role, table_spec in wanted.items() if (table := find_table(root, role, table_spec))]
    if not found:
        for role, table_spec in wanted.items():
            if any(
                _named_like(path.name, table_spec.files) for path in (*root.glob("*.*"), *root.glob("*/*.*"))
            ):
                require_table(root, role, table_spec)
    for table in found:
        if not any(table.has(column) for column in _CODINGS):
            raise CohortError(
                f"{table.frame['file'].iloc[0] if len(table.frame) else table.role}: no column with a diagnosis "
                f"(DX, DIAGNOSIS, DXCHANGE or DXCURREN); download the table again, or mend "
                f"'tables.{table.role}.columns' in the cohort definition"
            )
    codes = {code: MISSING for code in NA_CODES}
    return [replace(table, frame=table.frame.replace(codes)) for table in found]


def _named_like(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def diagnosis_rows(table: DeliveredTable) -> tuple[list[DiagnosisRow], tuple[str, ...]]:
    """Return a table's rows and what a person should know about its values.

    Raises:
        CohortError: naming the row, if nobody can be told from it, or if its codings contradict each other.
    """
    rids = roster_numbers(table)
    days = _exam_dates(table)
    diagnoses, sources, warnings = _diagnoses(table)
    own = _cells(table, "visit")
    harmonised = _cells(table, "visit2")
    months = numbers(table, "month") if table.has("month") else pd.Series(float("nan"), table.frame.index)
    fields = _cells(table, "field_strength")
    rows = []
    for row, rid in enumerate(rids):
        names = [name for text in (harmonised[row], own[row]) if (name := read_visit(text)) is not None]
        month = next((name.month for name in names if name.month is not None), None)
        if month is None and not pd.isna(months.iloc[row]):
            month = round(months.iloc[row])
        code = read_visit(own[row])
        rows.append(
            DiagnosisRow(
                table=table.role,
                rid=rid,
                code=MISSING if code is None else code.code,
                month=month,
                screening=any(name.screening for name in names),
                date=days[row],
                diagnosis=diagnoses[row],
                source=sources[row],
                field_strength=fields[row],
            )
        )
    return rows, warnings


def _cells(table: DeliveredTable, column: str) -> list[str]:
    return list(table.frame[column]) if table.has(column) else [MISSING] * len(table.frame)


def roster_numbers(table: DeliveredTable) -> list[int]:
    """Return the roster number of every row, from RID or else from the subject identifier.

    Raises:
        CohortError: naming the row that names nobody, or two people.
    """
    given = numbers(table, "rid") if table.has("rid") else pd.Series(float("nan"), table.frame.index)
    result = []
    for row, subject in enumerate(_cells(table, "subject")):
        known = roster_number(subject)
        rid = known if pd.isna(given.iloc[row]) else int(given.iloc[row])
        if rid is None:
            raise CohortError(
                f"{table.where(row, 'rid')}: nobody is named; a roster number such as 816 or a subject such as "
                "002_S_0816 is needed; mend or remove the row"
            )
        if known is not None and known != rid:
            raise CohortError(
                f"{table.where(row, 'rid')}: {rid} is not the end of the subject {subject!r}; "
                "the two name different people; mend or remove the row"
            )
        result.append(rid)
    return result


def subjects_of(tables: Iterable[DeliveredTable]) -> dict[int, frozenset[str]]:
    """Return the subject identifiers that tables give each roster number, in capitals."""
    found: dict[int, set[str]] = defaultdict(set)
    for table in tables:
        for subject in _cells(table, "subject"):
            if (rid := roster_number(subject)) is not None:
                found[rid].add(subject.strip().upper())
    return {rid: frozenset(names) for rid, names in found.items()}


def _exam_dates(table: DeliveredTable) -> list[pd.Timestamp | None]:
    """Return the day of the examination; where a row has none, the day on which its form was entered."""
    columns = [dates(table, column) for column in ("exam_date", "entry_date") if table.has(column)]
    days = pd.Series(pd.NaT, index=table.frame.index, dtype="datetime64[ns]")
    for column in columns:
        days = days.fillna(column)
    return [None if pd.isna(day) else day.normalize() for day in days]


def _diagnoses(table: DeliveredTable) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Return diagnosis and source a row, and a warning for each column with values that nobody knows."""
    columns = [column for column in _CODINGS if table.has(column)]
    cells = {column: _cells(table, column) for column in columns}
    places = {column: table.sources(column) for column in columns}
    unknown: dict[str, list[str]] = defaultdict(list)
    diagnoses, sources = [], []
    for row in range(len(table.frame)):
        said: dict[str, str] = {}
        for column in columns:
            value = read_diagnosis(cells[column][row], change=_CODINGS[column])
            if value is None:
                unknown[column].append(cells[column][row])
            elif value != MISSING:
                said[column] = value
        _refuse_contradiction(table, row, said)
        diagnoses.append(next(iter(said.values()), MISSING))
        sources.append(places[next(iter(said))][row] if said else MISSING)
    warnings = tuple(
        f"{places[column][0]}: values that are no diagnosis known here count as missing: "
        f"{describe_values(pd.Series(sorted(values)))}"
        for column, values in unknown.items()
    )
    return diagnoses, sources, warnings


def _refuse_contradiction(table: DeliveredTable, row: int, said: dict[str, str]) -> None:
    if len(set(said.values())) < 2:
        return
    first = next(iter(said))
    other = next(column for column in said if said[column] != said[first])
    raise CohortError(
        f"{table.where(row, first)}: says {said[first]}, but {table.where(row, other).partition(', ')[2]} of the "
        f"same row says {said[other]}; find out which is right and mend or remove the row"
    )
