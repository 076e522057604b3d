"""Miniature CAPS folders: both names of t1-linear scans, labels as ClinicaDL or as BIDS."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from neurofocus.errors import CohortError
from neurofocus.ingest.load import load_cohort
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec

OLD = "T1w_space-MNI152NLin2009cSym_res-1x1x1_T1w.nii.gz"
NEW = "space-MNI152NLin2009cSym_res-1x1x1_T1w.nii.gz"
OLD_CROPPED = "T1w_space-MNI152NLin2009cSym_desc-Crop_res-1x1x1_T1w.nii.gz"
NEW_CROPPED = "space-MNI152NLin2009cSym_desc-Crop_res-1x1x1_T1w.nii.gz"


def put_scan(root: Path, person: str, session: str, ending: str) -> Path:
    path = root / "subjects" / person / session / "t1_linear" / f"{person}_{session}_{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4)).to_filename(path)
    path.with_name(f"{person}_{session}_T1w_space-MNI152NLin2009cSym_res-1x1x1_affine.mat").write_bytes(b"")
    return path


def put_table(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line.replace("|", "\t") + "\n" for line in lines), encoding="utf-8")


@pytest.fixture
def caps() -> CohortSpec:
    return load_cohort_spec("caps")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two people of two sessions and one of one; names of both generations; one scan is cropped only."""
    folder = tmp_path / "caps"
    put_scan(folder, "sub-ADNI002S0816", "ses-M000", OLD)
    put_scan(folder, "sub-ADNI002S0816", "ses-M000", OLD_CROPPED)
    put_scan(folder, "sub-ADNI002S0816", "ses-M012", NEW)
    put_scan(folder, "sub-ADNI003S0907", "ses-M000", NEW_CROPPED)
    put_scan(folder, "sub-ADNI003S0907", "ses-M012", "run-02_" + NEW)
    put_scan(folder, "sub-ADNI005S0221", "ses-M000", OLD)
    (folder / "dataset_description.json").write_text(
        json.dumps({"Name": "x", "CAPSVersion": "1.0.0", "DatasetType": "derivative"}), encoding="utf-8"
    )
    return folder


@pytest.fixture
def labelled(root: Path) -> Path:
    put_table(
        root / "labels.tsv",
        "participant_id|session_id|diagnosis|age|sex",
        "sub-ADNI002S0816|ses-M000|CN|70.8|F",
        "sub-ADNI002S0816|ses-M012|CN|71.8|F",
        "sub-ADNI003S0907|ses-M012|AD|88.1|M",
        "sub-ADNI777S0001|ses-M000|AD|60|M",
    )
    return root


def test_both_names_cropped_or_not(labelled: Path, caps: CohortSpec) -> None:
    cohort = load_cohort(caps.model_copy(update={"session_rule": "all"}), labelled)
    table = cohort.table
    assert list(zip(table["participant_id"], table["session_id"], strict=True)) == [
        ("sub-ADNI002S0816", "ses-M000"),
        ("sub-ADNI002S0816", "ses-M012"),
        ("sub-ADNI003S0907", "ses-M012"),
    ]
    names = [Path(path).name for path in table["path"]]
    assert names == [
        f"sub-ADNI002S0816_ses-M000_{OLD}",  # the uncropped one of two
        f"sub-ADNI002S0816_ses-M012_{NEW}",
        f"sub-ADNI003S0907_ses-M012_run-02_{NEW}",
    ]
    assert set(table["space"]) == {"template"}
    assert set(table["description"]) == {"t1-linear"}
    assert list(table["age"]) == [70.8, 71.8, 88.1]
    assert list(table["sex"]) == ["F", "F", "M"]
    assert table["diagnosis_source"].iloc[0] == "labels.tsv:diagnosis"
    steps = {step.step: step.count for step in cohort.flow}
    assert steps["participants listed"] == 3
    assert steps["no t1-linear scan"] == 1
    assert steps["t1-linear scans found"] == 6
    assert steps["participant not in the table of labels"] == 1
    assert steps["diagnosis is n/a"] == 1  # the first session of the second person is not labelled
    assert steps["another run or variant in the same session"] == 1
    assert any("sub-ADNI003S0907 ses-M000" in text for text in cohort.warnings)


def test_the_definition_can_ask_for_cropped_scans(labelled: Path, caps: CohortSpec) -> None:
    put_table(
        labelled / "labels.tsv",
        "participant_id|session_id|diagnosis",
        "sub-ADNI002S0816|ses-M000|CN",
        "sub-ADNI003S0907|ses-M000|AD",
    )
    series = caps.series.model_copy(update={"accept": ("t1-linear cropped",)})
    table = load_cohort(caps.model_copy(update={"series": series}), labelled).table
    assert [Path(path).name.count("desc-Crop") for path in table["path"]] == [1, 1]
    assert set(table["description"]) == {"t1-linear cropped"}


def test_labels_without_sessions_hold_for_all(root: Path, caps: CohortSpec) -> None:
    put_table(
        root / "tables" / "labels_2024.tsv", "participant_id|group", "ADNI002S0816|CN", "ADNI003S0907|AD"
    )
    table = load_cohort(caps.model_copy(update={"session_rule": "all"}), root).table
    assert list(table["label"]) == [0, 0, 1, 1]
    assert table["diagnosis_source"].iloc[0] == "tables/labels_2024.tsv:group"


def test_labels_of_the_older_session_names(root: Path, caps: CohortSpec) -> None:
    put_table(
        root / "labels.tsv",
        "participant_id|session_id|diagnosis",
        "sub-ADNI002S0816|ses-M00|CN",
        "sub-ADNI003S0907|ses-M12|AD",
    )
    cohort = load_cohort(caps, root)
    assert list(cohort.table["session_id"]) == ["ses-M000", "ses-M012"]
    assert any("2 sessions are written with other zeros" in text for text in cohort.warnings)


@pytest.mark.parametrize("where", ["beside subjects", "in subjects", "around derivatives"])
def test_labels_as_bids_tables(root: Path, tmp_path: Path, caps: CohortSpec, where: str) -> None:
    data, tables, sessions = root, root, root
    if where == "in subjects":
        sessions = root / "subjects"
    elif where == "around derivatives":
        (tmp_path / "bids/derivatives").mkdir(parents=True)
        data = root.rename(tmp_path / "bids/derivatives/caps")
        tables = sessions = tmp_path / "bids"
    put_table(
        tables / "participants.tsv",
        "participant_id|sex|age_bl",
        "sub-ADNI002S0816|F|70",
        "sub-ADNI003S0907|M|88",
    )
    for person, value in (("sub-ADNI002S0816", "CN"), ("sub-ADNI003S0907", "AD")):
        put_table(
            sessions / person / f"{person}_sessions.tsv",
            "session_id|diagnosis",
            f"ses-M000|{value}",
            f"ses-M012|{value}",
        )
    table = load_cohort(caps, data).table
    assert list(table["label"]) == [0, 1]
    assert list(table["age"]) == [70, 88]
    assert table["diagnosis_source"].iloc[1] == "sub-ADNI003S0907/sub-ADNI003S0907_sessions.tsv:diagnosis"


def test_no_labels_at_all(root: Path, caps: CohortSpec) -> None:
    with pytest.raises(
        CohortError, match=r"no labels: put a table labels\*\.tsv or labels\*\.csv .*get-labels"
    ):
        load_cohort(caps, root)
    put_table(root / "participants.tsv", "participant_id|diagnosis_sc", "sub-ADNI002S0816|CN")
    with pytest.raises(CohortError, match=r"no column 'diagnosis'; it has participant_id, diagnosis_sc"):
        load_cohort(caps, root)


def test_labels_that_contradict_each_other(labelled: Path, caps: CohortSpec) -> None:
    text = (labelled / "labels.tsv").read_text(encoding="utf-8")
    same = "sub-ADNI002S0816\tses-M012\tCN\t71.8\tF\n"
    (labelled / "labels.tsv").write_text(text + same, encoding="utf-8")
    assert len(load_cohort(caps, labelled).table) == 2  # said twice alike
    (labelled / "labels.tsv").write_text(text + same.replace("CN", "AD"), encoding="utf-8")
    with pytest.raises(
        CohortError, match=r"labels\.tsv: rows 3 and 6 say different .* sub-ADNI002S0816 ses-M012"
    ):
        load_cohort(caps, labelled)


def test_labels_of_other_people(root: Path, caps: CohortSpec) -> None:
    put_table(root / "labels.tsv", "participant_id|diagnosis", "sub-OASIS10001|CN", "sub-OASIS10002|AD")
    with pytest.raises(CohortError, match=r"none of the participants with scans .*sub-ADNI.*sub-OASIS10001"):
        load_cohort(caps, root)


def test_tensors_only(tmp_path: Path, caps: CohortSpec) -> None:
    folder = tmp_path / "subjects/sub-01/ses-M000/deeplearning_prepare_data/image_based/t1_linear"
    folder.mkdir(parents=True)
    (folder / f"sub-01_ses-M000_{NEW.removesuffix('.nii.gz')}.pt").write_bytes(b"")
    with pytest.raises(
        CohortError, match=r"no NIfTI scans.*\.pt files are Python pickles, which can run code"
    ):
        load_cohort(caps, tmp_path)


def test_other_pipelines_and_the_folder_above(root: Path, tmp_path: Path, caps: CohortSpec) -> None:
    with pytest.raises(CohortError, match=r"no subjects/.* there\); did you mean .*caps\?"):
        load_cohort(caps, tmp_path)
    (tmp_path / "volume/subjects/sub-01/ses-M000/t1").mkdir(parents=True)
    with pytest.raises(CohortError, match=r"pipelines there: t1\)"):
        load_cohort(caps, tmp_path / "volume")
    with pytest.raises(CohortError, match="no such folder"):
        load_cohort(caps, tmp_path / "nowhere")


def test_a_file_in_another_folder(labelled: Path, caps: CohortSpec) -> None:
    scan = labelled / f"subjects/sub-ADNI003S0907/ses-M012/t1_linear/sub-ADNI003S0907_ses-M012_run-02_{NEW}"
    scan.rename(scan.with_name(f"sub-ADNI003S0907_ses-M000_{NEW}"))
    with pytest.raises(CohortError, match="does not fit its folder"):
        load_cohort(caps, labelled)


@pytest.mark.parametrize(
    ("text", "count"), [('{"CAPSVersion": "2.0.0"}', 1), ("{", 0), ('{"Name": "old"}', 0)]
)
def test_other_caps_versions(labelled: Path, caps: CohortSpec, text: str, count: int) -> None:
    (labelled / "dataset_description.json").write_text(text, encoding="utf-8")
    warnings = load_cohort(caps, labelled).warnings
    assert sum("CAPSVersion 2.0.0, known is 1.0.0" in warning for warning in warnings) == count


def test_mixed_up_oasis3_labels_in_a_table_are_warned_of(tmp_path: Path, caps: CohortSpec) -> None:
    for person in ("sub-OAS30001", "sub-OAS30002"):
        put_scan(tmp_path, person, "ses-M000", NEW)
    put_table(
        tmp_path / "labels.tsv",
        "participant_id|session_id|diagnosis",
        "sub-OAS30001|ses-M000|CN",
        "sub-OAS30002|ses-M000|AD",
    )
    (warning,) = load_cohort(caps, tmp_path).warnings
    assert "labels.tsv:diagnosis was made from its sessions tables, use the cohort oasis3" in warning
