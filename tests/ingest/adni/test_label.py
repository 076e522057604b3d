"""ADNI labels on scans and tables made by hand: which diagnosis a scan gets, and which scans leave."""

from pathlib import Path

import pytest
from ingest.adni_delivery import MERGE, SUMMARY, diagnoses, dropped, merge, put, scans

from neurofocus.errors import CohortError
from neurofocus.ingest.adni.label import label_visits
from neurofocus.ingest.inclusion import include
from neurofocus.ingest.scans import FoundScans
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec


@pytest.fixture(scope="module")
def spec() -> CohortSpec:
    return load_cohort_spec("adni")


def test_the_diagnosis_at_the_visit_not_the_enrolment_group(tmp_path: Path, spec: CohortSpec) -> None:
    """Enrolled with MCI, scanned after conversion; enrolled as CN, MCI a year later."""
    merge(
        tmp_path,
        "816 bl 2006-03-01 MCI",
        "816 m12 2007-03-01 Dementia",
        "816 m24 2008-03-01 Dementia",
        "5 bl 2006-03-01 CN",
        "5 m12 2007-03-01 MCI",
        "6 bl 2006-03-01 Dementia",
    )
    found = label_visits(
        scans(
            "0816 sc 2006-02-20 LMCI",
            "0816 m12 2007-03-05 LMCI",
            "0816 m24 2008-03-05 LMCI",
            "0005 m12 2007-03-05 CN",
            "0006 sc 2006-02-20 LMCI",
        ),
        tmp_path,
        spec,
    )
    assert diagnoses(found) == {
        "1": "MCI",
        "2": "AD, earlier MCI",
        "3": "AD, earlier MCI",
        "4": "MCI",
        "5": "AD",
    }
    assert list(found.frame["session_id"]) == ["ses-M000", "ses-M012", "ses-M024", "ses-M012", "ses-M000"]
    assert set(found.frame["diagnosis_source"]) == {"ADNIMERGE_12Oct2024.csv:DX"}
    assert found.source == "ADNIMERGE_12Oct2024.csv"
    assert found.warnings == ()
    assert dropped(found) == {}


@pytest.mark.parametrize("visit", ["sc", "bl", "ADNI_Screening", "ADNI2_Baseline-New_Pt", "v02"])
def test_screening_and_baseline_are_one_visit(tmp_path: Path, spec: CohortSpec, visit: str) -> None:
    merge(tmp_path, "816 bl 2006-03-01 CN")
    found = label_visits(scans(f"0816 {visit} . CN"), tmp_path, spec)
    assert diagnoses(found) == {"1": "CN"}
    assert list(found.frame["session_id"]) == ["ses-M000"]


def test_visits_of_a_phase_are_found_by_the_participants_own_codes(tmp_path: Path, spec: CohortSpec) -> None:
    """Year 1 of ADNI-2 is month 12 of a new participant and month 72 of one who came from ADNI-1."""
    put(
        tmp_path / "DXSUM_12Oct2024.csv",
        SUMMARY,
        "ADNI1,002_S_0816,816,bl,bl,2006-03-01,1,",
        "ADNI1,002_S_0816,816,m12,m12,2007-03-01,1,",
        "ADNI2,002_S_0816,816,v06,m60,2011-03-01,2,",
        "ADNI2,002_S_0816,816,v11,m72,2012-03-01,3,",
        "ADNI2,002_S_4001,4001,v03,bl,2011-03-01,1,",
        "ADNI2,002_S_4001,4001,v11,m12,2012-03-01,1,",
        "ADNI3,002_S_4001,4001,init,m60,2016-03-01,1,",
    )
    found = label_visits(
        scans(
            "0816 ADNI2_Initial_Visit-Cont_Pt . CN",
            "0816 ADNI2_Year_1_Visit . CN",
            "0816 v11 . CN",
            "4001 ADNI2_Year_1_Visit . CN",
            "4001 ADNI3_Initial_Visit-Cont_Pt . CN",
        ),
        tmp_path,
        spec,
    )
    assert diagnoses(found) == {
        "1": "MCI",
        "2": "AD, earlier CN",
        "3": "AD, earlier CN",
        "4": "CN",
        "5": "CN",
    }
    months = [name.removeprefix("ses-M") for name in found.frame["session_id"]]
    assert months == ["060", "072", "072", "012", "060"]


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


def test_scans_that_leave_are_counted_by_group(tmp_path: Path, spec: CohortSpec) -> None:
    merge(tmp_path, "1 bl 2006-03-01 CN", "2 bl 2006-03-01 .", "3 m12 2006-03-01 CN")
    found = label_visits(
        scans(
            "0001 bl . CN",
            "0002 bl 2006-03-01 EMCI",
            "0003 bl 2005-03-01 AD",
            "0004 bl . AD",
            "0005 bl . SMC",
        ),
        tmp_path,
        spec,
    )
    assert dropped(found) == {
        "participant in no diagnosis table (by enrolment group)": {"AD": 1, "SMC": 1},
        "no diagnosis at the visit, nor within 180 days of the scan (by enrolment group)": {
            "AD": 1,
            "EMCI": 1,
        },
    }
    assert found.steps[0].count - sum(sum(counts.values()) for counts in dropped(found).values()) == 1


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


def test_tables_of_other_people_are_refused(tmp_path: Path, spec: CohortSpec) -> None:
    merge(tmp_path, "816 bl 2006-03-01 CN")
    with pytest.raises(CohortError) as caught:
        label_visits(scans("0017 bl . CN", "0018 bl . AD"), tmp_path, spec)
    message = str(caught.value)
    for part in ("ADNIMERGE", "'participant in no diagnosis table' (2)", "002_S_0017", "roster number 816"):
        assert part in message
    assert "\n" not in message


def test_values_are_filled_in_with_their_sources(tmp_path: Path, spec: CohortSpec) -> None:
    put(
        tmp_path / "ADNIMERGE.csv",
        MERGE,
        "816,ADNI1,002_S_0816,2,bl,2006-03-01,CN,70.0,2,1.5 Tesla MRI,CN,0",
        "816,ADNI1,002_S_0816,2,m18,2007-09-01,CN,70.0,2,3 Tesla MRI,CN,18",
        "4001,ADNI2,002_S_4001,2,bl,2011-03-01,CN,-4,Male,,CN,0",
    )
    found = scans("0816 m18 . CN", "0816 sc . CN", "4001 bl . CN")
    frame = found.frame.assign(
        age=["n/a", "69.9", "n/a"],
        age_source=["n/a", "collection.csv:Age", "n/a"],
        sex=["n/a", "F", "n/a"],
        sex_source=["n/a", "collection.csv:Sex", "n/a"],
        field_strength=["n/a", "3.0", "n/a"],
    )
    labelled = label_visits(FoundScans(frame, found.source), tmp_path, spec)
    rows = labelled.frame
    assert list(rows["age"]) == [71.5, "69.9", "n/a"]
    assert list(rows["age_source"]) == ["ADNIMERGE.csv:AGE + 18 months", "collection.csv:Age", "n/a"]
    assert list(rows["sex"]) == ["2", "F", "Male"]
    assert list(rows["sex_source"]) == [
        "ADNIMERGE.csv:PTGENDER",
        "collection.csv:Sex",
        "ADNIMERGE.csv:PTGENDER",
    ]
    assert list(rows["site"]) == ["002"] * 3
    assert list(rows["site_source"]) == ["subject identifier"] * 3
    assert list(rows["field_strength"]) == ["3", "3", "n/a"]
    table = include(
        labelled, spec.model_copy(update={"session_rule": "all", "classes": {"CN": ["CN"], "X": ["X"]}})
    ).table
    assert dict(zip(table["session_id"] + table["participant_id"].str[-4:], table["sex"], strict=True)) == {
        "ses-M0000816": "F",
        "ses-M0180816": "F",
        "ses-M0004001": "M",
    }
