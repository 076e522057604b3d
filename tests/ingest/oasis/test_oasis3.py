"""OASIS-3: files found by name, labels from the nearest clinical visit and from what came later, two releases."""

import shutil
from pathlib import Path

import pytest

from neurofocus.errors import CohortError
from neurofocus.ingest.flow import CohortTable
from neurofocus.ingest.load import load_cohort
from neurofocus.ingest.oasis.oasis3_visits import Visit, diagnosis_near
from neurofocus.schema.load import load_cohort_spec
from tests.ingest.oasis_delivery import put_nifti, put_table

SPEC = load_cohort_spec("oasis3")
B4 = "OASISID|OASIS_session_label|days_to_visit|age at visit|MMSE|memory|CDRSUM|CDRTOT|dx1|dx2"
D1 = "OASISID|OASIS_session_label|days_to_visit|age at visit|NORMCOG|DEMENTED|PROBAD|POSSAD"
DEMOGRAPHICS = "OASISID|Subject_accession|AgeatEntry|AgeatDeath|GENDER|EDUC|HAND|APOE"
SCANNERS = "subject_id|label|scan category|filename|Manufacturer|ManufacturersModelName|MagneticFieldStrength"
NORMAL, DEMENTIA = "Cognitively normal", "AD Dementia"


def visit(person: int, day: int, cdr: str, words: str) -> str:
    name = f"OAS3{person:04d}"
    return f"{name}|{name}_UDSb4_d{day:04d}|{day:04d}|70.00|29|0|0|{cdr}|{words}|."


def put_scan(root: Path, person: int, day: int, *, rest: str = "", folder: str = "anat2/NIFTI") -> Path:
    name = f"OAS3{person:04d}"
    return put_nifti(root / f"{name}_MR_d{day:04d}" / folder / f"sub-{name}_ses-d{day:04d}{rest}_T1w.nii.gz")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    tables = data / "OASIS3_data_files" / "scans"
    put_table(
        tables / "UDSb4-Form_B4__Global_Staging__CDR/resources/csv/files/OASIS3_UDSb4_cdr.csv",
        B4,
        visit(1, 0, "0.0", NORMAL),
        visit(1, 339, "0.0", NORMAL),
        visit(2, 0, "0", NORMAL),
        visit(2, 400, "0.5", "uncertain dementia"),
        visit(3, 10, "1.0", DEMENTIA),
        visit(4, 0, "0.5", "AD dem w/depresss- contribut"),
        visit(5, 0, "0.5", "uncertain dementia"),
        visit(6, 0, "0", NORMAL),
    )
    put_table(
        tables / "demo-demographics/resources/csv/files/OASIS3_demographics.csv",
        DEMOGRAPHICS,
        *(
            f"OAS3{person:04d}|X|{60 + person}|.|{sex}|16|R|33"
            for person, sex in ((1, 2), (2, 1), (3, 1), (4, 2), (5, 1))
        ),
    )
    put_table(
        tables / "MRI-json-MRI_json_information/resources/csv/files/OASIS3_MR_json.csv",
        SCANNERS,
        "OAS30001|OAS30001_MR_d0129|T1w|sub-OAS30001_ses-d0129_T1w.json|Siemens|TrioTim|3",
        "OAS30001|OAS30001_MR_d0129|T2w|sub-OAS30001_ses-d0129_T2w.json|Siemens|TrioTim|3",
        "OAS30003|OAS30003_MR_d0020|T1w|sub-OAS30003_ses-d0020_T1w.json||Vision|1.494",
    )
    put_scan(data, 1, 129)
    put_scan(data, 2, 30, rest="_run-01")
    put_scan(data, 2, 30, rest="_run-02", folder="anat3/NIFTI")
    put_scan(data, 3, 20)
    put_scan(data, 4, 5)
    put_scan(data, 5, 5)
    return data


def steps(cohort: CohortTable) -> dict[str, tuple[int, dict[str, int]]]:
    return {step.step: (step.count, dict(step.by_label)) for step in cohort.flow}


def table_of(root: Path, name: str) -> Path:
    (path,) = root.rglob(name)
    return path


def test_values_and_where_they_stand(root: Path) -> None:
    table = load_cohort(SPEC, root).table
    assert list(table["participant_id"]) == ["sub-OAS30001", "sub-OAS30003", "sub-OAS30004"]
    assert list(table["session_id"]) == ["ses-d0129", "ses-d0020", "ses-d0005"]
    assert list(table["diagnosis"]) == ["CN", "AD", "AD"]
    assert list(table["label"]) == [0, 1, 1]
    # 61 + 129 / 365.25 = 61.353; 63 + 20 / 365.25 = 63.055; 64 + 5 / 365.25 = 64.014
    assert list(table["age"]) == [61.35, 63.05, 64.01]
    assert list(table["sex"]) == ["F", "M", "F"]
    assert list(table["manufacturer"]) == ["Siemens", "n/a", "n/a"]
    assert list(table["field_strength"]) == ["3", "1.5", "n/a"]
    assert list(table["visit"]) == ["d0129", "d0020", "d0005"]
    assert {text.rsplit("/", 1)[-1] for text in table["diagnosis_source"]} == {"OASIS3_UDSb4_cdr.csv:dx1"}
    assert {text.rsplit("/", 1)[-1] for text in table["age_source"]} == {"OASIS3_demographics.csv:AgeatEntry"}
    assert {text.rsplit("/", 1)[-1] for text in table["sex_source"]} == {"OASIS3_demographics.csv:GENDER"}
    assert set(table["orientation"]) == {"header"}


def test_flow(root: Path) -> None:
    cohort = load_cohort(SPEC, root)
    counted = steps(cohort)
    assert counted["participants with visits"] == (6, {"AD": 2, "CN": 3, "other": 1})
    assert counted["no image"] == (1, {"CN": 1})
    assert counted["images found"][0] == 6
    (dropped,) = (name for name in counted if name.startswith("diagnosis of no class"))
    assert "'CN, uncertain later' (2)" in dropped
    assert "'CDR 0.5, uncertain dementia' (1)" in dropped
    assert counted["scans used"] == (3, {"AD": 2, "CN": 1})
    flow = [step for step in cohort.flow if step.unit == "scans"]
    assert flow[0].count - sum(step.count for step in flow if step.kind == "dropped") == flow[-1].count
    assert cohort.warnings == ()


@pytest.mark.parametrize(("distance", "used"), [(364, True), (365, True), (366, False)])
@pytest.mark.parametrize("side", [-1, 1])
def test_the_window(root: Path, distance: int, used: bool, side: int) -> None:
    put_table(
        table_of(root, "OASIS3_UDSb4_cdr.csv"),
        B4,
        visit(1, 129, "0", NORMAL),
        visit(3, 1000 + side * distance, "1", DEMENTIA),
    )
    shutil.rmtree(root / "OAS30003_MR_d0020")
    put_scan(root, 3, 1000)
    cohort = load_cohort(SPEC, root)
    assert ("sub-OAS30003" in set(cohort.table["participant_id"])) == used
    assert ("no clinical visit within 365 days" in steps(cohort)) != used


def test_nearest_visit_ties_and_what_came_later() -> None:
    early, late = Visit(0, "CN", "a"), Visit(200, "AD", "b")
    assert diagnosis_near([early, late], 100, 365) == Visit(0, "CN, uncertain later", "a"), "tie: the earlier"
    assert diagnosis_near([late, early], 100, 365) == Visit(0, "CN, uncertain later", "a")
    assert diagnosis_near([early, late], 101, 365) == late
    assert diagnosis_near([Visit(-50, "CDR 0.5, uncertain dementia", "a"), early], 10, 365) == early
    assert diagnosis_near([early, Visit(900, "CN", "c")], 10, 365) == early
    assert diagnosis_near([early, Visit(900, "CDR 0, no diagnosis", "c")], 10, 365) != early
    assert diagnosis_near([], 10, 365) is None


def test_dementia_that_passes_is_no_lasting_diagnosis() -> None:
    demented, later = Visit(0, "AD", "a"), Visit(400, "CN", "b")
    assert diagnosis_near([demented, later], 10, 365) == Visit(0, "AD, normal later", "a")
    assert diagnosis_near([demented, Visit(400, "CDR 0.5, uncertain dementia", "b")], 10, 365) == demented


@pytest.mark.parametrize("later", [DEMENTIA, "uncertain dementia"])
def test_a_later_visit_without_a_score_still_says_what_it_says(root: Path, later: str) -> None:
    """Words without a score label no scan, but they end "normal at all later visits"."""
    put_table(
        table_of(root, "OASIS3_UDSb4_cdr.csv"),
        B4,
        visit(1, 129, "0", NORMAL),
        visit(1, 500, "", later),
        visit(2, 30, "0", NORMAL),
        visit(2, 400, "", NORMAL),
        visit(3, 20, "1", DEMENTIA),
        visit(4, 4, "1", DEMENTIA),
        visit(4, 5, "", NORMAL),
    )
    cohort = load_cohort(SPEC, root)
    seen = dict(zip(cohort.table["participant_id"], cohort.table["diagnosis"], strict=True))
    assert seen == {"sub-OAS30002": "CN", "sub-OAS30003": "AD", "sub-OAS30004": "AD"}
    assert "diagnosis of no class: 'CN, uncertain later' (1)" in steps(cohort)
    assert any("3 visits without a CDR score or a day label no scan" in text for text in cohort.warnings)


def test_form_d1_of_a_later_day_ends_normality(root: Path) -> None:
    put_table(
        table_of(root, "OASIS3_UDSb4_cdr.csv"), B4, visit(1, 129, "0", NORMAL), visit(3, 20, "1", DEMENTIA)
    )
    put_table(root / "OASIS3_UDSd1_diagnoses.csv", D1, "OAS30001|OAS30001_UDSd1_d0900|900|72|0|1|1|")
    cohort = load_cohort(SPEC, root)
    assert list(cohort.table["participant_id"]) == ["sub-OAS30003"]


@pytest.mark.parametrize(
    ("cdr", "words", "diagnosis"),
    [
        ("0", "cognitively normal", "CN"),
        ("0.5", NORMAL, "CDR 0.5, Cognitively normal"),
        ("0", "No dementia", "CDR 0, No dementia"),
        ("0", DEMENTIA, "CDR 0, AD Dementia"),
        ('"0,5"', DEMENTIA, "AD"),
        ("2", "DAT", "AD"),
        ("1", "AD dem Language dysf after", "AD"),
        ("1", "AD dem cannot be primary", "CDR 1, AD dem cannot be primary"),
        ("1", "Non AD dem- Other primary", "CDR 1, Non AD dem- Other primary"),
        ("1", "DLBD- primary", "CDR 1, DLBD- primary"),
        ("0", ".", "CDR 0, no diagnosis"),
        ("", NORMAL, None),
    ],
)
def test_scores_and_words(root: Path, cdr: str, words: str, diagnosis: str | None) -> None:
    put_table(
        table_of(root, "OASIS3_UDSb4_cdr.csv"), B4, visit(1, 129, cdr, words), visit(3, 20, "1", DEMENTIA)
    )
    spec = SPEC.model_copy(update={"classes": {"seen": [diagnosis or "CN"], "other": ["never"]}})
    if diagnosis is None:
        spec = SPEC
    cohort = load_cohort(spec, root)
    seen = dict(zip(cohort.table["participant_id"], cohort.table["diagnosis"], strict=True))
    assert seen.get("sub-OAS30001") == diagnosis
    assert any("without a CDR score" in text for text in cohort.warnings) == (diagnosis is None)


def test_form_d1_speaks_where_form_b4_is_silent(root: Path) -> None:
    put_table(
        table_of(root, "OASIS3_UDSb4_cdr.csv"),
        B4,
        visit(1, 0, "0", "."),
        visit(3, 20, "1", ""),
        visit(4, 5, "0.5", DEMENTIA),
        visit(5, 5, "0.5", "."),
    )
    put_table(
        root / "OASIS3_UDSd1_diagnoses.csv",
        D1,
        "OAS30001|OAS30001_UDSd1_d0000|0|70|1|0||",
        "OAS30003|OAS30003_UDSd1_d0020|20|70|0|1|1|",
        "OAS30004|OAS30004_UDSd1_d0005|5|70|1|0||",
        "OAS30005|OAS30005_UDSd1_d0005|5|70|0|1||1",
    )
    cohort = load_cohort(SPEC, root)
    assert list(cohort.table["diagnosis"]) == ["CN", "AD", "AD"]
    assert cohort.table["diagnosis_source"].iloc[0] == "OASIS3_UDSd1_diagnoses.csv:NORMCOG"
    assert any("differ at 1 visits; dx1 is used" in text for text in cohort.warnings)
    assert "diagnosis of no class: 'CDR 0.5, no diagnosis' (1)" in steps(cohort), "possible AD is not enough"


def test_contradictory_rows_of_a_day_give_no_label(root: Path) -> None:
    path = table_of(root, "OASIS3_UDSb4_cdr.csv")
    put_table(
        path, B4, visit(1, 0, "0", NORMAL), visit(1, 0, "1", DEMENTIA), *(visit(3, 20, "1", DEMENTIA),) * 2
    )
    cohort = load_cohort(SPEC, root)
    assert list(cohort.table["participant_id"]) == ["sub-OAS30003"]
    assert "diagnosis of no class: 'contradictory rows on one day' (1)" in steps(cohort)


@pytest.mark.parametrize(
    "place",
    [
        "OAS30003_MR_d0020/anat5/BIDS/sub-OAS30003_ses-d0020_run-01_T1w.nii.gz",
        "OAS30003_MR_d0020/anat5/sub-OAS30003_sess-d0020_T1w.nii",
        "sub-OAS30003/ses-d0020/anat/sub-OAS30003_ses-d0020_acq-MPRAGE_run-02_T1w.nii.gz",
        "all/OAS30003_MR_d0020_anat2_T1w.nii.gz",
        "OAS30003_MR_d0020/anat2/T1w.nii.gz",
        "oasis_1117/sub_OAS30003_ses_d0020_T1w.nii.gz",
    ],
)
def test_files_are_found_in_every_shape_of_download(root: Path, place: str) -> None:
    shutil.rmtree(root / "OAS30003_MR_d0020")
    put_nifti(root / place)
    table = load_cohort(SPEC, root).table
    assert table["session_id"].iloc[1] == "ses-d0020"
    assert Path(table["path"].iloc[1]) == root / place


def test_the_same_scan_twice_counts_once(root: Path) -> None:
    """Scripts leave the NIFTI folder and a BIDS copy side by side; T2w, derived and nameless files are no scans."""
    copy = root / "bids/sub-OAS30003/sess-d0020/anat/sub-OAS30003_sess-d0020_T1w.nii"
    put_nifti(copy)
    put_nifti(root / "OAS30003_MR_d0020/anat3/sub-OAS30003_ses-d0020_T2w.nii.gz")
    put_nifti(root / "fmriprep/sub-OAS30003_ses-d0020_space-MNI152NLin6Asym_T1w.nii.gz")
    put_nifti(root / "mean_T1w.nii.gz")
    cohort = load_cohort(SPEC, root)
    assert steps(cohort)["another file of the same name in the session"] == (1, {"AD": 1})
    assert steps(cohort)["images found"][0] == 7
    assert any("they are derived: sub-OAS30003_ses-d0020_space-MNI" in text for text in cohort.warnings)
    assert any("says whose they are: mean_T1w.nii.gz" in text for text in cohort.warnings)


def test_a_file_in_another_sessions_folder(root: Path) -> None:
    put_nifti(root / "OAS30003_MR_d0020/anat2/sub-OAS30004_ses-d0005_T1w.nii.gz")
    with pytest.raises(CohortError, match=r"does not fit its folder \(OAS30003_MR_d0020\)"):
        load_cohort(SPEC, root)


def test_later_sessions_and_people_without_visits_are_counted(root: Path) -> None:
    put_scan(root, 1, 400)
    put_scan(root, 8, 3)
    counted = steps(load_cohort(SPEC, root))
    assert counted["a later session of the same participant"] == (1, {"CN": 1})
    assert counted["participant not in the table of visits"] == (1, {"n/a": 1})


def test_the_first_release(root: Path) -> None:
    """ADRC Clinical Data: days stand in the label only, age at entry and score under other names."""
    shutil.rmtree(root / "OASIS3_data_files")
    put_table(
        root / "ADRC_Clinical_Data.csv",
        "ADRC_ADRCCLINICALDATA ID|Subject|Date|Age|mmse|ageAtEntry|cdr|commun|dx1|apoe",
        "OAS30001_ClinicalData_d0000|OAS30001||61|29|61.25|0.0|0|Cognitively normal|33",
        "OAS30003_ClinicalData_d0010|OAS30003||63|20|63.5|1.0|1|AD Dementia|34",
        sep="\t",
        ends="\r\n",
    )
    put_table(root / "subjects.csv", "Subject|M/F|Hand", "OAS30001|F|R", "OAS30003|M|R")
    put_table(
        root / "MR_Sessions.csv",
        "MR ID|Subject|Date|Age|Scanner|Scans",
        "OAS30001_MR_d0129|OAS30001||61|3.0T|T1w(1)",
    )
    table = load_cohort(SPEC, root).table
    assert list(table["diagnosis"]) == ["CN", "AD"]
    assert list(table["age"]) == [61.6, 63.55]  # 61.25 + 129 / 365.25; 63.5 + 20 / 365.25
    assert list(table["sex"]) == ["F", "M"]
    assert list(table["field_strength"]) == ["3", "n/a"]


def test_age_from_the_visits_and_absent_optional_tables(root: Path) -> None:
    for name in ("OASIS3_demographics.csv", "OASIS3_MR_json.csv"):
        table_of(root, name).unlink()
    cohort = load_cohort(SPEC, root)
    assert cohort.table["age"].iloc[0] == 70.35  # 70 at day 0, + 129 / 365.25
    assert set(cohort.table["sex"]) == {"n/a"}
    assert any("no table 'demographics'" in text and "sex is unknown" in text for text in cohort.warnings)
    assert any("no table 'scanners'" in text for text in cohort.warnings)


def test_wrong_and_missing_tables(root: Path) -> None:
    path = table_of(root, "OASIS3_UDSb4_cdr.csv")
    put_table(path, B4.replace("CDRTOT", "total"), visit(1, 0, "0", NORMAL))
    with pytest.raises(CohortError, match=r"no table 'cdr'.*UDSb4.*lacks cdr"):
        load_cohort(SPEC, root)
    put_table(path, B4, visit(1, 0, "none", NORMAL))
    with pytest.raises(CohortError, match=r"OASIS3_UDSb4_cdr\.csv: row 2, column 'CDRTOT': holds 'none'"):
        load_cohort(SPEC, root)
    put_table(path, "OASISID|CDRTOT|dx1", "OAS30001|0|Cognitively normal")
    with pytest.raises(CohortError, match="no column of days since entry"):
        load_cohort(SPEC, root)
    put_table(path, B4, visit(77, 0, "0", NORMAL))
    with pytest.raises(CohortError, match=r"no scan on disk .* within 365 days"):
        load_cohort(SPEC, root)
    path.rename(root / "OASIS3_UDSb4_cdr.xlsx")
    with pytest.raises(CohortError, match=r"UDSb4_cdr\.xlsx: an Excel file"):
        load_cohort(SPEC, root)
    (root / "OASIS3_UDSb4_cdr.xlsx").unlink()
    with pytest.raises(CohortError, match="no table 'cdr'"):
        load_cohort(SPEC, root)


def test_dots_are_missing_values(root: Path) -> None:
    path = table_of(root, "OASIS3_demographics.csv")
    put_table(path, DEMOGRAPHICS, "OAS30001|X|.|.|.|16|R|33", "OAS30003|X|63|.|1|16|R|33")
    table = load_cohort(SPEC, root).table
    assert list(table["sex"]) == ["n/a", "M", "n/a"]
    assert list(table["age"]) == [70.35, 63.05, 70.01], "from the visits where entry is unknown"
    assert table["age_source"].iloc[0].endswith("OASIS3_UDSb4_cdr.csv:age at visit")


def test_two_sexes_of_one_person(root: Path) -> None:
    path = table_of(root, "OASIS3_demographics.csv")
    put_table(path, DEMOGRAPHICS, "OAS30001|X|60|.|1|16|R|33", "OAS30001|X|60|.|2|16|R|33")
    with pytest.raises(CohortError, match="row 3, column 'GENDER': 'OAS30001' is '2' here and '1' before"):
        load_cohort(SPEC, root)


def test_no_images(root: Path) -> None:
    for path in sorted(root.rglob("*.nii.gz")):
        path.unlink()
    with pytest.raises(CohortError, match="no image sub-OAS3xxxx_ses-dxxxx"):
        load_cohort(SPEC, root)
