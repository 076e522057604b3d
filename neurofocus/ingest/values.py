"""Ages, sexes, dates and numbers as archives write them; what cannot be read is listed, never guessed."""

import re
from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.delivered import DeliveredTable
from neurofocus.ingest.labels import describe_values
from neurofocus.tables import MISSING

__all__ = ["dates", "normal_sex", "numbers", "years"]

_SEX = {
    "m": "M",
    "male": "M",
    "1": "M",  # 1 male, 2 female (ADNI PTGENDER, OASIS-3 GENDER)
    "f": "F",
    "female": "F",
    "2": "F",
    "0": "F",  # 0 female, 1 male (PPMI SEX)
    "o": "O",
    "other": "O",
}
_DATE_FORMS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d_%H_%M_%S.%f",
    "%Y-%m-%dT%H:%M:%S",
    "%Y/%m/%d",
    "%Y%m%d",
    "%d-%b-%Y",
    "%d%b%Y",
    "%b %d, %Y",
)
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})(?!\d)")
_DOTTED = re.compile(r"\d{1,2}\.\d{1,2}\.\d{2}")
_MONTHS = 12
_TOO_YOUNG_CENTURY = 70  # a two-digit year below it is of this century: no MRI is older than 1970


def years(values: pd.Series, source: str) -> tuple[pd.Series, tuple[str, ...]]:
    """Return ages in years; "89+" (top-coded, as BIDS advises) counts as 89, other text as unknown.

    Args:
        values: the ages as delivered.
        source: of the values, for the warnings.

    Returns:
        float64, NaN where unknown, and warnings about values that are no plain numbers.
    """
    texts = values.astype(object).fillna(MISSING).astype(str)
    ages = pd.to_numeric(texts.str.removesuffix("+"), errors="coerce").astype("float64")
    warnings = []
    top = texts.str.fullmatch(r"[\d.]+\+")
    if top.any():
        warnings.append(
            f"{source}: {int(top.sum())} top-coded ages such as '{texts[top].iloc[0]}' count as the number"
        )
    unreadable = texts[ages.isna() & (texts != MISSING)]
    if len(unreadable):
        warnings.append(
            f"{source}: ages that are not numbers count as unknown: {describe_values(unreadable)}"
        )
    return ages, tuple(warnings)


def normal_sex(values: pd.Series) -> pd.Series:
    """Return M, F or O for the usual words and codes (1 male; 0 or 2 female); other values stay as they are."""
    return values.map(lambda value: _SEX.get(str(value).lower().removesuffix(".0"), str(value))).astype(
        object
    )


def numbers(table: DeliveredTable, column: str, *, missing: Sequence[float] = ()) -> pd.Series:
    """Return a column as float64, NaN where a value is missing.

    Args:
        table: the delivered table.
        column: our name of the column.
        missing: codes that mean that a value is missing, such as -1 and -4 in ADNI.

    Raises:
        CohortError: naming file, row, column and value of the first cell that holds no number.
    """
    texts = table.frame[column].replace({MISSING: None, "": None, "NA": None, "NaN": None})
    result = pd.to_numeric(texts, errors="coerce").astype("float64")
    wrong = result.isna() & texts.notna()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise CohortError(
            f"{table.where(row, column)}: holds {texts.iloc[row]!r}; a number is needed "
            f"({int(wrong.sum())} such values); mend the table"
        )
    return result.mask(result.isin(list(missing)))


def dates(table: DeliveredTable, column: str) -> pd.Series:
    """Return a column as dates (datetime64, NaT where missing): ISO, month/day/year, day-month name-year.

    Archives of the USA write the month first. A column that holds a first number above 12 is read with the day
    first throughout.

    Raises:
        CohortError: naming file, row, column and value of the first cell that holds no date, or a column in
            which both orders occur.
    """
    texts = table.frame[column].astype(str).str.strip()
    day_first = _day_first(table, column, texts)
    result: list[pd.Timestamp | None] = []
    for row, text in enumerate(texts):
        blank = text in (MISSING, "", "NA")
        found = None if blank else _date(text, day_first)
        if found is None and not blank:
            how = "mend the table"
            if _DOTTED.match(text):  # of 3/1/2006 some make 03.01.2006, which is another day
                how = "a spreadsheet wrote it and may have swapped day and month: put the downloaded table there as it is"
            raise CohortError(
                f"{table.where(row, column)}: holds {text!r}; a date is needed, such as 2010-05-31 or 5/31/2010; {how}"
            )
        result.append(None if found is None else pd.Timestamp(found))
    return pd.Series(result, index=texts.index, dtype="datetime64[ns]")


def _day_first(table: DeliveredTable, column: str, texts: pd.Series) -> bool:
    pairs = [(row, match) for row, text in enumerate(texts) if (match := _SLASHED.match(text))]
    day = [row for row, match in pairs if int(match[1]) > _MONTHS >= int(match[2])]
    month = [row for row, match in pairs if int(match[2]) > _MONTHS >= int(match[1])]
    if day and month:
        raise CohortError(
            f"{table.where(day[0], column)}: {texts.iloc[day[0]]!r} has the day first, "
            f"row {table.frame['line'].iloc[month[0]]} {texts.iloc[month[0]]!r} the month; write ISO dates (2010-05-31)"
        )
    return bool(day)


def _date(text: str, day_first: bool) -> datetime | None:
    if match := _SLASHED.match(text):
        first, second, year = int(match[1]), int(match[2]), int(match[3])
        if len(match[3]) == 2:  # a spreadsheet shortened it
            year += 2000 if year < _TOO_YOUNG_CENTURY else 1900
        day, month = (first, second) if day_first else (second, first)
        try:
            return datetime(year, month, day)
        except ValueError:
            return None
    for form in _DATE_FORMS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None
