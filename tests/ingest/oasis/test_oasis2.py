"""OASIS-2: several visits, groups that disagree with scores, pairs whose header knows its orientation or not."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from neurofocus.errors import CohortError
from neurofocus.ingest.flow import CohortTable
from neurofocus.ingest.load import load_cohort
from neurofocus.schema.load import load_cohort_spec
from tests.ingest.oasis_delivery import OASIS2_HEADER, put_analyze, put_nifti, put_table

SPEC = load_cohort_spec("oasis2")


def row(person: int, visit: int, group: str, cdr: str, age: int = 75) -> str:
    name = f"OAS2_{person:04d}"
    return f"{name}|{name}_MR{visit}|{group}|{visit}|{(visit - 1) * 500}|M|R|{age}|14|2|27|{cdr}|1987|0.696|0.883"


def put_visit(folder: Path, *, runs: int = 2, codes: int = 0) -> None:
    for run in range(1, runs + 1):
        put_nifti(folder / "RAW" / f"mpr-{run}.nifti.img", codes=codes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    put_table(
        data / "oasis_longitudinal_demographics.csv",
        OASIS2_HEADER,
        row(1, 1, "Nondemented", "0.0", 87),
        row(1, 2, "Nondemented", "0.0", 88),
        row(2, 1, "Demented", "0.5"),
        row(2, 3, "Demented", "1"),
        row(3, 1, "Converted", "0"),
        row(3, 2, "Converted", "0.5"),
        row(4, 1, "Nondemented", "0.5"),
        row(5, 1, "Demented", "0"),
        row(6, 1, "Demented", ""),
        row(7, 1, "Nondemented", "0"),
    )
    first, second = data / "OAS2_RAW_PART1", data / "OAS2_RAW_PART2"
    for person, visit in ((1, 1), (1, 2), (2, 1), (2, 3), (3, 1), (3, 2)):
        put_visit(first / f"OAS2_{person:04d}_MR{visit}")
    for person in (4, 5, 6):
        put_visit(second / f"OAS2_{person:04d}_MR1", runs=1)
    return data


def steps(cohort: CohortTable) -> dict[str, tuple[int, dict[str, int]]]:
    return {step.step: (step.count, dict(step.by_label)) for step in cohort.flow}


def test_visits_scores_and_the_converted(root: Path) -> None:
    cohort = load_cohort(SPEC, root)
    table = cohort.table
    assert list(table["participant_id"]) == ["sub-OASIS20001"] * 2 + ["sub-OASIS20002"] * 2
    assert list(table["session_id"]) == ["ses-MR1", "ses-MR2", "ses-MR1", "ses-MR3"]
    assert list(table["visit"]) == ["MR1", "MR2", "MR1", "MR3"]
    assert list(table["diagnosis"]) == ["0", "0", "0.5", "1"]
    assert list(table["label"]) == [0, 0, 1, 1]
    assert list(table["age"]) == [87.0, 88.0, 75.0, 75.0]
    assert {Path(path).name for path in table["path"]} == {"mpr-1.nifti.hdr"}
    counted = steps(cohort)
    assert counted["participants listed"][0] == 7
    assert counted["no image"] == (1, {"CN": 1})
    assert counted["images found"][0] == 15
    (dropped,) = (name for name in counted if name.startswith("CDR of no class"))
    for text in (
        "'0, later converted' (1)",
        "'0.5, converted' (1)",
        "'0.5, group Nondemented' (1)",
        "'0, group Demented' (1)",
    ):
        assert text in dropped
    assert counted["CDR is n/a"] == (1, {"n/a": 1})
    flow = [step for step in cohort.flow if step.unit == "scans"]
    assert flow[0].count - sum(step.count for step in flow if step.kind == "dropped") == flow[-1].count


def test_the_definition_can_use_the_converted(root: Path) -> None:
    spec = SPEC.model_copy(
        update={"classes": {"stable": ["0"], "later": ["0, later converted"]}, "session_rule": "first"}
    )
    table = load_cohort(spec, root).table
    assert list(table["participant_id"]) == ["sub-OASIS20001", "sub-OASIS20003"]
    assert list(table["label"]) == [0, 1]


def test_a_header_that_knows_its_orientation_is_believed(root: Path) -> None:
    for folder in (root / "OAS2_RAW_PART1").glob("OAS2_0002_*"):
        put_visit(folder, codes=1)
    cohort = load_cohort(SPEC, root)
    assert list(cohort.table["orientation"]) == ["ASL", "ASL", "header", "header"]
    told = [text for text in cohort.warnings if "(RAW…)" in text]
    assert any(text.startswith("7 scans") and "read as ASL" in text for text in told)
    assert any(text.startswith("2 scans") and "it is believed" in text for text in told)


def test_plain_analyze_and_shorter_names(root: Path) -> None:
    """Some copies hold mpr-1.hdr, and Analyze instead of NIfTI."""
    folder = root / "OAS2_RAW_PART1/OAS2_0001_MR1/RAW"
    for path in folder.iterdir():
        path.unlink()
    put_analyze(folder / "mpr-1.img", (16, 16, 8), (16.0, 16.0, 20.0))
    assert isinstance(nib.load(folder / "mpr-1.hdr"), nib.analyze.AnalyzeImage)
    first = load_cohort(SPEC, root).table.iloc[0]
    assert (Path(first["path"]).name, first["orientation"]) == ("mpr-1.hdr", "ASL")


def test_another_storage_is_recognised_by_the_field_of_view(root: Path) -> None:
    """Transverse slices of 160 x 256 x 256 mm cannot be sagittal; a cube fits no head."""
    for person, shape in ((1, (8, 12, 12)), (2, (12, 12, 12))):
        for visit in (1, 2, 3):
            folder = root / f"OAS2_RAW_PART1/OAS2_{person:04d}_MR{visit}"
            if folder.is_dir():
                put_analyze(folder / "RAW/mpr-1.img", shape, (20.0, 20.0, 20.0))
                for path in folder.glob("RAW/mpr-1.nifti.*"):
                    path.unlink()
    put_analyze(root / "OAS2_RAW_PART1/OAS2_0002_MR1/RAW/mpr-1.img", (12, 8, 12), (20.0, 20.0, 20.0))
    cohort = load_cohort(SPEC, root)
    assert list(cohort.table["orientation"]) == ["LAS", "LAS", "ASL", "ASL"]
    assert any(text.startswith("1 scan (RAW…)") and "suits no head" in text for text in cohort.warnings)


def test_a_damaged_header_is_left_to_preparation(root: Path) -> None:
    (root / "OAS2_RAW_PART1/OAS2_0001_MR1/RAW/mpr-1.nifti.hdr").write_bytes(b"gone")
    assert load_cohort(SPEC, root).table["orientation"].iloc[0] == "ASL"


def test_an_excel_file_is_named(root: Path) -> None:
    (root / "oasis_longitudinal_demographics.csv").rename(root / "oasis_longitudinal_demographics.xlsx")
    with pytest.raises(CohortError, match=r"demographics\.xlsx: an Excel file.*save it as CSV"):
        load_cohort(SPEC, root)


def test_wrong_and_missing_tables(root: Path) -> None:
    table = root / "oasis_longitudinal_demographics.csv"
    put_table(table, OASIS2_HEADER.replace("Group", "Cluster"), row(1, 1, "Nondemented", "0"))
    with pytest.raises(CohortError, match=r"'participants'.*lacks group"):
        load_cohort(SPEC, root)
    put_table(table, OASIS2_HEADER, row(1, 1, "Nondemented", "none"))
    with pytest.raises(CohortError, match=r"row 2, column 'CDR': holds 'none'"):
        load_cohort(SPEC, root)
    put_table(table, OASIS2_HEADER, row(88, 1, "Nondemented", "0"))
    with pytest.raises(CohortError, match="none of the sessions on disk"):
        load_cohort(SPEC, root)
    table.unlink()
    with pytest.raises(CohortError, match="no table 'participants'"):
        load_cohort(SPEC, root)


def test_no_images(root: Path, tmp_path: Path) -> None:
    bare = put_table(tmp_path / "bare/oasis_longitudinal.csv", OASIS2_HEADER, row(1, 1, "Nondemented", "0"))
    with pytest.raises(CohortError, match=r"no image OAS2_xxxx_MRy.*OAS2_RAW_PART1\.tar\.gz"):
        load_cohort(SPEC, bare.parent)


def test_a_folder_linked_into_itself_is_read_once(root: Path) -> None:
    (root / "OAS2_RAW_PART1" / "again").symlink_to(root, target_is_directory=True)
    assert np.array_equal(
        load_cohort(SPEC, root).table["session_id"], ["ses-MR1", "ses-MR2", "ses-MR1", "ses-MR3"]
    )
