"""BIDS data sets with scans tables, scanners, other column names, and two converters' known faults."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from neurofocus.errors import CohortError
from neurofocus.ingest.load import load_cohort
from neurofocus.schema.cohort import CohortSpec


def spec(**changes: object) -> CohortSpec:
    values = {
        "name": "mini",
        "title": "mini",
        "description": "mini",
        "layout": "bids",
        "classes": {"CN": ["CN"], "AD": ["AD"]},
        **changes,
    }
    return CohortSpec.model_validate(values)


def put_scan(root: Path, relative: str) -> Path:
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4)).to_filename(path)
    return path


def put_table(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line.replace("|", "\t") + "\n" for line in lines), encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two people, the first with three sessions, all of them in tables of every level."""
    put_table(
        tmp_path / "participants.tsv", "participant_id|age|sex|diagnosis", "sub-01|70|F|CN", "sub-02|80|M|AD"
    )
    for session in ("M000", "M006", "M012"):
        put_scan(tmp_path, f"sub-01/ses-{session}/anat/sub-01_ses-{session}_T1w.nii.gz")
    put_scan(tmp_path, "sub-02/anat/sub-02_T1w.nii.gz")
    return tmp_path


def test_scans_tables_go_before_sessions_and_participants(root: Path) -> None:
    put_table(
        root / "sub-01/sub-01_sessions.tsv",
        "session_id|diagnosis|age",
        "ses-M000|CN|71",
        "ses-M006|CN|72",
        "ses-M012|CN|n/a",
    )
    put_table(
        root / "sub-01/ses-M000/sub-01_ses-M000_scans.tsv",
        "filename|acq_time|age|diagnosis",
        "anat/sub-01_ses-M000_T1w.nii.gz|1925-01-02T10:00:00|71.5|n/a",
        "anat/sub-01_ses-M000_T2w.nii.gz|1925-01-02T10:30:00|99|AD",
    )
    put_table(root / "sub-02/sub-02_scans.tsv", "filename|age|diagnosis", "anat/sub-02_T1w.nii.gz|81|AD")
    table = load_cohort(spec(session_rule="all"), root).table.set_index(["participant_id", "session_id"])
    first, second = table.loc[("sub-01", "ses-M000")], table.loc[("sub-01", "ses-M006")]
    assert [first["age"], second["age"]] == [71.5, 72.0]
    assert first["age_source"] == "sub-01/ses-M000/sub-01_ses-M000_scans.tsv:age"
    assert first["diagnosis_source"] == "sub-01/sub-01_sessions.tsv:diagnosis"  # the scan says n/a
    assert second["age_source"] == "sub-01/sub-01_sessions.tsv:age"
    assert table.loc[("sub-01", "ses-M012"), "age_source"] == "participants.tsv:age"
    assert table.loc[("sub-02", "n/a"), "diagnosis_source"] == "sub-02/sub-02_scans.tsv:diagnosis"
    assert table.loc[("sub-02", "n/a"), "age"] == 81
    assert first["site_source"] == "n/a"


def test_times_of_scans_order_sessions(root: Path) -> None:
    for session, day in (("M000", "1925-03-01"), ("M006", "1925-01-01"), ("M012", "1925-02-01")):
        put_table(
            root / f"sub-01/ses-{session}/sub-01_ses-{session}_scans.tsv",
            "filename|acq_time",
            f"anat/sub-01_ses-{session}_T1w.nii.gz|{day}",
        )
    assert load_cohort(spec(), root).table["session_id"].iloc[0] == "ses-M006"
    table = load_cohort(spec(session_rule="all"), root).table
    orders = dict(zip(table["session_id"], table["session_order"], strict=True))
    assert orders == {"ses-M000": 3, "ses-M006": 1, "ses-M012": 2, "n/a": 1}
    assert not any("1925" in str(cell) for cell in table.to_numpy().ravel())


def test_a_persons_one_time_orders_nothing(root: Path) -> None:
    put_table(
        root / "participants.tsv",
        "participant_id|diagnosis|acq_time",
        "sub-01|CN|1900-01-01",
        "sub-02|AD|n/a",
    )
    put_table(
        root / "sub-01/sub-01_sessions.tsv",
        "session_id|acq_time",
        "ses-M000|1925-03-01",
        "ses-M006|1925-02-01",
        "ses-M012|n/a",
    )
    assert (
        load_cohort(spec(), root).table["session_id"].iloc[0] == "ses-M000"
    )  # names decide: a time is missing


def test_labels_may_live_in_the_scans_tables_only(root: Path) -> None:
    put_table(root / "participants.tsv", "participant_id|sex", "sub-01|F", "sub-02|M")
    put_table(
        root / "sub-01/sub-01_scans.tsv", "filename|Diagnosis", "ses-M006/anat/sub-01_ses-M006_T1w.nii.gz|CN"
    )
    put_table(root / "sub-02/sub-02_scans.tsv", "filename|Diagnosis", "anat/sub-02_T1w.nii.gz|AD")
    assert list(load_cohort(spec(), root).table["session_id"]) == ["ses-M006", "n/a"]


def test_a_scan_listed_twice(root: Path) -> None:
    put_table(
        root / "sub-02/sub-02_scans.tsv", "filename", "anat/sub-02_T1w.nii.gz", "anat/sub-02_T1w.nii.gz"
    )
    with pytest.raises(CohortError, match=r"sub-02/anat/sub-02_T1w\.nii\.gz is listed twice"):
        load_cohort(spec(), root)
    put_table(root / "sub-02/sub-02_scans.tsv", "filename", "anat/sub-02_T1w.nii.gz")
    file = "anat/sub-01_ses-M000_T1w.nii.gz"
    put_table(root / "sub-01/sub-01_scans.tsv", "filename", f"ses-M000/{file}")
    put_table(root / "sub-01/ses-M000/sub-01_ses-M000_scans.tsv", "filename", file)
    with pytest.raises(CohortError, match=r"sub-01_ses-M000_T1w\.nii\.gz is listed twice"):
        load_cohort(spec(), root)


def test_sessions_written_with_other_zeros(root: Path) -> None:
    put_table(
        root / "sub-01/sub-01_sessions.tsv", "session_id|diagnosis|age", "ses-M00|CN|73", "ses-M06|AD|74"
    )
    cohort = load_cohort(spec(session_rule="all"), root)
    table = cohort.table.set_index("session_id")
    assert table.loc["ses-M006", "diagnosis"] == "AD"
    assert table.loc["ses-M000", "age"] == 73
    assert any("2 sessions are written with other zeros" in text for text in cohort.warnings)
    assert any("1 scans are of sessions that are not" in text and "M012" in text for text in cohort.warnings)


# The scanner, from JSON files beside the images.


def put_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def test_scanners_from_sidecars(root: Path) -> None:
    first = root / "sub-01/ses-M000/anat/sub-01_ses-M000_T1w.json"
    put_json(
        first,
        {
            "MagneticFieldStrength": 3,
            "Manufacturer": " GE  MEDICAL ",
            "PatientName": "DOE",
            "AcquisitionTime": "1",
        },
    )
    put_json(root / "T1w.json", {"MagneticFieldStrength": 1.5, "Manufacturer": "Siemens"})
    put_json(root / "sub-02/anat/sub-02_T1w.json", {"MagneticFieldStrength": True, "Manufacturer": ["x"]})
    cohort = load_cohort(spec(session_rule="all"), root)
    table = cohort.table.set_index(["participant_id", "session_id"])[["field_strength", "manufacturer"]]
    assert list(table.loc[("sub-01", "ses-M000")]) == ["3", "GE MEDICAL"]
    assert list(table.loc[("sub-01", "ses-M006")]) == ["1.5", "Siemens"]
    assert list(table.loc[("sub-02", "n/a")]) == [
        "1.5",
        "Siemens",
    ]  # its own file says nothing that can be used
    assert cohort.warnings == ()
    assert not any("DOE" in str(cell) for cell in cohort.table.to_numpy().ravel())


@pytest.mark.parametrize("content", ["{", "[1]", "[" * 100_000])
def test_damaged_sidecars_are_counted(root: Path, content: str) -> None:
    (root / "sub-02/anat/sub-02_T1w.json").write_text(content, encoding="utf-8")
    cohort = load_cohort(spec(), root)
    assert set(cohort.table["manufacturer"]) == {"n/a"}
    assert cohort.warnings == (
        "1 JSON files beside images cannot be read (first: sub-02/anat/sub-02_T1w.json); scanners unknown",
    )


# Names of the label column.


def test_a_baseline_diagnosis_is_never_guessed(root: Path) -> None:
    put_table(root / "participants.tsv", "participant_id|diagnosis_bl|Group", "sub-01|CN|CN", "sub-02|AD|AD")
    with pytest.raises(
        CohortError, match=r"no column 'diagnosis'.*'diagnosis_bl', 'Group' may hold it.*you decide"
    ):
        load_cohort(spec(), root)
    assert len(load_cohort(spec(label_column="diagnosis_bl"), root).table) == 2


def test_names_from_the_definition(root: Path) -> None:
    put_table(root / "participants.tsv", "participant_id|dx_sc|years", "sub-01|CN|66", "sub-02|AD|77")
    put_table(root / "sub-01/sub-01_sessions.tsv", "session_id|dx", "ses-M000|AD")
    tables = {
        "participants": {
            "files": ["participants.tsv"],
            "columns": {"diagnosis": ["dx_sc"], "age": ["years"]},
        },
        "sessions": {"files": ["*_sessions.tsv"], "columns": {"diagnosis": ["dx"]}},
    }
    table = load_cohort(spec(tables=tables), root).table
    assert list(table["diagnosis"]) == ["AD", "AD"]
    assert list(table["diagnosis_source"]) == ["sub-01/sub-01_sessions.tsv:dx", "participants.tsv:dx_sc"]
    assert list(table["age"]) == [66, 77]


# Faults of Clinica 0.12.0.


def test_labels_lost_by_oasis_to_bids(root: Path) -> None:
    put_table(root / "sub-02/sub-02_sessions.tsv", "session_id|diagnosis|cdr_global", "ses-M000|n/a|0.5")
    (root / "sub-02/anat/sub-02_T1w.nii.gz").unlink()
    put_scan(root, "sub-02/ses-M000/anat/sub-02_ses-M000_T1w.nii.gz")
    put_scan(root, "sub-03/ses-M000/anat/sub-03_ses-M000_T1w.nii.gz")
    put_table(root / "participants.tsv", "participant_id|diagnosis", "sub-01|CN", "sub-02|n/a", "sub-03|AD")
    cohort = load_cohort(spec(), root)
    assert any("n/a for 1 scans whose column 'cdr_global' is above 0" in text for text in cohort.warnings)
    put_table(root / "participants.tsv", "participant_id|diagnosis", "sub-01|CN", "sub-02|n/a")
    with pytest.raises(
        CohortError, match=r"no scan is left of class AD; use the cohort oasis1 .*label_column"
    ):
        load_cohort(spec(), root)
    by_cdr = spec(label_column="cdr_global", classes={"CN": ["0"], "AD": ["0.5"]})
    put_table(root / "sub-01/sub-01_sessions.tsv", "session_id|cdr_global", "ses-M000|0")
    assert list(load_cohort(by_cdr, root).table["label"]) == [0, 1]


@pytest.fixture
def oasis3(tmp_path: Path) -> Path:
    put_table(tmp_path / "participants.tsv", "participant_id|sex", "sub-OAS30001|F", "sub-OAS30002|M")
    for person in ("sub-OAS30001", "sub-OAS30002"):
        put_scan(tmp_path, f"{person}/ses-M000/anat/{person}_ses-M000_T1w.nii.gz")
    return tmp_path


def test_labels_mixed_up_by_oasis3_to_bids(oasis3: Path) -> None:
    put_table(oasis3 / "sub-OAS30001/sub-OAS30001_sessions.tsv", "session_id|diagnosis", "ses-M000|CN")
    put_table(oasis3 / "sub-OAS30002/sub-OAS30002_sessions.tsv", "session_id|diagnosis", "ses-M000|AD")
    with pytest.raises(CohortError) as caught:
        load_cohort(spec(), oasis3)
    for part in ("2 labels of OASIS-3 scans", "sub-OAS30001 ses-M000", "gives people the", "cohort oasis3"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_oasis3_labels_from_elsewhere_are_warned_of(oasis3: Path) -> None:
    put_table(oasis3 / "participants.tsv", "participant_id|diagnosis", "sub-OAS30001|CN", "sub-OAS30002|AD")
    (warning,) = load_cohort(spec(), oasis3).warnings
    assert warning.startswith("2 OASIS-3 scans in six-month sessions")
    assert "participants.tsv:diagnosis" in warning


def test_oasis3_by_its_own_days_is_trusted(tmp_path: Path) -> None:
    lines = ["participant_id|sex"]
    for person, value in (("sub-OAS30001", "CN"), ("sub-OAS30002", "AD")):
        put_scan(tmp_path, f"{person}/ses-d0129/anat/{person}_ses-d0129_T1w.nii.gz")
        put_table(tmp_path / f"{person}/{person}_sessions.tsv", "session_id|diagnosis", f"ses-d0129|{value}")
        lines.append(f"{person}|F")
    put_table(tmp_path / "participants.tsv", *lines)
    cohort = load_cohort(spec(), tmp_path)
    assert list(cohort.table["label"]) == [0, 1]
    assert cohort.warnings == ()
