"""OASIS-3 clinical visits: what the clinicians said nearest to a scan, and whether it lasted.

Days count from a person's entry; there are no dates. Sources: LaMontagne et al. 2019 (medRxiv 2019.12.13.19014902);
forms B4 (CDR and diagnosis in words) and D1 (diagnosis in flags) of the NACC Uniform Data Set.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.delivered import DeliveredTable
from neurofocus.ingest.oasis.tables import cdr_texts, delivered_table, optional_table
from neurofocus.ingest.values import numbers
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["CONTRADICTION", "PASSING", "UNCERTAIN", "Visit", "diagnosis_near", "read_visits", "subjects_of"]

UNCERTAIN = "CN, uncertain later"
PASSING = "AD, normal later"
CONTRADICTION = "contradictory rows on one day"
_NORMAL = "Cognitively normal"
_DEMENTIA = "AD Dementia"
# "AD Dementia", "AD dem w/depresss  contribut" …, and "DAT" of early visits; not what names AD as no main cause.
_AD = re.compile(r"(ad dem|dat\b)(?!.*cannot be primary)", re.IGNORECASE)
_LEAST_CDR = 0.5
_DAY = re.compile(r"_d(-?\d+)$")


@dataclass(frozen=True, order=True)
class Visit:
    """One clinical visit.

    Attributes:
        day: since the person's entry.
        diagnosis: ``CN`` (CDR 0 and cognitively normal), ``AD`` (CDR 0.5 or more and Alzheimer's dementia), or the
            score and the words that were given.
        source: where the words stand.
        rated: whether there is a score; a visit without one labels no scan, but tells what came later.
    """

    day: int
    diagnosis: str
    source: str
    rated: bool = True


def read_visits(
    root: Path, spec: CohortSpec
) -> tuple[dict[str, list[Visit]], DeliveredTable, tuple[str, ...]]:
    """Return the visits of each person by day, the table they are from, and warnings.

    Form D1 (role ``diagnoses``) speaks where form B4 (role ``cdr``) leaves the diagnosis blank. Visits without a
    score are kept if their words are not those of a normal person.

    Raises:
        CohortError: if the table of CDR scores is missing, or holds no days.
    """
    table = delivered_table(root, "cdr", spec)
    flags, flagged = _flags(root, spec)
    visits, blank, differing = _rows(table, flags, flagged)
    file = ", ".join(table.delivered)
    remarks = []
    if blank:
        remarks.append(f"{file}: {blank} visits without a CDR score or a day label no scan")
    if differing:
        remarks.append(f"{file}: dx1 and form D1 differ at {differing} visits; dx1 is used")
    demented = {
        key: Visit(key[1], told, flagged, rated=False) for key, told in flags.items() if told == _DEMENTIA
    }
    return _by_person(demented | visits), table, (*table.warnings, *remarks)


def diagnosis_near(visits: Sequence[Visit], day: int, match_days: int) -> Visit | None:
    """Return the visit nearest to a day, the earlier of two as near; None if none is within ``match_days``.

    A person who is normal there but not at every later visit is ``CN, uncertain later``; one who is demented
    there and normal at a later visit is ``AD, normal later``.

    Args:
        visits: of one person.
        day: of the scan.
        match_days: longest distance that still counts.
    """
    rated = (visit for visit in visits if visit.rated)
    nearest = min(rated, key=lambda visit: (abs(visit.day - day), visit.day), default=None)
    if nearest is None or abs(nearest.day - day) > match_days:
        return None
    later = {visit.diagnosis for visit in visits if visit.day > nearest.day}
    if nearest.diagnosis == "CN" and later - {"CN"}:
        return Visit(nearest.day, UNCERTAIN, nearest.source)
    if nearest.diagnosis == "AD" and "CN" in later:
        return Visit(nearest.day, PASSING, nearest.source)
    return nearest


def subjects_of(table: DeliveredTable) -> list[str]:
    """Return the person of each row: OAS30001."""
    return [subject.upper() for subject in table.frame["subject"]]


def days_of(table: DeliveredTable) -> list[int | None]:
    """Return the days since entry of each row, from their own column or the end of the visit's label.

    Raises:
        CohortError: if the table has neither.
    """
    if table.has("days"):
        return [None if pd.isna(day) else round(day) for day in numbers(table, "days")]
    if not table.has("label"):
        raise CohortError(
            f"{', '.join(table.delivered)}: no column of days since entry (days_to_visit) and no visit labels "
            "such as OAS30001_UDSb4_d0339; take the table of the OASIS-3 download as it is"
        )
    matches = [_DAY.search(label) for label in table.frame["label"]]
    return [None if match is None else int(match[1]) for match in matches]


def _rows(
    table: DeliveredTable, flags: Mapping[tuple[str, int], str], flagged: str
) -> tuple[dict[tuple[str, int], Visit], int, int]:
    """Return the visits by person and day, how many rows lack score or day, and how many contradict form D1."""
    rows = zip(
        subjects_of(table),
        days_of(table),
        cdr_texts(table),
        table.frame["dx1"],
        table.sources("dx1"),
        strict=True,
    )
    visits: dict[tuple[str, int], Visit] = {}
    blank = differing = 0
    for subject, day, cdr, words, source in rows:
        blank += cdr == MISSING or day is None
        if day is None:
            continue
        told = flags.get((subject, day))
        differing += told is not None and words != MISSING and told != _kind(words)
        if words == MISSING and told is not None:
            words, source = told, flagged
        if cdr == MISSING and (words == MISSING or _kind(words) == _NORMAL):
            continue
        visit = Visit(day, _diagnosis(cdr, words), source, rated=cdr != MISSING)
        other = visits.setdefault((subject, day), visit)
        if other.diagnosis != visit.diagnosis:
            visits[subject, day] = Visit(day, CONTRADICTION, source)
    return visits, blank, differing


def _by_person(visits: Mapping[tuple[str, int], Visit]) -> dict[str, list[Visit]]:
    people: dict[str, list[Visit]] = {}
    for (subject, _), visit in sorted(visits.items()):
        people.setdefault(subject, []).append(visit)
    return people


def _kind(words: str) -> str:
    """Return what form D1 would say in our words, or the words themselves."""
    if words.lower() == _NORMAL.lower():
        return _NORMAL
    return _DEMENTIA if _AD.match(words) else words


def _diagnosis(cdr: str, words: str) -> str:
    if cdr == MISSING:
        return f"no CDR, {words}"
    kind = _kind(words)
    if cdr == "0" and kind == _NORMAL:
        return "CN"
    if float(cdr) >= _LEAST_CDR and kind == _DEMENTIA:
        return "AD"
    return f"CDR {cdr}, {'no diagnosis' if words == MISSING else words}"


def _flags(root: Path, spec: CohortSpec) -> tuple[Mapping[tuple[str, int], str], str]:
    """Return what form D1 says of each person and day where it is clear: normal, or probable Alzheimer's dementia."""
    table = optional_table(root, "diagnoses", spec)
    if table is None:
        return {}, MISSING
    names = ("normal", "demented", "probable_ad", "ad", "ad_primary")
    flags = pd.DataFrame({name: _flag(table, name) for name in names})
    dementia = flags["demented"] & (flags["probable_ad"] | (flags["ad"] & flags["ad_primary"]))
    told = {
        (subject, day): _NORMAL if normal else _DEMENTIA
        for subject, day, normal, ad in zip(
            subjects_of(table), days_of(table), flags["normal"], dementia, strict=True
        )
        if day is not None and normal != ad
    }
    return told, table.sources("normal")[0] if len(table.frame) else MISSING


def _flag(table: DeliveredTable, column: str) -> pd.Series:
    if not table.has(column):
        return pd.Series(False, index=table.frame.index)
    return pd.to_numeric(table.frame[column], errors="coerce") == 1
