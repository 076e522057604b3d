"""What ADNIMERGE says of each participant, whatever the visit: baseline age, sex, enrolment group."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from neurofocus.ingest.adni.tables import roster_numbers
from neurofocus.ingest.adni.visits import read_visit
from neurofocus.ingest.delivered import DeliveredTable
from neurofocus.ingest.values import numbers
from neurofocus.tables import MISSING

__all__ = ["Person", "read_people"]


@dataclass(frozen=True)
class Person:
    """One participant; text is n/a and the age NaN where the table says nothing.

    Attributes:
        baseline_age: years, at baseline whatever the row's visit.
        age_source: FILE:COLUMN.
        sex: as delivered.
        sex_source: FILE:COLUMN.
        enrolment: the group at enrolment (DX_bl), such as EMCI or SMC.
    """

    baseline_age: float
    age_source: str
    sex: str
    sex_source: str
    enrolment: str


def read_people(tables: Sequence[DeliveredTable]) -> dict[int, Person]:
    """Return participants by roster number, from the tables that have such columns; an early visit speaks first."""
    people: dict[int, Person] = {}
    for table in tables:
        if any(table.has(column) for column in ("baseline_age", "sex", "enrolment")):
            for row in _first_values(table).itertuples(index=False):
                people.setdefault(int(row[0]), Person(*row[1:]))
    return people


def _first_values(table: DeliveredTable) -> pd.DataFrame:
    """Return each participant's first values by month; the order of the file does not matter."""
    frame = pd.DataFrame(
        {
            "rid": roster_numbers(table),
            "baseline_age": numbers(table, "baseline_age") if table.has("baseline_age") else float("nan"),
            "age_source": table.sources("baseline_age"),
            "sex": table.frame["sex"] if table.has("sex") else MISSING,
            "sex_source": table.sources("sex"),
            "enrolment": table.frame["enrolment"] if table.has("enrolment") else MISSING,
            "month": [_month(text) for text in table.frame["visit"]],
        }
    )
    ordered = frame.sort_values(["month", "baseline_age", "sex", "enrolment"], kind="stable")
    first = ordered.drop(columns="month").replace({MISSING: None}).groupby("rid", as_index=False).first()
    return first.fillna({"sex": MISSING, "enrolment": MISSING})


def _month(text: str) -> float:
    visit = read_visit(text)
    return float("inf") if visit is None or visit.month is None else visit.month
