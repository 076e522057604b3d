"""PPMI's Participant_Status table: which cohort each participant belongs to, and whether they took part."""

from dataclasses import dataclass

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.delivered import DeliveredTable
from neurofocus.ingest.series import plain_words
from neurofocus.tables import MISSING

__all__ = ["ParticipantStatus", "plain_number", "read_status"]

_COHORTS = {"1": "Parkinson's Disease", "2": "Healthy Control", "3": "SWEDD", "4": "Prodromal"}
# Its meaning was not checked against PPMI's own code list.
_UNSURE = {"9": "Early Imaging"}


@dataclass(frozen=True)
class ParticipantStatus:
    """Participant_Status, one row a participant.

    Attributes:
        frame: index PATNO; text columns cohort, cohort_source, status (lower case), age (at enrolment), age_source;
            "n/a" where the table says nothing, "" for a status that it has no column for; ``unsure`` (bool): the
            cohort is a code of unchecked meaning.
        file: its name.
        warnings: what a person should know.
    """

    frame: pd.DataFrame
    file: str
    warnings: tuple[str, ...]


def read_status(table: DeliveredTable) -> ParticipantStatus:
    """Read the table in any of its forms: COHORT as a number or a word, COHORT_DEFINITION, or both.

    Raises:
        CohortError: if there is no column for the cohort, a row's code and definition differ, or a participant has
            two rows that differ.
    """
    file = ", ".join(table.delivered)
    rows = table.frame
    if not (table.has("cohort") or table.has("cohort_definition")):
        raise CohortError(
            f"{file}: no column for the cohort; download Participant_Status again, it has COHORT and "
            "COHORT_DEFINITION"
        )
    codes = _column(table, "cohort").map(plain_number)
    coded = codes.map(lambda code: {**_COHORTS, **_UNSURE}.get(code, _unknown(code))).astype(object)
    texts = _column(table, "cohort_definition").str.replace("\u2019", "'")
    _refuse_contradictions(table, codes, texts)
    has_text = texts != MISSING
    has_status = table.has("enroll_status")
    frame = pd.DataFrame(
        {
            "cohort": texts.where(has_text, coded),
            "cohort_source": _sources(table, "cohort_definition").where(
                has_text, _sources(table, "cohort").where(coded != MISSING, MISSING)
            ),
            "status": _column(table, "enroll_status").str.lower() if has_status else "",
            "age": _column(table, "enroll_age"),
            "age_source": _sources(table, "enroll_age").where(
                _column(table, "enroll_age") != MISSING, MISSING
            ),
            "unsure": codes.isin(list(_UNSURE)) & ~has_text,
        }
    )
    warnings = list(table.warnings)
    if not has_status:
        warnings.append(f"{file}: no column ENROLL_STATUS; everybody whom it lists is used")
    people = rows["participant"].map(plain_number)
    _refuse_two_rows(table, people, frame)
    first = ~people.duplicated()
    return ParticipantStatus(frame[first].set_axis(people[first]), file, tuple(warnings))


def plain_number(text: str) -> str:
    """Return an identifier or code without what spreadsheets add to a number."""
    return text.strip().removesuffix(".0")


def _unknown(code: str) -> str:
    """Return a word as it stands, and let a code that is not known name itself."""
    return f"COHORT {code}" if code.isdecimal() else code.replace("\u2019", "'")


def _column(table: DeliveredTable, name: str) -> pd.Series:
    """Return a column as text, "n/a" throughout if no file has it."""
    if table.has(name):
        return table.frame[name].astype(object)
    return pd.Series(MISSING, index=table.frame.index, dtype=object)


def _sources(table: DeliveredTable, name: str) -> pd.Series:
    return pd.Series(table.sources(name), index=table.frame.index, dtype=object)


def _refuse_contradictions(table: DeliveredTable, codes: pd.Series, texts: pd.Series) -> None:
    """Refuse a row whose code means another cohort than its definition says."""
    meaning = codes.map(_COHORTS)
    wrong = (
        meaning.notna() & (texts != MISSING) & (meaning.fillna("").map(plain_words) != texts.map(plain_words))
    )
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise CohortError(
            f"{table.where(row, 'cohort')}: holds {codes.iloc[row]!r}, which means {meaning.iloc[row]!r}, but "
            f"the same row's definition is {texts.iloc[row]!r} ({int(wrong.sum())} such rows); "
            "download the table again"
        )


def _refuse_two_rows(table: DeliveredTable, people: pd.Series, frame: pd.DataFrame) -> None:
    """Refuse a participant with two rows that differ; equal ones merge."""
    said = frame[["cohort", "status", "age"]].apply(tuple, axis=1)
    wrong = said.groupby(people).transform("nunique") > 1
    if wrong.any():
        person = people[wrong].iloc[0]
        lines = table.frame.loc[wrong & (people == person), "line"]
        row = int(wrong.to_numpy().argmax())
        raise CohortError(
            f"{table.where(row, 'participant')}: participant {person} has rows that differ (rows "
            f"{', '.join(str(line) for line in lines)}); find out which is right and remove the others"
        )
