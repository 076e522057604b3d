"""The three ADNI cohort definitions, from labels to the scans that are used."""

from pathlib import Path

import pytest
from ingest.adni_delivery import diagnoses, merge, scans

from neurofocus.errors import CohortError
from neurofocus.ingest.adni.label import label_progression, label_visits
from neurofocus.ingest.inclusion import include
from neurofocus.ingest.scans import FoundScans
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec


@pytest.fixture(scope="module")
def spec() -> CohortSpec:
    return load_cohort_spec("adni")


@pytest.fixture(scope="module")
def mci() -> CohortSpec:
    return load_cohort_spec("adni-mci")


def test_inconsistent_people_are_counted_by_their_words(tmp_path: Path, spec: CohortSpec) -> None:
    merge(
        tmp_path,
        "1 bl 2006-03-01 CN",
        "1 m12 2007-03-01 CN",
        "2 bl 2006-03-01 CN",
        "2 m12 2007-03-01 MCI",
        "3 bl 2006-03-01 Dementia",
        "4 bl 2006-03-01 Dementia",
        "4 m12 2007-03-01 MCI",
        "5 bl 2006-03-01 MCI",
        "5 m12 2007-03-01 Dementia",
    )
    rows = [f"000{rid} bl 2006-03-01 CN" for rid in range(1, 6)]
    cohort = include(label_visits(scans(*rows, "0005 m12 2007-03-01 MCI"), tmp_path, spec), spec)
    assert list(cohort.table["participant_id"]) == [f"sub-ADNI002S000{rid}" for rid in (1, 3, 5)]
    assert list(cohort.table["diagnosis"]) == ["CN", "AD", "AD, earlier MCI"]
    outside = next(step for step in cohort.flow if step.step.startswith("diagnosis of no class"))
    assert outside.by_label == {"AD, later MCI": 1, "CN, later MCI": 1, "MCI": 1}
    wider = spec.model_copy(
        update={"classes": {"CN": ["CN", "CN, later MCI"], "AD": ["AD", "AD, earlier MCI"]}}
    )
    cohort = include(label_visits(scans(*rows, "0005 m12 2007-03-01 MCI"), tmp_path, wider), wider)
    assert list(cohort.table["label"]) == [0, 0, 1, 1]


def test_progression_needs_a_table(tmp_path: Path, mci: CohortSpec) -> None:
    with pytest.raises(CohortError, match="nobody knows who progressed; download ADNIMERGE"):
        label_progression(scans("0001 bl . LMCI"), tmp_path, mci)


def test_progression_counts_who_is_neither(tmp_path: Path, mci: CohortSpec) -> None:
    merge(
        tmp_path,
        *("1 bl 2006-03-01 MCI", "1 m36 2009-03-01 Dementia"),
        *("2 bl 2006-03-01 MCI", "2 m36 2009-03-01 MCI"),
        *("3 bl 2006-03-01 MCI", "3 m24 2008-03-01 MCI"),
        *("4 bl 2006-03-01 MCI", "4 m24 2008-03-01 CN"),
        *("5 bl 2006-03-01 MCI", "5 m48 2010-03-01 Dementia"),
        *("6 bl 2006-03-01 MCI", "6 m24 2008-03-01 Dementia", "6 m36 2009-03-01 MCI"),
        *("7 bl 2006-03-01 CN", "7 m12 2007-03-01 MCI", "7 m36 2009-03-01 Dementia"),
    )
    rows = [f"000{rid} sc 2006-02-20 LMCI" for rid in range(1, 8)]
    found = label_progression(scans(*rows, "0007 m12 2007-03-01 CN"), tmp_path, mci)
    assert diagnoses(found) == {
        "1": "pMCI",
        "2": "sMCI",
        "3": "MCI, follow-up too short",
        "4": "MCI, reverted",
        "5": "MCI, progressed after 36 months",
        "6": "MCI, unstable",
        "7": "CN",
        "8": "pMCI",
    }
    cohort = include(found, mci)
    labels = dict(zip(cohort.table["participant_id"].str[-4:], cohort.table["label"], strict=True))
    assert labels == {"0001": 1, "0002": 0, "0007": 1}
    outside = next(step for step in cohort.flow if step.step.startswith("diagnosis of no class"))
    assert outside.count == 5


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # A month 3 scan: the horizon ends at month 39, whichever visit the diagnosis comes from.
        (["bl 2010-01-01 .", "m06 2010-07-01 MCI", "m39 2013-04-01 Dementia"], "pMCI"),
        (
            ["bl 2010-01-01 .", "m06 2010-07-01 MCI", "m42 2013-07-01 Dementia"],
            "MCI, progressed after 36 months",
        ),
        (["bl 2010-01-01 MCI", "m36 2013-01-01 MCI"], "MCI, follow-up too short"),
        (["bl 2010-01-01 MCI", "m36 2013-01-01 MCI", "m48 2014-01-01 MCI"], "sMCI"),
    ],
)
def test_the_horizon_counts_from_the_scan(
    tmp_path: Path, mci: CohortSpec, rows: list[str], expected: str
) -> None:
    merge(tmp_path, *(f"1 {row}" for row in rows))
    found = label_progression(scans("0001 m03 2010-04-01 LMCI"), tmp_path, mci)
    assert diagnoses(found) == {"1": expected}


def test_the_three_definitions_say_what_they_mean(spec: CohortSpec, mci: CohortSpec) -> None:
    three = load_cohort_spec("adni-3class")
    assert [list(each.classes) for each in (spec, mci, three)] == [
        ["CN", "AD"],
        ["sMCI", "pMCI"],
        ["CN", "MCI", "AD"],
    ]
    assert [each.label_rule for each in (spec, mci, three)] == ["visit", "progression", "visit"]
    assert mci.horizon_months == 36
    assert spec.tables == mci.tables == three.tables
    assert spec.series == mci.series == three.series
    for each in (spec, mci, three):
        assert {each.name, *each.shares_people_with} == {"adni", "adni-mci", "adni-3class"}


SERIES = [
    ("MPR; GradWarp; B1 Correction; N3; Scaled", True),
    ("MPR__GradWarp__B1_Correction__N3__Scaled_2", True),
    ("MPR-R; ; N3; Scaled", True),
    ("MT1; GradWarp; N3m", True),
    ("MP-RAGE", True),
    ("IR-SPGR", True),
    ("Accelerated Sag IR-FSPGR", True),
    ("Accelerated_Sagittal_MPRAGE", True),
    ("MPRAGE iPAT2", True),
    ("Accelerated Sagittal MPRAGE_ND", False),
    ("Accelerated Sagittal MPRAGE_MPR_Tra", False),
    ("MP-RAGE REPEAT", False),
    ("B1-calibration Head", False),
    ("Axial PD/T2 FSE", False),
    ("3-plane localizer", False),
    ("Field Mapping", False),
]


@pytest.mark.parametrize(("description", "used"), SERIES)
def test_series_of_the_definition(tmp_path: Path, spec: CohortSpec, description: str, used: bool) -> None:
    merge(tmp_path, "1 bl 2006-03-01 CN", "2 bl 2006-03-01 Dementia")
    found = scans("0001 bl . CN", "0002 bl . AD")
    frame = found.frame.assign(description=[description, "MPRAGE"])
    table = include(label_visits(FoundScans(frame, ""), tmp_path, spec), spec).table
    assert len(table) == (2 if used else 1)


def test_corrected_series_go_first(tmp_path: Path, spec: CohortSpec) -> None:
    merge(tmp_path, "1 bl 2006-03-01 CN")
    names = ["MPRAGE", "MPR; GradWarp; N3", "MT1; N3m", "MPR; ; N3; Scaled_2", "MPR; ; N3; Scaled"]
    found = scans(*["0001 bl . CN"] * len(names))
    for count in range(1, len(names) + 1):
        frame = found.frame.assign(description=names).iloc[:count]
        table = include(label_visits(FoundScans(frame, ""), tmp_path, spec), spec).table
        assert list(table["description"]) == [names[count - 1]]
