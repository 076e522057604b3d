"""Which visit of the diagnosis tables a scan belongs to: by the visit's code, else by the nearest examination."""

from dataclasses import dataclass

import pandas as pd

from neurofocus.ingest.adni.codes import CONTRADICTION
from neurofocus.ingest.adni.diagnoses import Diagnoses, Visit
from neurofocus.ingest.adni.tables import roster_number
from neurofocus.ingest.adni.visits import read_visit
from neurofocus.tables import MISSING

__all__ = ["CONTRADICTED", "MISDATED", "NOBODY", "NO_DIAGNOSIS", "Match", "match_scans"]

NOBODY = "participant in no diagnosis table"
CONTRADICTED = "diagnoses at the visit contradict each other"
MISDATED = "visit code and date of the scan lead to different diagnoses"
NO_DIAGNOSIS = "no diagnosis at the visit"


@dataclass(frozen=True)
class Match:
    """A scan and its visit.

    Attributes:
        rid: the roster number, None if the scan's subject has none.
        visit: the one whose diagnosis the scan takes; None if there is none.
        month: of the scan's own visit, None where neither its name nor the tables say it.
        reason: why there is no visit; "" if there is one.
        by_date: the visit is the nearest examination, not the one of the same code.
        days: between scan and examination, None where a date is missing.
    """

    rid: int | None
    visit: Visit | None
    month: int | None
    reason: str
    by_date: bool = False
    days: int | None = None


def match_scans(frame: pd.DataFrame, diagnoses: Diagnoses, match_days: int) -> list[Match]:
    """Return one match a scan.

    The diagnosis is that of the same visit: the code of the scan's visit as the participant's rows of the tables use
    it, or its month since baseline (screening and baseline are both month 0). Where the tables have no diagnosis at
    that visit or do not know it, that of the nearest examination, at most ``match_days`` away (of two as near the
    earlier). A visit at which the tables contradict each other gives no diagnosis, nor does another in its place; nor
    does a visit more than ``match_days`` from the scan if the examination near the scan gave another diagnosis.

    Args:
        frame: columns subject, visit, acq_time.
        diagnoses: of the delivery.
        match_days: of the cohort definition.
    """
    days = pd.to_datetime(frame["acq_time"], errors="coerce", format="ISO8601").dt.tz_localize(None)
    return [
        _match(
            subject,
            visit,
            None if pd.isna(day) else day,
            diagnoses=diagnoses,
            match_days=match_days,
        )
        for subject, visit, day in zip(frame["subject"], frame["visit"], days, strict=True)
    ]


def _match(
    subject: str, visit: str, day: pd.Timestamp | None, *, diagnoses: Diagnoses, match_days: int
) -> Match:
    rid = roster_number(subject)
    month = _month(rid, visit, diagnoses)
    visits = diagnoses.of(subject)
    if rid is None or not visits:
        return Match(rid, None, month, NOBODY)
    near = _nearest(visits, day, match_days)
    same = next((item for item in visits if item.month == month), None)
    if same is not None and same.diagnosis != MISSING:
        days = _days(day, same)
        if near is not None and (days or 0) > match_days and near.diagnosis != same.diagnosis:
            return Match(rid, None, month, MISDATED, days=days)
        return _matched(rid, same, month, by_date=False, days=days)
    if near is None:
        return Match(rid, None, month, NO_DIAGNOSIS)
    return _matched(rid, near, month, by_date=True, days=_days(day, near))


def _matched(rid: int, visit: Visit, month: int | None, *, by_date: bool, days: int | None) -> Match:
    if visit.diagnosis == CONTRADICTION:
        return Match(rid, None, month, CONTRADICTED, by_date, days)
    return Match(rid, visit, month, "", by_date, days)


def _month(rid: int | None, visit: str, diagnoses: Diagnoses) -> int | None:
    """Return the months since baseline of a scan's visit."""
    name = read_visit(visit)
    if name is None:
        return None
    known = None if rid is None else diagnoses.months.get((rid, name.code))
    return name.month if known is None else known


def _nearest(visits: tuple[Visit, ...], day: pd.Timestamp | None, match_days: int) -> Visit | None:
    """Return the nearest visit that has a date and a diagnosis (or a contradiction), None if it is too far."""
    found: list[tuple[int, Visit]] = []
    for visit in visits:
        gap = _days(day, visit)
        if gap is not None and gap <= match_days and visit.diagnosis != MISSING:
            found.append((gap, visit))
    # The visits come in order of time: of two as near, min takes the earlier.
    return min(found, key=lambda item: item[0])[1] if found else None


def _days(day: pd.Timestamp | None, visit: Visit) -> int | None:
    return None if day is None or visit.date is None else abs((day - visit.date).days)
