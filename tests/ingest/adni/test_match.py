"""Which visit of ADNI's tables a scan belongs to: codes, dates, and roster numbers that stand for somebody else."""

from pathlib import Path

import pytest
from ingest.adni_delivery import SUMMARY, diagnoses, dropped, merge, put, scans

from neurofocus.ingest.adni.label import label_visits
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec


@pytest.fixture(scope="module")
def spec() -> CohortSpec:
    return load_cohort_spec("adni")


@pytest.mark.parametrize(
    ("day", "kept"),
    [
        ("2006-09-01", True),  # 2007-02-28 is 180 days later
        ("2006-08-31", False),
        ("2007-08-27", True),  # 180 days after 2007-02-28
        ("2007-08-28", False),
        ("2007-08-27T23:59:00", True),
    ],
)
def test_the_nearest_examination_within_the_days(
    tmp_path: Path, spec: CohortSpec, day: str, kept: bool
) -> None:
    assert spec.match_days == 180
    merge(tmp_path, "816 m12 2007-02-28 CN", "9 bl 2006-01-01 CN")
    found = label_visits(scans(f"0816 nv {day} CN", "0009 bl . CN"), tmp_path, spec)
    assert diagnoses(found) == ({"1": "CN"} if kept else {}) | {"2": "CN"}
    step = "no diagnosis at the visit, nor within 180 days of the scan (by enrolment group)"
    assert dropped(found) == ({} if kept else {step: {"CN": 1}})
    if kept:
        assert found.frame["session_id"].iloc[0] == "ses-nv"
        assert len(found.warnings) == 1
        assert found.warnings[0].startswith(
            "1 scans take the diagnosis of the nearest examination (at most 180 days"
        )
        assert found.warnings[0].endswith("'nv' (1)")


def test_of_two_examinations_as_near_the_earlier(tmp_path: Path, spec: CohortSpec) -> None:
    merge(tmp_path, "816 m06 2007-01-01 MCI", "816 m12 2007-01-21 Dementia")
    found = label_visits(
        scans("0816 m03 2007-01-11 LMCI", "0816 m09 2007-01-12 LMCI", "0816 nv 2007-01-10 LMCI"),
        tmp_path,
        spec,
    )
    assert diagnoses(found) == {"1": "MCI", "2": "AD, earlier MCI", "3": "MCI"}
    assert list(found.frame["session_id"]) == ["ses-M003", "ses-M009", "ses-nv"]


def test_a_visit_without_its_own_diagnosis_takes_the_nearest(tmp_path: Path, spec: CohortSpec) -> None:
    merge(tmp_path, "816 bl 2006-03-01 CN", "816 m03 2006-06-01 .", "816 m06 2006-09-01 MCI")
    found = label_visits(scans("0816 m03 2006-06-05 CN"), tmp_path, spec)
    assert diagnoses(found) == {"1": "MCI"}  # 88 days before m06, 96 after bl


def test_a_contradiction_is_not_replaced_by_a_neighbour(tmp_path: Path, spec: CohortSpec) -> None:
    merge(tmp_path, "816 bl 2006-03-01 CN", "816 m06 2006-09-01 CN", "9 bl 2006-01-01 CN")
    put(tmp_path / "DXSUM.csv", SUMMARY, "ADNI1,002_S_0816,816,bl,bl,2006-03-01,2,")
    found = label_visits(
        scans("0816 sc 2006-03-01 CN", "0816 nv 2006-04-01 CN", "0816 m06 2006-09-01 CN", "0009 bl . EMCI"),
        tmp_path,
        spec,
    )
    assert diagnoses(found) == {"3": "CN, disputed at another visit", "4": "CN"}
    assert dropped(found) == {"diagnoses at the visit contradict each other (by enrolment group)": {"CN": 2}}
    assert (
        "1 visits of 1 participants have diagnoses that contradict each other: CN and MCI (1)"
        in found.warnings[0]
    )


def test_a_code_far_from_its_date_is_reported(tmp_path: Path, spec: CohortSpec) -> None:
    merge(tmp_path, "816 m12 2007-03-01 CN")
    found = label_visits(scans("0816 m12 2008-03-01 CN"), tmp_path, spec)
    assert diagnoses(found) == {"1": "CN"}
    assert found.warnings[0].startswith("1 scans were made more than 180 days from the examination")


@pytest.mark.parametrize(("day", "kept"), [("2007-03-01", True), ("2008-02-20", False), ("2010-03-01", True)])
def test_code_and_date_that_lead_to_different_diagnoses(
    tmp_path: Path, spec: CohortSpec, day: str, kept: bool
) -> None:
    """One of the two was mixed up, and nobody knows which; without an examination near the date the code counts."""
    merge(tmp_path, "816 m12 2007-03-01 CN", "816 m24 2008-03-01 Dementia", "9 bl 2006-01-01 CN")
    found = label_visits(scans(f"0816 m12 {day} CN", "0009 bl . CN"), tmp_path, spec)
    assert diagnoses(found) == ({"1": "CN, later AD"} if kept else {}) | {"2": "CN"}
    step = "visit code and date of the scan lead to different diagnoses (by enrolment group)"
    assert dropped(found) == ({} if kept else {step: {"CN": 1}})


def test_the_same_roster_number_at_another_site_is_somebody_else(tmp_path: Path, spec: CohortSpec) -> None:
    """Sister studies of ADNI count their participants anew."""
    merge(tmp_path, "816 bl 2006-03-01 CN", "9 bl 2006-03-01 CN")
    found = scans("0816 bl . AD", "0009 bl . CN")
    found.frame.loc[0, "subject"] = "098_S_0816"
    labelled = label_visits(found, tmp_path, spec)
    assert diagnoses(labelled) == {"2": "CN"}
    assert dropped(labelled) == {"participant in no diagnosis table (by enrolment group)": {"AD": 1}}


def test_a_roster_number_of_two_subjects_names_nobody(tmp_path: Path, spec: CohortSpec) -> None:
    put(
        tmp_path / "DXSUM.csv",
        SUMMARY,
        "ADNI1,002_S_0816,816,bl,bl,2006-03-01,1,",
        "DOD,098_S_0816,816,m12,m12,2007-03-01,3,",
        "ADNI1,002_S_0009,9,bl,bl,2006-03-01,1,",
    )
    found = label_visits(scans("0816 bl . CN", "0009 bl . CN"), tmp_path, spec)
    assert diagnoses(found) == {"2": "CN"}
    assert found.warnings == (
        "DXSUM.csv: 1 roster numbers stand for several subjects (002_S_0816 and 098_S_0816, …); none of their rows is used",
    )
