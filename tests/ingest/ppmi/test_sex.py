"""The sex of PPMI participants by numeric code: which code was met, and when it is not believed."""

from dataclasses import replace

import pytest
from ingest.ida_delivery import IdaDelivery, Scan
from ingest.ppmi_delivery import (
    EVERYONE,
    IMAGES,
    PD,
    ROWS,
    SPEC,
    SWEDD,
    status,
)

from neurofocus.ingest.load import load_cohort


def demographics(delivery: IdaDelivery, codes: dict[str, str], column: str = "SEX") -> None:
    rows = [[patno, "05/1950", code] for patno, code in codes.items()]
    delivery.table("Demographics_12Mar2024.csv", ["PATNO", "BIRTHDT", column], rows)


def unknown_sex(delivery: IdaDelivery, *known: Scan) -> None:
    scans = [item if item in known else replace(item, sex="") for item in EVERYONE]
    delivery.collection(scans, name=IMAGES)
    status(delivery, ROWS)


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ({"3000": "0", "3001": "1", "3003": "0.0"}, "0 female, 1 male"),
        ({"3000": "2", "3001": "1", "3003": "2"}, "1 male, 2 female"),
        ({"3000": "Female", "3001": "M"}, "letters"),
    ],
)
def test_sex_codes_are_met_and_named(delivery: IdaDelivery, codes: dict[str, str], words: str) -> None:
    unknown_sex(delivery, PD)
    demographics(delivery, codes)
    cohort = load_cohort(SPEC, delivery.root)
    assert list(cohort.table["sex"]) == ["F", "M"]
    assert list(cohort.table["sex_source"]) == ["Demographics_12Mar2024.csv:SEX", "PPMI_T1_3_12_2024.csv:Sex"]
    (warning,) = cohort.warnings
    assert f"read as {words} (confirmed by 1 scans" in warning


def test_a_sex_code_that_contradicts_the_letters_is_not_used(delivery: IdaDelivery) -> None:
    unknown_sex(delivery, PD, SWEDD)
    demographics(delivery, {"3000": "1", "3001": "0", "3002": "0"})
    cohort = load_cohort(SPEC, delivery.root)
    assert list(cohort.table["sex"]) == ["n/a", "M"]
    assert any("contradicts the image table for 2 of 2 scans" in note for note in cohort.warnings)


def test_single_disagreements_on_sex_are_counted(delivery: IdaDelivery) -> None:
    status(delivery, ROWS)
    demographics(delivery, {"3000": "1", "3001": "1", "3002": "1", "3003": "1"})
    cohort = load_cohort(SPEC, delivery.root)
    assert list(cohort.table["sex"]) == ["F", "M"]
    assert cohort.warnings == (
        "Demographics_12Mar2024.csv: 1 scans have another sex in the image table, which is used",
    )


def test_three_codes_are_not_guessed_and_gender_is_not_read(delivery: IdaDelivery) -> None:
    unknown_sex(delivery)
    demographics(delivery, {"3000": "0", "3001": "1", "3002": "2"})
    cohort = load_cohort(SPEC, delivery.root)
    assert list(cohort.table["sex"]) == ["n/a", "n/a"]
    assert any("fit none of the known codes" in note for note in cohort.warnings)
    demographics(delivery, {"3000": "0", "3001": "1"}, column="GENDER")
    assert load_cohort(SPEC, delivery.root).warnings == ()


def test_rows_of_one_participant_complete_each_other_and_may_not_contradict(delivery: IdaDelivery) -> None:
    unknown_sex(delivery)
    rows = [["3000", "0"], ["3000", "1"], ["3001", ""], ["3001", "1"]]
    delivery.table("Demographics.csv", ["PATNO", "SEX"], rows)
    cohort = load_cohort(SPEC, delivery.root)
    assert list(cohort.table["sex"]) == ["n/a", "M"]
    assert list(cohort.table["sex_source"]) == ["n/a", "Demographics.csv:SEX"]
    assert (
        "Demographics.csv: 1 participants have rows of different sex, none of which is used"
        in cohort.warnings
    )
