"""Ages, sexes, dates and numbers in the ways that archives write them."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurofocus.errors import CohortError
from neurofocus.ingest.delivered import DeliveredTable
from neurofocus.ingest.values import dates, normal_sex, numbers, years


def table(*cells: str) -> DeliveredTable:
    frame = pd.DataFrame({"value": cells, "file": "T.csv", "line": range(2, 2 + len(cells))}, dtype=object)
    return DeliveredTable("role", frame, {"T.csv": {"value": "VALUE"}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2010-05-03", date(2010, 5, 3)),
        ("2010-05-03 08:15:00.0", date(2010, 5, 3)),
        ("2010-05-03_08_15_00.0", date(2010, 5, 3)),
        ("2010-05-03T08:15:00", date(2010, 5, 3)),
        ("2010/05/03", date(2010, 5, 3)),
        ("5/3/2010", date(2010, 5, 3)),
        ("05/03/10", date(2010, 5, 3)),
        ("05/03/99", date(1999, 5, 3)),
        ("3-May-2010", date(2010, 5, 3)),
        ("03MAY2010", date(2010, 5, 3)),
        ("20100503", date(2010, 5, 3)),
    ],
)
def test_dates(text: str, expected: date) -> None:
    found = dates(table(text, "n/a", ""), "value")
    assert found[0].date() == expected
    assert found.isna().tolist() == [False, True, True]


def test_one_day_above_twelve_says_that_the_whole_column_has_the_day_first() -> None:
    assert [day.date() for day in dates(table("3/4/2010", "31/5/2010"), "value")] == [
        date(2010, 4, 3),
        date(2010, 5, 31),
    ]
    with pytest.raises(
        CohortError, match=r"T\.csv: row 3, column 'VALUE': '31/5/2010' has the day first, row 2"
    ):
        dates(table("5/31/2010", "31/5/2010"), "value")


@pytest.mark.parametrize("text", ["soon", "13/13/2010", "2/30/2010", "2010-02-30"])
def test_a_date_that_is_none_is_named(text: str) -> None:
    with pytest.raises(CohortError, match=rf"row 3, column 'VALUE': holds '{text}'"):
        dates(table("1/1/2010", text), "value")


def test_a_date_that_a_spreadsheet_wrote_is_not_guessed() -> None:
    with pytest.raises(CohortError, match=r"row 2, .* holds '03\.01\.2006'; .* swapped day and month"):
        dates(table("03.01.2006"), "value")


@given(st.dates(min_value=date(1970, 1, 1), max_value=date(2069, 12, 31)))
def test_dates_round_trip_in_every_form(day: date) -> None:
    forms = [
        day.isoformat(),
        f"{day:%m/%d/%Y}",
        f"{day:%m/%d/%y}",
        f"{day:%d%b%Y}",
        f"{day:%Y-%m-%d_%H_%M_%S.0}",
    ]
    for form in forms:
        # Alone, a day up to 12 is read as the month of an American date, which is what was written.
        assert dates(table(form), "value")[0].date() == day


def test_numbers_and_codes_for_missing_ones() -> None:
    found = numbers(table("1", "2.50", "-4", "n/a", "1e2"), "value", missing=(-1, -4))
    assert found.fillna(-9).tolist() == [1, 2.5, -9, -9, 100]
    with pytest.raises(CohortError, match=r"row 3, column 'VALUE': holds 'x'; .*\(2 such values\)"):
        numbers(table("1", "x", "y"), "value")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, "M") for text in ("M", "male", "1", "1.0")),
        *((text, "F") for text in ("F", "Female", "2", "0")),
        ("n/a", "n/a"),
        ("X", "X"),
        ("other", "O"),
    ],
)
def test_sexes(text: str, expected: str) -> None:
    assert normal_sex(pd.Series([text])).tolist() == [expected]


def test_ages(tmp_path: Path) -> None:
    ages, warnings = years(pd.Series(["70.5", "89+", "n/a", "old", "61"]), "T.csv")
    assert ages.fillna(-1).tolist() == [70.5, 89, -1, -1, 61]
    assert warnings == (
        "T.csv: 1 top-coded ages such as '89+' count as the number",
        "T.csv: ages that are not numbers count as unknown: 'old' (1)",
    )
    assert years(pd.Series([70.5, float("nan")]), "T.csv")[1] == ()
