"""Labels do not depend on the order in which tables and scans come."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest.adni_delivery import SUMMARY, diagnoses, dropped, merge, put, scans

from neurofocus.ingest.adni.label import label_visits
from neurofocus.ingest.scans import FoundScans
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec


@pytest.fixture(scope="module")
def spec() -> CohortSpec:
    return load_cohort_spec("adni")


ROWS = [
    *(
        "816 bl 2006-03-01 MCI",
        "816 m06 2006-09-01 .",
        "816 m12 2007-03-01 Dementia",
        "816 m24 2008-03-01 MCI",
    ),
    *("5 bl 2006-03-01 CN", "5 m12 2007-03-01 CN", "5 m24 2008-03-01 CN"),
]
FORMS = [
    *("ADNI1,002_S_0816,816,bl,bl,2006-03-04,2,", "ADNI1,002_S_0816,816,sc,sc,2006-02-04,1,"),
    *("ADNI1,002_S_0005,5,m12,m12,2007-03-01,2,", "ADNI2,002_S_0005,5,v11,m72,2012-03-01,1,"),
    *("ADNI1,002_S_0005,5,bl,bl,2006-03-01,1,", "ADNI2,002_S_0005,5,v21,,,3,2013-03-01"),
]
SCANS = [
    *(
        "0816 sc 2006-02-20 LMCI",
        "0816 m06 2006-09-03 LMCI",
        "0816 m12 2007-03-05 LMCI",
        "0816 nv 2008-01-05 LMCI",
    ),
    *("0005 bl 2006-02-20 CN", "0005 m12 2007-03-05 CN", "0005 v11 2012-03-05 CN", "0005 v21 2013-03-05 CN"),
    *("0005 m24 2008-03-05 CN", "0005 nv 2006-07-05 CN"),
]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.permutations(ROWS), forms=st.permutations(FORMS), order=st.permutations(range(len(SCANS))))
def test_the_order_of_rows_does_not_matter(
    tmp_path: Path, spec: CohortSpec, rows: list[str], forms: list[str], order: list[int]
) -> None:
    merge(tmp_path, *rows)
    put(tmp_path / "DXSUM.csv", SUMMARY, *forms)
    found = scans(*SCANS)
    labelled = label_visits(FoundScans(found.frame.iloc[order], found.source), tmp_path, spec)
    assert diagnoses(labelled) == {
        "1": "MCI",
        "2": "AD, later MCI",  # m12 is 179 days away, bl 186
        "3": "AD, later MCI",
        "4": "MCI",
        "5": "CN, later AD",
        "7": "CN, later AD",
        "8": "AD, earlier CN",
        "9": "CN, later AD",
        "10": "CN, later AD",
    }
    assert dropped(labelled) == {
        "diagnoses at the visit contradict each other (by enrolment group)": {"CN": 1}
    }
    assert list(labelled.frame["image_id"]) == [str(number + 1) for number in order if number != 5]
    by_image = labelled.frame.set_index("image_id")
    assert by_image.loc["8", "session_id"] == "ses-M084"
    assert len(labelled.warnings) == 2
