"""Names of visits as ADNI's tables and the image archive write them."""

import pytest

from neurofocus.ingest.adni.codes import read_diagnosis
from neurofocus.ingest.adni.visits import VisitName, read_visit


@pytest.mark.parametrize(
    "name",
    [
        "sc",
        "SC",
        "scmri",
        "v01",
        "v02",
        "4_sc",
        "ADNI Screening",
        "ADNI1 Screening",
        "ADNIGO Screening MRI",
        "ADNI2 Screening-New Pt",
        "ADNI2 Screening MRI-New Pt",
    ],
)
def test_screening(name: str) -> None:
    visit = read_visit(name)
    assert visit is not None
    assert (visit.month, visit.screening) == (0, True)


@pytest.mark.parametrize(
    "name",
    [
        "bl",
        "v03",
        "4_bl",
        "ADNI Baseline",
        "ADNI1 Baseline",
        "ADNI2 Baseline-New Pt",
        "ADNI4 Baseline - New Pt",
    ],
)
def test_baseline(name: str) -> None:
    visit = read_visit(name)
    assert visit is not None
    assert (visit.month, visit.screening) == (0, False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("m12", VisitName("m12", 12)),
        ("m6", VisitName("m06", 6)),
        ("m06", VisitName("m06", 6)),
        ("m120", VisitName("m120", 120)),
        ("v04", VisitName("v04", 3)),
        ("v05", VisitName("v05", 6)),
        ("ADNI1/GO Month 12", VisitName("m12", 12)),
        ("ADNIGO Month 60", VisitName("m60", 60)),
        ("ADNIGO Month 3 MRI", VisitName("m03", 3)),
        ("ADNI2 Month 3 MRI-New Pt", VisitName("m03", 3)),
        ("ADNI2 Month 6-New Pt", VisitName("m06", 6)),
    ],
)
def test_months_that_are_the_same_for_everybody(name: str, expected: VisitName) -> None:
    assert read_visit(name) == expected


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ADNI2 Initial Visit-Cont Pt", "v06"),
        ("ADNI3 Initial Visit-Cont Pt", "init"),
        ("ADNI4 Initial Visit - Cont Pt", "4_init"),
        ("v06", "v06"),
        ("INIT", "init"),
        ("ADNI2 Year 1 Visit", "v11"),
        ("ADNI2 Year 5 Visit", "v51"),
        ("ADNI3 Year 2 Visit", "y2"),
        ("v21", "v21"),
        ("Y1", "y1"),
        ("4_m12", "4_m12"),
        ("ADNI4 Month 12", "4_m12"),
    ],
)
def test_visits_that_count_from_a_phase_have_no_month(name: str, code: str) -> None:
    assert read_visit(name) == VisitName(code)


@pytest.mark.parametrize(
    "name",
    [
        "n/a",
        "nv",
        "No Visit Defined",
        "Unscheduled",
        "uns1",
        "ADNI2 Tau-only visit",
        "Month 24",
        "Year 1",
        "f",
        "",
    ],
)
def test_names_that_say_nothing(name: str) -> None:
    assert read_visit(name) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CN", "CN"),
        ("NL", "CN"),
        ("MCI", "MCI"),
        ("Dementia", "AD"),
        ("AD", "AD"),
        ("1", "CN"),
        ("2.0", "MCI"),
        ("3", "AD"),
        ("NL to MCI", "MCI"),
        ("MCI to Dementia", "AD"),
        ("Stable: NL to NL", "CN"),
        ("Stable: Dementia", "AD"),
        ("Conversion: MCI to Dementia", "AD"),
        ("Reversion: MCI to NL", "CN"),
        ("n/a", "n/a"),
        ("-4", "n/a"),
        ("-1.0", "n/a"),
        ("NA", "n/a"),
        ("4", None),
        ("0", None),
        ("1.5", None),
        ("to", None),
        ("uncertain", None),
        ("MCI to AD to CN", None),
    ],
)
def test_diagnosis_words_and_numbers(text: str, expected: str | None) -> None:
    assert read_diagnosis(text) == expected


def test_the_nine_codes_of_change() -> None:
    found = [read_diagnosis(str(code), change=True) for code in range(11)]
    assert found == [None, "CN", "MCI", "AD", "MCI", "AD", "AD", "CN", "MCI", "CN", None]
