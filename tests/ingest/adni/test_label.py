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
