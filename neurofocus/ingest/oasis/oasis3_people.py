"""OASIS-3: ages at entry, sexes and scanners from the tables of two releases."""

import re

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.delivered import DeliveredTable
from neurofocus.ingest.oasis.oasis3_visits import days_of, subjects_of
from neurofocus.ingest.values import numbers
from neurofocus.tables import MISSING

__all__ = ["DAYS_A_YEAR", "entry_ages", "field_strengths", "first_known"]

DAYS_A_YEAR = 365.25
_TESLA = re.compile(r"(\d+(?:\.\d+)?)\s*T?", re.IGNORECASE)


def entry_ages(cdr: DeliveredTable, demographics: DeliveredTable | None) -> dict[str, tuple[float, str]]:
    """Return each person's age at entry in years and where it stands.

    The table of demographics goes before an age at entry in the table of visits (the first release), which goes
    before the age at the first visit less the days since entry.

    Args:
        cdr: the table of visits.
        demographics: None if there is none.

    Raises:
        CohortError: if an age is no number.
    """
    ages: dict[str, tuple[float, str]] = {}
    if cdr.has("age_at_visit"):
        since = [0 if day is None else day for day in days_of(cdr)]
        entry = numbers(cdr, "age_at_visit") - pd.Series(since, index=cdr.frame.index) / DAYS_A_YEAR
        ages |= _by_subject(cdr, entry, "age_at_visit")
    for table in (cdr, demographics):
        if table is not None and table.has("age_at_entry"):
            ages |= _by_subject(table, numbers(table, "age_at_entry"), "age_at_entry")
    return ages


def first_known(table: DeliveredTable | None, key: str, column: str) -> dict[str, tuple[str, str]]:
    """Return the value of each key (in capitals) that is not missing, and where it stands.

    Raises:
        CohortError: if one person is given two sexes.
    """
    known: dict[str, tuple[str, str]] = {}
    if table is None or not table.has(column):
        return known
    rows = zip(table.frame[key], table.frame[column], table.sources(column), strict=True)
    for row, (name, value, source) in enumerate(rows):
        if value == MISSING:
            continue
        first = known.setdefault(name.upper(), (value, source))
        if first[0] != value and column == "sex":
            raise CohortError(
                f"{table.where(row, column)}: {name!r} is {value!r} here and {first[0]!r} before; mend the table"
            )
    return known


def field_strengths(table: DeliveredTable | None) -> dict[str, str]:
    """Return the field strength of each session as text in tesla: ``3`` for 3, 3.0 and 3.0T; other text stays."""
    result = {}
    for session, (value, _) in first_known(table, "session", "field_strength").items():
        match = _TESLA.fullmatch(value)
        result[session] = value if match is None else f"{round(float(match[1]), 1):g}"
    return result


def _by_subject(table: DeliveredTable, ages: pd.Series, column: str) -> dict[str, tuple[float, str]]:
    result: dict[str, tuple[float, str]] = {}
    for subject, age, source in zip(subjects_of(table), ages, table.sources(column), strict=True):
        if not pd.isna(age):
            result.setdefault(subject, (float(age), source))
    return result
