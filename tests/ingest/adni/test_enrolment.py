"""The enrolment group of ADNI: memory concern, and deliveries without a table of diagnoses."""

from pathlib import Path

import pytest
from ingest.adni_delivery import MERGE, diagnoses, dropped, put, scans

from neurofocus.errors import CohortError
from neurofocus.ingest.adni.label import label_visits
from neurofocus.ingest.inclusion import include
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec


@pytest.fixture(scope="module")
def spec() -> CohortSpec:
    return load_cohort_spec("adni")


def test_memory_concern_at_enrolment_is_a_value_of_its_own(tmp_path: Path, spec: CohortSpec) -> None:
    """The group of the image table says so, or DX_bl of ADNIMERGE where there is none."""
    put(
        tmp_path / "ADNIMERGE.csv",
        MERGE,
        "1,ADNI2,002_S_0001,2,bl,2011-03-01,SMC,70.0,2,,CN,0",
        "2,ADNI2,002_S_0002,2,bl,2011-03-01,SMC,70.0,2,,CN,0",
        "3,ADNI2,002_S_0003,2,bl,2011-03-01,SMC,70.0,2,,CN,0",
        "3,ADNI2,002_S_0003,2,m12,2012-03-01,SMC,70.0,2,,MCI,12",
        "4,ADNI2,002_S_0004,2,bl,2011-03-01,AD,70.0,2,,Dementia,0",
    )
    found = scans("0001 bl . SMC", "0002 bl . n/a", "0003 bl . SMC", "0004 bl . AD")
    labelled = label_visits(found, tmp_path, spec)
    assert list(labelled.frame["diagnosis"]) == ["CN, SMC at enrolment"] * 2 + ["CN, later MCI", "AD"]
    assert labelled.warnings[-1].startswith(
        "2 participants who enrolled with significant memory concern (SMC)"
    )
    assert list(include(labelled, spec).table["label"]) == [0, 0, 1]
    strict = spec.model_copy(update={"classes": {"CN": ["CN"], "AD": ["AD"]}})
    assert list(include(labelled, strict).table["label"]) == [1]


def test_without_a_table_only_first_visits_and_a_loud_warning(tmp_path: Path, spec: CohortSpec) -> None:
    found = label_visits(
        scans(
            "0001 sc 2006-03-01 CN",
            "0002 ADNI2_Baseline-New_Pt 2011-03-01 AD",
            "0003 bl . EMCI",
            "0004 bl . SMC",
            "0005 bl . Patient",
            "0001 m12 2007-03-01 CN",
            "0001 ADNI3_Initial_Visit-Cont_Pt 2017-03-01 CN",
            "0002 ADNI2_Year_1_Visit 2012-03-01 AD",
            "0002 No_Visit_Defined 2012-03-01 AD",
        ),
        tmp_path,
        spec,
    )
    assert diagnoses(found) == {"1": "CN", "2": "AD", "3": "MCI", "4": "CN, SMC at enrolment", "5": "Patient"}
    assert dropped(found) == {
        "a later visit, and no table of diagnoses": {"AD": 1, "CN": 2},
        "a visit of unknown name, and no table of diagnoses: 'No Visit Defined' (1)": {"AD": 1},
    }
    assert found.warnings[0].startswith("NO TABLE OF DIAGNOSES")
    assert "3 later scans and 1 of unknown visits" in found.warnings[0]
    assert "DXSUM" in found.warnings[0]
    assert "1 participants" in found.warnings[1] and "SMC" in found.warnings[1]
    assert set(found.frame["session_id"]) == {"ses-M000"}
    assert set(found.frame["diagnosis_source"]) == {"enrolment group"}
    assert set(found.frame["site"]) == {"002"}
    table = include(found, spec).table
    assert list(table["label"]) == [0, 1, 0]


def test_without_a_table_and_without_first_visits(tmp_path: Path, spec: CohortSpec) -> None:
    with pytest.raises(CohortError, match=r"'m12' \(1\).*download ADNIMERGE or the diagnosis summary DXSUM"):
        label_visits(scans("0001 m12 . CN"), tmp_path, spec)
