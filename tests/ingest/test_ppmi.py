"""PPMI from folder to cohort by the shipped definition: who is what, and why the others are left out."""

from dataclasses import replace
from pathlib import Path

import pytest
from ingest.ida_delivery import IdaDelivery, Scan

from neurofocus.errors import CohortError
from neurofocus.ingest.flow import CohortTable
from neurofocus.ingest.ida import read_ida
from neurofocus.ingest.load import load_cohort
from neurofocus.ingest.series import unusable_series
from neurofocus.schema.cohort import CohortSpec, SeriesRule
from neurofocus.schema.load import load_cohort_spec

SHIPPED = load_cohort_spec("ppmi")
# Miniature volumes are not 100 slices thick.
SPEC: CohortSpec = SHIPPED.model_copy(
    update={
        "series": SeriesRule.model_validate(
            SHIPPED.series.model_dump() | {"min_slices": 3, "max_voxel_mm": 1.6}
        )
    }
)
STATUS = ["PATNO", "COHORT", "COHORT_DEFINITION", "ENROLL_DATE", "ENROLL_STATUS", "STATUS_DATE", "ENROLL_AGE"]
NAMES = {"1": "Parkinson's Disease", "2": "Healthy Control", "3": "SWEDD", "4": "Prodromal"}


def scan(patno: str, group: str, *, description: str = "MPRAGE GRAPPA", **other: str) -> Scan:
    plain = {"day": "2011-03-14", "visit": "Baseline", "kind": "Original", "sex": "M", "age": "61.2"}
    return Scan(patno, int(patno) + 200000, description=description, group=group, **(plain | other))  # type: ignore[arg-type]


PD = scan("3001", "PD")
HC = scan("3000", "Control", sex="F", age="69.1")
SWEDD = scan("3002", "SWEDD")
PRODROMAL = scan("3003", "Prodromal")
EVERYONE = [HC, PD, SWEDD, PRODROMAL]


def row(
    patno: str, code: str, *, status: str = "enrolled", age: str = "60.5", text: str | None = None
) -> list[str]:
    words = NAMES.get(code, "") if text is None else text
    return [patno, code, words, "01/2011", status, "05/2021", age]


ROWS = [row("3000", "2"), row("3001", "1"), row("3002", "3"), row("3003", "4")]


@pytest.fixture
def delivery(tmp_path: Path) -> IdaDelivery:
    made = IdaDelivery(tmp_path / "data", project="PPMI")
    for item in EVERYONE:
        made.put(item)
    made.collection(EVERYONE, name="PPMI_T1_3_12_2024.csv")
    return made


def status(
    delivery: IdaDelivery, rows: list[list[str]], name: str = "Participant_Status_12Mar2024.csv"
) -> None:
    delivery.table(name, STATUS, rows)


def dropped(cohort: CohortTable) -> dict[str, int]:
    return {step.step: step.count for step in cohort.flow if step.kind == "dropped"}


def labels(cohort: CohortTable) -> dict[str, int]:
    return dict(zip(cohort.table["participant_id"], cohort.table["label"], strict=True))


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
    delivery.collection([*EVERYONE, scan("3009", "Control")], name="PPMI_T1_3_12_2024.csv")
    status(delivery, [*ROWS, row("3009", "2", status=state)])
    cohort = load_cohort(SPEC, delivery.root)
    shown = state.lower() or "n/a"
    assert dropped(cohort)[f"enrolment status '{shown}' (1)"] == 1
    assert labels(cohort) == {"sub-PPMI3000": 0, "sub-PPMI3001": 1}


def test_people_whom_the_table_does_not_know(delivery: IdaDelivery) -> None:
    delivery.put(scan("3009", "Control"))
    delivery.collection([*EVERYONE, scan("3009", "Control")], name="PPMI_T1_3_12_2024.csv")
    status(delivery, ROWS)
    cohort = load_cohort(SPEC, delivery.root)
    (step,) = [step for step in cohort.flow if step.step.startswith("participant not in Participant_Status")]
    assert step.by_label == {"HC": 1}
    assert labels(cohort) == {"sub-PPMI3000": 0, "sub-PPMI3001": 1}


def test_without_a_status_table_the_group_serves_and_a_warning_says_so(delivery: IdaDelivery) -> None:
    phantom = scan("9999", "Phantom")
    genetic = scan("50001", "GenReg PD")
    for item in (phantom, genetic):
        delivery.put(item)
    delivery.collection([*EVERYONE, phantom, genetic], name="PPMI_T1_3_12_2024.csv")
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
    delivery.collection([replace(HC, age=""), *EVERYONE[1:]], name="PPMI_T1_3_12_2024.csv")
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


# Sex by code.


def demographics(delivery: IdaDelivery, codes: dict[str, str], column: str = "SEX") -> None:
    rows = [[patno, "05/1950", code] for patno, code in codes.items()]
    delivery.table("Demographics_12Mar2024.csv", ["PATNO", "BIRTHDT", column], rows)


def unknown_sex(delivery: IdaDelivery, *known: Scan) -> None:
    scans = [item if item in known else replace(item, sex="") for item in EVERYONE]
    delivery.collection(scans, name="PPMI_T1_3_12_2024.csv")
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


# Series: names met in PPMI.


@pytest.mark.parametrize(
    "name",
    [
        *(
            "MPRAGE",
            "MPRAGE_GRAPPA",
            "MPRAGE GRAPPA2(adni)",
            "SAG_3D_MPRAGE",
            "MPRAGEadni",
            "rpt_PPMI_MPRAGE_GRAPPA2",
        ),
        *("3D T1-weighted", "3D_T1-weighted", "3DT1weighted", "3D Sagittal T1", "T1-weighted, 3D VOLUMETRIC"),
        *("sT1W_3D_TFE", "sT1W_3D_FFE", "sT1W_3D_ISO", "T1W_3D_FFE COR", "Accelerated Sag IR-FSPGR"),
        *(
            "SAG FSPGR 3D VOLUMETRIC T1",
            "axial spgr",
            "SAG FSPGR BRAVO",
            "t1_mpr_ns_sag_p2_iso",
            "SAG 3D MPR",
        ),
        *("T1", "T1 REPEAT2", "Sag T1", "SAG MPRAGE GRAPPA2-NEW2016", "3D SAG"),
    ],
)
def test_series_names_accepted(name: str) -> None:
    folder = name.replace(" ", "_").replace(",", "_")
    assert [name_ for name_ in (name, folder) if reason(name_)] == []


@pytest.mark.parametrize(
    "name",
    [
        *(
            "2D GRE-MT",
            "2D GRE - MT",
            "AX GRE -MT",
            "NM-GRE",
            "Axial oblique 2D T1w Neuromelanin",
            "AX T1 SE C+",
        ),
        *(
            "SAG T1 SE",
            "3D T1-weighted_MPR_Cor",
            "3D T1-weighted_MPR_tra",
            "MPRAGE GRAPPA_ND",
            "3D T1-weighted_ND",
        ),
        *(
            "LOCALIZER",
            "3 Plane Localizer",
            "MPRAGE Phantom GRAPPA2",
            "3D T2 FLAIR",
            "Axial PD-T2 TSE",
            "DTI_gated",
        ),
        *("ax t1 reformat", "SURVEY", "SAG", "COR", "DaTSCAN", "T1 AXIAL", "rsfMRI_RL", "MPR - SmartBrain"),
    ],
)
def test_series_names_left_out(name: str) -> None:
    folder = name.replace(" ", "_").replace("+", "_")
    assert reason(name) and reason(folder)


def reason(description: str) -> str:
    import pandas as pd

    return str(unusable_series(pd.Series([description]), SHIPPED.series).iloc[0])


def test_thin_slices_of_a_whole_head_only(delivery: IdaDelivery) -> None:
    thick = scan("3004", "PD", description="T1")
    few = scan("3005", "PD", description="SAG_3D_MPRAGE")
    delivery.put(thick, voxel_mm=(5.0, 1.0, 1.0), form="nii.gz")
    delivery.put(few, shape=(2, 4, 5), form="dicom")
    delivery.collection([*EVERYONE, thick, few], name="PPMI_T1_3_12_2024.csv")
    status(delivery, [*ROWS, row("3004", "1"), row("3005", "1")])
    cohort = load_cohort(SPEC, delivery.root)
    assert labels(cohort) == {"sub-PPMI3000": 0, "sub-PPMI3001": 1}
    reasons = dropped(cohort)
    assert reasons["voxels longer than 1.6 mm: 'T1' (1)"] == 1
    assert reasons["fewer than 3 slices: 'SAG_3D_MPRAGE' (1)"] == 1
    assert (SHIPPED.series.min_slices, SHIPPED.series.max_voxel_mm) == (100, 1.6)


def test_the_first_session_counts(delivery: IdaDelivery) -> None:
    later = scan("3000", "Control", day="2012-03-14", visit="Month 12")
    later = replace(later, image=300001)
    earlier = replace(later, image=300002, day="2011-01-02", visit="Screening")
    for item in (later, earlier):
        delivery.put(item, leaf="S", form="dicom")
    delivery.collection([*EVERYONE, later, earlier], name="PPMI_T1_3_12_2024.csv")
    status(delivery, ROWS)
    cohort = load_cohort(SPEC, delivery.root)
    first = cohort.table.iloc[0]
    assert (first["session_id"], first["image_id"]) == ("ses-Screening", "I300002")
    assert Path(first["path"]).is_dir()
    assert dropped(cohort)["a later session of the same participant"] == 2
