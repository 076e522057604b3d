"""Miniature BIDS data sets, each with one thing that a delivery may hold."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from neurofocus.errors import CohortError
from neurofocus.ingest.flow import COHORT_COLUMNS, flow_table
from neurofocus.ingest.load import load_cohort
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec

SPEC = CohortSpec(
    name="mini",
    title="mini",
    description="mini",
    layout="bids",
    classes={"CN": ["CN", "HC"], "AD": ["AD"]},
)


def put_scan(root: Path, relative: str, value: float = 0.0) -> Path:
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(np.full((2, 2, 2), value, np.float32), np.eye(4)).to_filename(path)
    return path


def put_table(path: Path, *lines: str, sep: str = "\t") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(sep.join(line.split("|")) + "\n" for line in lines), encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, one excluded value, one unlabelled, one without a scan."""
    data = tmp_path / "data"
    put_table(
        data / "participants.tsv",
        "participant_id|age|sex|diagnosis|site",
        "sub-01|70.5|m|CN|A",
        "02|81|Female|AD|n/a",
        "sub-03|n/a|F|MCI|A",
        "sub-04|66|M|n/a|B",
        "sub-05|72|F|HC|B",
    )
    for number in ("01", "02", "03", "04"):
        put_scan(data, f"sub-{number}/anat/sub-{number}_T1w.nii.gz", float(number))
    return data


def test_columns_types_and_values(root: Path) -> None:
    cohort = load_cohort(SPEC, root)
    table = cohort.table
    assert tuple(table.columns) == COHORT_COLUMNS
    assert list(table["participant_id"]) == ["sub-01", "sub-02"]
    assert list(table["label"]) == [0, 1]
    assert list(table["diagnosis"]) == ["CN", "AD"]
    assert table["age"].tolist() == [70.5, 81.0]
    assert table["age"].dtype == np.float64
    assert list(table["sex"]) == ["M", "F"]
    assert list(table["site"]) == ["A", "unknown"]
    assert list(table["session_id"]) == ["n/a", "n/a"]
    assert list(table["space"]) == ["native", "native"]
    assert all(Path(path).is_absolute() and Path(path).is_file() for path in table["path"])
    assert cohort.warnings == ()


def test_flow_counts_every_scan_and_every_label(root: Path) -> None:
    flow = load_cohort(SPEC, root).flow
    by_step = {step.step: (step.count, dict(step.by_label)) for step in flow}
    assert by_step["participants listed"] == (5, {"AD": 1, "CN": 2, "MCI": 1, "n/a": 1})
    assert by_step["no T1w scan"] == (1, {"CN": 1})
    assert by_step["T1w scans found"] == (4, {"AD": 1, "CN": 1, "MCI": 1, "n/a": 1})
    assert by_step["diagnosis is n/a"] == (1, {"n/a": 1})
    assert by_step["diagnosis of no class: 'MCI' (1)"] == (1, {"MCI": 1})
    assert by_step["scans used"] == (2, {"AD": 1, "CN": 1})
    scans = [step for step in flow if step.unit == "scans"]
    dropped = sum(step.count for step in scans if step.kind == "dropped")
    assert scans[0].count - dropped == scans[-1].count
    assert flow_table(flow)["by_label"].iloc[-1] == "AD 1, CN 1"


def test_first_run_plainest_name_and_template_space_win(root: Path) -> None:
    put_scan(root, "sub-01/anat/sub-01_run-10_T1w.nii.gz")
    (root / "sub-01/anat/sub-01_T1w.nii.gz").rename(root / "sub-01/anat/sub-01_run-2_T1w.nii.gz")
    put_scan(root, "sub-02/anat/sub-02_acq-mprage_T1w.nii.gz")
    cohort = load_cohort(SPEC, root)
    names = [Path(path).name for path in cohort.table["path"]]
    assert names == ["sub-01_run-2_T1w.nii.gz", "sub-02_T1w.nii.gz"]
    assert {step.step: step.count for step in cohort.flow}["another run or variant in the same session"] == 2
    put_scan(root, "sub-02/anat/sub-02_space-MNI152NLin2009cAsym_desc-preproc_T1w.nii")
    table = load_cohort(SPEC, root).table
    assert list(table["space"]) == ["native", "template"]
    assert table["path"].iloc[1].endswith("desc-preproc_T1w.nii")


@pytest.fixture
def longitudinal(root: Path) -> Path:
    for session in ("M12", "M0", "M6"):
        put_scan(root, f"sub-01/ses-{session}/anat/sub-01_ses-{session}_T1w.nii.gz")
    (root / "sub-01/anat/sub-01_T1w.nii.gz").unlink()
    return root


def test_first_session_in_numeric_order_without_times(longitudinal: Path) -> None:
    cohort = load_cohort(SPEC, longitudinal)
    assert list(cohort.table["session_id"]) == ["ses-M0", "n/a"]
    assert {step.step: step.count for step in cohort.flow}["a later session of the same participant"] == 2


def test_sessions_table_overrides_and_orders_by_time(longitudinal: Path) -> None:
    put_table(
        longitudinal / "sub-01/sub-01_sessions.tsv",
        "session_id|diagnosis|age|acq_time",
        "ses-M0|AD|72.5|1925-03-01T00:00:00",
        "M6|n/a|71.5|1924-03-01T00:00:00",
        "ses-M12|AD|73.5|1926-03-01T00:00:00",
    )
    cohort = load_cohort(SPEC.model_copy(update={"session_rule": "all"}), longitudinal)
    rows = cohort.table.set_index("session_id")
    assert list(rows.loc[["ses-M0", "ses-M12"], "session_order"]) == [1, 2]
    # Where sessions have diagnoses, the person's one in participants.tsv (CN) is no visit's: M6 has none.
    assert "ses-M6" not in rows.index
    assert {step.step: step.count for step in cohort.flow}["diagnosis is n/a"] == 2
    assert any(
        text.startswith(
            "1 scans have no diagnosis of their visit, others of the same people have: participants.tsv"
        )
        for text in cohort.warnings
    )


def test_times_decide_which_session_is_the_first(longitudinal: Path) -> None:
    put_table(
        longitudinal / "sub-01/sub-01_sessions.tsv",
        "session_id|diagnosis|age|acq_time",
        "ses-M0|n/a|72.5|1925-03-01T00:00:00",
        "M6|n/a|71.5|1924-03-01T00:00:00",
        "ses-M12|n/a|73.5|1926-03-01T00:00:00",
    )
    row = load_cohort(SPEC, longitudinal).table.iloc[0]
    assert row["session_id"] == "ses-M6"
    assert row["diagnosis"] == "CN"  # no session says anything, so participants.tsv speaks
    assert row["age"] == 71.5


@pytest.mark.parametrize("unclear", ["n/a", "03/01/1923"])
def test_one_unclear_time_lets_names_decide(longitudinal: Path, unclear: str) -> None:
    put_table(
        longitudinal / "sub-01/sub-01_sessions.tsv",
        "session_id|acq_time",
        "ses-M0|1925-03-01",
        "ses-M6|1924-03-01",
        f"ses-M12|{unclear}",
    )
    assert load_cohort(SPEC, longitudinal).table["session_id"].iloc[0] == "ses-M0"


def test_labels_may_live_in_the_sessions_tables_only(longitudinal: Path) -> None:
    put_table(longitudinal / "participants.tsv", "participant_id|sex", "01|M", "sub-02|F")
    put_table(
        longitudinal / "sub-01/sub-01_sessions.tsv",
        "session_id|Diagnosis",
        "ses-M0|MCI",
        "ses-M6|AD",
        "ses-M12|AD",
    )
    table = load_cohort(SPEC, longitudinal).table
    assert list(table["session_id"]) == ["ses-M6"]
    assert list(table["label"]) == [1]


def test_derivative_finds_the_tables_of_its_raw_data_set(root: Path) -> None:
    derivative = root / "derivatives" / "prep"
    put_scan(derivative, "sub-01/anat/sub-01_space-MNI152NLin6Asym_T1w.nii.gz")
    put_scan(derivative, "sub-02/anat/sub-02_space-T1w_desc-brain_T1w.nii.gz")
    table = load_cohort(SPEC, derivative).table
    assert list(table["space"]) == ["template", "native"]
    assert list(table["label"]) == [0, 1]


def test_participants_without_row_are_counted(root: Path) -> None:
    put_scan(root, "sub-99/anat/sub-99_T1w.nii.gz")
    flow = {step.step: step.count for step in load_cohort(SPEC, root).flow}
    assert flow["participant not in participants.tsv"] == 1


def test_ages_that_are_no_numbers_are_reported(root: Path) -> None:
    put_table(root / "participants.tsv", "participant_id|AGE|diagnosis", "sub-01|89+|CN", "sub-02|60-65|AD")
    cohort = load_cohort(SPEC, root)
    assert cohort.table["age"].iloc[0] == 89.0
    assert np.isnan(cohort.table["age"].iloc[1])
    assert any("'89+'" in text for text in cohort.warnings)
    assert any("'60-65' (1)" in text for text in cohort.warnings)


def test_windows_line_ends_and_byte_order_mark(root: Path) -> None:
    text = (root / "participants.tsv").read_text(encoding="utf-8")
    (root / "participants.tsv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert len(load_cohort(SPEC, root).table) == 2


def test_the_shipped_definition_reads(root: Path) -> None:
    spec = load_cohort_spec("bids")
    assert list(spec.classes) == ["CN", "AD"]
    assert len(load_cohort(spec, root).table) == 2


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (
            ["participant|diagnosis", "sub-01|CN"],
            ["participants.tsv", "'participant_id'", "did you mean 'participant'"],
        ),
        (
            ["participant_id|Diagnossis", "sub-01|CN"],
            ["'diagnosis'", "did you mean 'Diagnossis'", "label_column"],
        ),
        (["participant_id|diagnosis", "sub-01|CN", "01|AD"], ["'sub-01'", "rows 2 and 3"]),
        (["participant_id|diagnosis", "sub-01|1", "sub-02|1"], ["'1' (2)", "CN: 'CN', 'HC'", "classes"]),
        (["participant_id|diagnosis", "sub-01|ad", "sub-02|1"], ["did you mean 'AD'"]),
        (["participant_id|diagnosis", "sub-77|CN"], ["sub-01", "sub-77"]),
        (["participant_id|diagnosis", "sub-01|CN|x"], ["row 2", "3 cells"]),
        (["participant_id,diagnosis", "sub-01,CN"], ["tab-separated"]),
        (["participant_id|diagnosis|diagnosis"], ["'diagnosis' appears twice"]),
        (["participant_id|diagnosis", "|CN"], ["row 2 has no participant_id"]),
        ([], ["empty"]),
    ],
)
def test_refused_participants_tables(root: Path, lines: list[str], parts: list[str]) -> None:
    put_table(root / "participants.tsv", *lines)
    with pytest.raises(CohortError) as caught:
        load_cohort(SPEC, root)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_missing_participants_table_suggests_the_folder_inside(root: Path) -> None:
    with pytest.raises(CohortError, match=r"no participants\.tsv.*did you mean .*data"):
        load_cohort(SPEC, root.parent)
    with pytest.raises(CohortError, match="no such folder"):
        load_cohort(SPEC, root / "nowhere")


def test_no_images_names_the_suffixes_there(root: Path) -> None:
    for path in root.glob("sub-*/anat/*.nii.gz"):
        path.rename(path.with_name(path.name.replace("T1w", "T2w")))
    with pytest.raises(CohortError, match=r"_T1w\.nii.*4 sub-.*only T2w"):
        load_cohort(SPEC, root)


def test_listed_scan_that_is_missing(root: Path) -> None:
    put_table(
        root / "sub-01/sub-01_scans.tsv", "filename", "anat/sub-01_T1w.nii.gz", "anat/sub-01_run-2_T1w.nii.gz"
    )
    with pytest.raises(CohortError, match=r"sub-01_scans\.tsv.*run-2_T1w.*1 such files"):
        load_cohort(SPEC, root)


def test_link_to_content_elsewhere(root: Path) -> None:
    scan = root / "sub-01/anat/sub-01_T1w.nii.gz"
    scan.unlink()
    scan.symlink_to(root / ".git/annex/objects/gone.nii.gz")
    with pytest.raises(CohortError, match=r"1 of 4 images.*datalad get"):
        load_cohort(SPEC, root)


def test_file_in_another_subjects_folder(root: Path) -> None:
    put_scan(root, "sub-01/anat/sub-02_T1w.nii.gz")
    with pytest.raises(CohortError, match="does not fit its folder"):
        load_cohort(SPEC, root)


def test_session_listed_twice(longitudinal: Path) -> None:
    put_table(longitudinal / "sub-01/sub-01_sessions.tsv", "session_id", "ses-M0", "M0")
    with pytest.raises(CohortError, match="'ses-M0' is listed twice"):
        load_cohort(SPEC, longitudinal)


@pytest.mark.parametrize("table", ["sub-01/sub-01_sessions.tsv", "sub-01/sub-01_scans.tsv"])
def test_tables_without_their_key_column(root: Path, table: str) -> None:
    put_table(root / table, "name|age", "x|70")
    with pytest.raises(CohortError, match=r"no column '(session_id|filename)'; it has name, age"):
        load_cohort(SPEC, root)
