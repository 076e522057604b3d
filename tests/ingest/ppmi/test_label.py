"""PPMI from folder to labels by the shipped definition: who is what, and why the others are left out."""

from dataclasses import replace

import pytest
from ingest.ida_delivery import IdaDelivery
from ingest.ppmi_delivery import (
    EVERYONE,
    HC,
    IMAGES,
    ROWS,
    SPEC,
    STATUS,
    dropped,
    labels,
    row,
    scan,
    status,
)

from neurofocus.errors import CohortError
from neurofocus.ingest.ida.reader import read_ida
from neurofocus.ingest.load import load_cohort


def test_swedd_and_prodromal_are_of_no_class(delivery: IdaDelivery) -> None:
    status(delivery, ROWS)
    cohort = load_cohort(SPEC, delivery.root)
    assert labels(cohort) == {"sub-PPMI3000": 0, "sub-PPMI3001": 1}
    assert list(SPEC.classes) == ["HC", "PD"]
    assert dropped(cohort) == {"cohort of no class: 'SWEDD' (1), 'Prodromal' (1)": 2}
    assert cohort.warnings == ()
    first = cohort.table.iloc[0]
    assert first["diagnosis"] == "Healthy Control"
    assert first["diagnosis_source"] == "Participant_Status_12Mar2024.csv:COHORT_DEFINITION"
    assert first["age_source"] == "PPMI_T1_3_12_2024.csv:Age"
    assert (first["age"], first["sex"], first["session_id"]) == (69.1, "F", "ses-Baseline")


@pytest.mark.parametrize("form", ["code", "text", "code as text", "text in COHORT"])
def test_cohort_as_code_text_or_both(delivery: IdaDelivery, form: str) -> None:
    header, rows = STATUS, ROWS
    if form == "code":
        header, rows = (
            [name for name in STATUS if name != "COHORT_DEFINITION"],
            [[*r[:2], *r[3:]] for r in ROWS],
        )
    elif form == "text":
        header, rows = [STATUS[0], *STATUS[2:]], [[r[0], *r[2:]] for r in ROWS]
    elif form == "code as text":
        rows = [[r[0] + ".0", r[1] + ".0", *r[2:]] for r in ROWS]
    else:
        header, rows = (
            [name for name in STATUS if name != "COHORT_DEFINITION"],
            [[r[0], *r[2:]] for r in ROWS],
        )
    delivery.table("Participant_Status.csv", header, rows)
    cohort = load_cohort(SPEC, delivery.root)
    assert labels(cohort) == {"sub-PPMI3000": 0, "sub-PPMI3001": 1}
    assert dropped(cohort) == {"cohort of no class: 'SWEDD' (1), 'Prodromal' (1)": 2}
    column = "COHORT_DEFINITION" if form in ("text", "code as text") else "COHORT"
    assert set(cohort.table["diagnosis_source"]) == {f"Participant_Status.csv:{column}"}


def test_status_wins_over_the_group_and_says_so(delivery: IdaDelivery) -> None:
    rows = [row("3000", "4"), row("3001", "3"), row("3002", "1"), row("3003", "2")]
    status(delivery, rows)
    cohort = load_cohort(SPEC, delivery.root)
    assert labels(cohort) == {"sub-PPMI3002": 1, "sub-PPMI3003": 0}
    (warning,) = cohort.warnings
    assert "4 scans have another group" in warning
    for text in (
        "'Control, now Prodromal' (1)",
        "'PD, now SWEDD' (1)",
        '"SWEDD, now',
        "'Prodromal, now Healthy Control' (1)",
    ):
        assert text.replace('"', "'") in warning


@pytest.mark.parametrize("state", ["Enrolled", "enrolled", "Withdrew", "WITHDREW", "Complete", "complete"])
def test_statuses_that_took_part(delivery: IdaDelivery, state: str) -> None:
    status(delivery, [row("3000", "2", status=state), *ROWS[1:]])
    assert "sub-PPMI3000" in labels(load_cohort(SPEC, delivery.root))


@pytest.mark.parametrize("state", ["Screened", "Declined", "Excluded", "Screen_failed", "Pending", ""])
def test_statuses_that_did_not_are_counted(delivery: IdaDelivery, state: str) -> None:
    delivery.put(scan("3009", "Control"))
    delivery.collection([*EVERYONE, scan("3009", "Control")], name=IMAGES)
    status(delivery, [*ROWS, row("3009", "2", status=state)])
    cohort = load_cohort(SPEC, delivery.root)
    shown = state.lower() or "n/a"
    assert dropped(cohort)[f"enrolment status '{shown}' (1)"] == 1
    assert labels(cohort) == {"sub-PPMI3000": 0, "sub-PPMI3001": 1}


def test_people_whom_the_table_does_not_know(delivery: IdaDelivery) -> None:
    delivery.put(scan("3009", "Control"))
    delivery.collection([*EVERYONE, scan("3009", "Control")], name=IMAGES)
    status(delivery, ROWS)
    cohort = load_cohort(SPEC, delivery.root)
    (step,) = [step for step in cohort.flow if step.step.startswith("participant not in Participant_Status")]
    assert step.by_label == {"HC": 1}
    assert labels(cohort) == {"sub-PPMI3000": 0, "sub-PPMI3001": 1}


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        ([row("4000", "1")], "participant not in Participant_Status_12Mar2024.csv: 4"),
        ([row(r[0], "1", status="Declined") for r in ROWS], "enrolment status 'declined' (4): 4"),
    ],
)
def test_a_status_table_that_leaves_nobody_says_why(
    delivery: IdaDelivery, rows: list[list[str]], part: str
) -> None:
    status(delivery, rows)
    with pytest.raises(CohortError) as caught:
        load_cohort(SPEC, delivery.root)
    text = str(caught.value)
    assert text.startswith("Participant_Status_12Mar2024.csv: no scan is left (") and part in text
    assert "subject 3000" in text and f"PATNO {rows[0][0]}" in text and "\n" not in text


def test_without_a_status_table_the_group_serves_and_a_warning_says_so(delivery: IdaDelivery) -> None:
    phantom = scan("9999", "Phantom")
    genetic = scan("50001", "GenReg PD")
    for item in (phantom, genetic):
        delivery.put(item)
    delivery.collection([*EVERYONE, phantom, genetic], name=IMAGES)
    cohort = load_cohort(SPEC, delivery.root)
    assert labels(cohort) == {"sub-PPMI3000": 0, "sub-PPMI3001": 1}
    (reason,) = dropped(cohort)
    assert reason.startswith("cohort of no class: ")
    assert all(f"'{name}' (1)" in reason for name in ("SWEDD", "Prodromal", "Phantom", "GenReg PD"))
    (warning,) = cohort.warnings
    assert "groups of the image table" in warning
    assert "Participant_Status*.csv" in warning
    assert set(cohort.table["diagnosis_source"]) == {"PPMI_T1_3_12_2024.csv:Group"}


@pytest.mark.parametrize("text", ["", "Early Imaging"])
def test_early_imaging_is_left_out(delivery: IdaDelivery, text: str) -> None:
    status(delivery, [ROWS[0], ROWS[1], row("3002", "9", text=text), row("3003", "7", text="")])
    cohort = load_cohort(SPEC, delivery.root)
    assert dropped(cohort) == {"cohort of no class: 'Early Imaging' (1), 'COHORT 7' (1)": 2}
    assert any("COHORT 9 (1 scans)" in note for note in cohort.warnings) == (text == "")


def test_the_newest_of_dated_status_tables_is_used(delivery: IdaDelivery) -> None:
    status(delivery, [row("3000", "1"), row("3001", "2")], name="Participant_Status_03Jan2023.csv")
    status(delivery, ROWS)
    cohort = load_cohort(SPEC, delivery.root)
    assert labels(cohort) == {"sub-PPMI3000": 0, "sub-PPMI3001": 1}
    assert any("Participant_Status_12Mar2024.csv: the newest of 2" in note for note in cohort.warnings)


def test_code_and_definition_that_differ_are_refused(delivery: IdaDelivery) -> None:
    status(delivery, [ROWS[0], row("3001", "1", text="Healthy Control")])
    with pytest.raises(CohortError) as caught:
        read_ida(delivery.root, SPEC)
    text = str(caught.value)
    assert "Participant_Status_12Mar2024.csv: row 3, column 'COHORT': holds '1'" in text
    assert "'Healthy Control' (1 such rows)" in text


def test_rows_of_one_participant_merge_if_equal_and_are_refused_if_not(delivery: IdaDelivery) -> None:
    status(delivery, [*ROWS, ROWS[0]])
    assert labels(load_cohort(SPEC, delivery.root)) == {"sub-PPMI3000": 0, "sub-PPMI3001": 1}
    status(delivery, [*ROWS, row("3000", "4")])
    with pytest.raises(CohortError, match=r"row 2, column 'PATNO': participant 3000 .*rows 2, 6"):
        read_ida(delivery.root, SPEC)


def test_a_table_without_cohort_or_status_columns(delivery: IdaDelivery) -> None:
    delivery.table("Participant_Status.csv", ["PATNO", "COHORT"], [r[:2] for r in ROWS])
    cohort = load_cohort(SPEC, delivery.root)
    assert labels(cohort) == {"sub-PPMI3000": 0, "sub-PPMI3001": 1}
    assert (
        "Participant_Status.csv: no column ENROLL_STATUS; everybody whom it lists is used" in cohort.warnings
    )
    delivery.table("Participant_Status.csv", ["PATNO", "ENROLL_AGE"], [["3000", "60"]])
    with pytest.raises(CohortError, match="no column for the cohort"):
        read_ida(delivery.root, SPEC)


def test_age_at_enrolment_fills_gaps(delivery: IdaDelivery) -> None:
    delivery.collection([replace(HC, age=""), *EVERYONE[1:]], name=IMAGES)
    status(delivery, ROWS)
    table = load_cohort(SPEC, delivery.root)
    assert list(table.table["age"]) == [60.5, 61.2]
    assert list(table.table["age_source"]) == [
        "Participant_Status_12Mar2024.csv:ENROLL_AGE",
        "PPMI_T1_3_12_2024.csv:Age",
    ]
    assert (
        "Participant_Status_12Mar2024.csv: 1 scans of unknown age get the age at enrolment" in table.warnings
    )
