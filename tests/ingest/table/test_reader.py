"""Tables of scans: our own read back, other people's with their names, and what is refused."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from neurofocus.errors import CohortError
from neurofocus.ingest.load import load_cohort
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec
from neurofocus.tables import read_tsv, write_tsv


@pytest.fixture
def spec() -> CohortSpec:
    return load_cohort_spec("table")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Four scans in a folder of their own, beside which tables are written."""
    for name in ("a", "b", "c", "d"):
        (tmp_path / "nii").mkdir(exist_ok=True)
        nib.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4)).to_filename(tmp_path / f"nii/{name}.nii")
    return tmp_path


def put(path: Path, *lines: str, sep: str = "\t") -> Path:
    path.write_text("".join(line.replace("|", sep) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("sep", ["\t", ",", ";"])
@pytest.mark.parametrize("by_folder", [True, False])
def test_a_table_of_ones_own(scans: Path, spec: CohortSpec, sep: str, by_folder: bool) -> None:
    file = put(
        scans / "list.csv",
        "Subject ID|Session|File|Diagnosis|AGE|Gender|Center|space|MagneticFieldStrength",
        "001|m00|nii/a.nii|CN|70|female|Lund|n/a|3",
        "001|m12|nii/b.nii|AD|71|female|Lund||3",
        "002|m00|nii/c.nii|Dementia|80|m|Lyon|MNI152NLin2009cSym|1.5",
        f"003|m00|{scans / 'nii/d.nii'}|MCI|90|m|Lyon|native|1.5",
        sep=sep,
    )
    cohort = load_cohort(spec, scans if by_folder else file)
    table = cohort.table
    assert list(table["participant_id"]) == ["sub-001", "sub-002"]
    assert list(table["session_id"]) == ["ses-m00", "ses-m00"]
    assert list(table["path"]) == [str(scans / "nii/a.nii"), str(scans / "nii/c.nii")]
    assert list(table["label"]) == [0, 1]
    assert list(table["sex"]) == ["F", "M"]
    assert list(table["site"]) == ["Lund", "Lyon"]
    assert list(table["space"]) == ["native", "template"]
    assert list(table["field_strength"]) == ["3", "1.5"]
    assert list(table["diagnosis_source"]) == ["list.csv:Diagnosis"] * 2
    assert list(table["age_source"]) == ["list.csv:AGE"] * 2
    steps = {step.step: step.count for step in cohort.flow}
    assert steps["scans listed"] == 4
    assert steps["diagnosis of no class: 'MCI' (1)"] == 1


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    """A BIDS data set whose sessions are in another order in time than by name; one age is unknown."""
    root = tmp_path / "bids"
    for person, session in (("01", "b"), ("01", "a"), ("02", "a")):
        path = root / f"sub-{person}/ses-{session}/anat/sub-{person}_ses-{session}_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        nib.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4)).to_filename(path)
    put(root / "participants.tsv", "participant_id|diagnosis|age|sex", "sub-01|HC|70.25|F", "sub-02|AD|n/a|M")
    put(root / "sub-01/sub-01_sessions.tsv", "session_id|acq_time", "ses-a|1950-06-01", "ses-b|1950-01-01")
    return root


@pytest.mark.parametrize("rule", ["all", "first"])
@pytest.mark.parametrize("labels", ["position", "name", "none"])
def test_our_own_table_reads_back_the_same(bids: Path, tmp_path: Path, rule: str, labels: str) -> None:
    definition = load_cohort_spec("bids").model_copy(update={"session_rule": rule})
    table = load_cohort(definition, bids).table
    assert table.loc[table["session_id"] == "ses-b", "session_order"].tolist() == [1]
    written = table.copy()
    if labels == "name":
        written["label"] = [list(definition.classes)[label] for label in table["label"]]
    elif labels == "none":
        written = written.drop(columns="label")
    write_tsv(tmp_path / "scan.tsv", written)
    for cohort in (definition, load_cohort_spec("table").model_copy(update={"session_rule": rule})):
        again = load_cohort(cohort, tmp_path / "scan.tsv")
        pd.testing.assert_frame_equal(again.table, table.assign(cohort=cohort.name).astype({"cohort": str}))
        assert again.warnings == ()
    write_tsv(tmp_path / "again.tsv", table)
    assert read_tsv(tmp_path / "again.tsv")["age"].tolist() == ["70.25"] * (len(table) - 1) + ["n/a"]


@pytest.mark.parametrize(("first", "second", "warned"), [("0", "1", True), ("CN", "AD", False)])
def test_labels_alone(scans: Path, spec: CohortSpec, first: str, second: str, warned: bool) -> None:
    file = put(
        scans / "t.tsv",
        "participant_id|path|label",
        f"1|nii/a.nii|{first}",
        f"2|nii/b.nii|{second}",
        "3|nii/c.nii|",
    )
    cohort = load_cohort(spec, file)
    assert list(cohort.table["label"]) == [0, 1]
    assert list(cohort.table["diagnosis_source"]) == ["t.tsv:label"] * 2
    assert cohort.warnings == (("column 'label' is read by position: 0 as CN, 1 as AD",) if warned else ())


def test_times_order_sessions_and_are_not_kept(scans: Path, spec: CohortSpec) -> None:
    for times in (("3/1/1950", "2/28/1950"), ("1950-03-01T10:00:00", "1950-02-28T10:00:00")):
        file = put(
            scans / "t.tsv",
            "participant_id|session_id|path|diagnosis|acq_time",
            f"1|a|nii/a.nii|CN|{times[0]}",
            f"1|b|nii/b.nii|CN|{times[1]}",
            f"2|a|nii/c.nii|AD|{times[0]}",
        )
        table = load_cohort(spec, file).table
        assert list(table["session_id"]) == ["ses-b", "ses-a"]
        assert not any("1950" in str(cell) for cell in table.to_numpy().ravel())


def test_a_folder_of_a_dicom_series_is_a_path(scans: Path, spec: CohortSpec) -> None:
    (scans / "dicom").mkdir()
    file = put(scans / "t.tsv", "participant_id|path|diagnosis", "1|dicom|CN", "2|nii/b.nii|AD")
    assert load_cohort(spec, file).table["path"].iloc[0] == str(scans / "dicom")


HEADER = "participant_id|session_id|path|diagnosis|label|space"
GOOD = "2|m0|nii/b.nii|AD|AD|native"


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (
            [HEADER, "1|m0|nii/x.nii|CN||", "2|m0|y.nii|CN||", GOOD],
            ["'path'", "2 of 3 files", "row 2: nii/x.nii"],
        ),
        ([HEADER, "1|m0||CN||", GOOD], ["1 of 2 files", "row 2: n/a"]),
        ([HEADER, GOOD, "|m0|nii/a.nii|CN||"], ["row 3", "'participant_id'", "empty"]),
        ([HEADER, "1_1|m0|nii/a.nii|CN||", "11|m0|nii/c.nii|AD||"], ["'11' and '1_1' both become 'sub-11'"]),
        ([HEADER, "1|2010-05-31|nii/a.nii|CN||", GOOD], ["row 2", "'session_id'", "a date"]),
        ([HEADER, "1|ses-20100531|nii/a.nii|CN||", GOOD], ["'ses-20100531'", "a date"]),
        ([HEADER, "1|m-1|nii/a.nii|CN||", "1|m1|nii/c.nii|CN||"], ["both become 'ses-m1'"]),
        ([HEADER, "1|m0|nii/a.nii|CN|2|", GOOD], ["'label'", "'2'", "accepted are CN, AD, or 0 to 1"]),
        ([HEADER, "1|m0|nii/a.nii|CN|1|", GOOD], ["'1' means AD", "says 'CN'", "of class CN"]),
        ([HEADER, "1|m0|nii/a.nii|MCI|CN|", GOOD], ["'CN' means CN", "says 'MCI'", "of class none"]),
        ([HEADER, "1|m0|nii/a.nii|CN||Talairach", GOOD], ["'space'", "'Talairach'", "native, template"]),
        ([HEADER], ["no rows"]),
        (["participant_id|path", "1|nii/a.nii"], ["no column 'diagnosis' and no column 'label'"]),
        (
            ["participant_id|diagnosis", "1|CN"],
            ["no column path (path or file", "it has participant_id, diagnosis"],
        ),
    ],
)
def test_refused_tables(scans: Path, spec: CohortSpec, lines: list[str], parts: list[str]) -> None:
    file = put(scans / "t.tsv", *lines)
    with pytest.raises(CohortError) as caught:
        load_cohort(spec, file)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_another_label_column_is_not_replaced_by_diagnosis(scans: Path, spec: CohortSpec) -> None:
    file = put(scans / "t.tsv", "participant_id|path|diagnosis", "1|nii/a.nii|CN", "2|nii/b.nii|AD")
    tables = {"scans": spec.tables["scans"].model_copy(update={"columns": {"path": ("path",)}})}
    other = spec.model_copy(update={"label_column": "dx_at_scan", "tables": tables})
    with pytest.raises(CohortError, match="no column 'dx_at_scan' and no column 'label'"):
        load_cohort(other, file)


def test_no_table_in_the_folder(scans: Path, spec: CohortSpec) -> None:
    with pytest.raises(CohortError, match=r"no table 'scans'.*participant_id \(.*path \("):
        load_cohort(spec, scans)


def test_how_files_are_stored_is_kept(scans: Path, spec: CohortSpec) -> None:
    file = put(
        scans / "list.tsv",
        "participant_id|path|diagnosis|orientation",
        "1|nii/a.nii|CN|ASL",
        "2|nii/b.nii|AD|header",
        "3|nii/c.nii|AD|n/a",
    )
    assert list(load_cohort(spec, file).table["orientation"]) == ["ASL", "header", "header"]
    put(file, "participant_id|path|diagnosis|orientation", "1|nii/a.nii|CN|ASA")
    with pytest.raises(CohortError, match=r"row 2, column 'orientation': holds 'ASA'; accepted are header"):
        load_cohort(spec, file)
