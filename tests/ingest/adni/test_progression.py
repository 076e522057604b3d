"""What became of a person: every way between normal, MCI and dementia, worked out by hand."""

from itertools import product

import pytest

from neurofocus.ingest.adni.progression import consistency, progression


def course(text: str) -> list[tuple[int, str]]:
    """Return a course written as ``0:CN 12:MCI``."""
    visits = [item.split(":") for item in text.split()]
    return [(int(month), diagnosis) for month, diagnosis in visits]


@pytest.mark.parametrize(
    ("visits", "month", "expected"),
    [
        ("0:CN", 0, "CN"),
        ("0:CN 12:CN 24:CN", 12, "CN"),
        ("0:CN 12:CN 24:MCI", 0, "CN, later MCI"),
        ("0:CN 12:MCI 24:AD", 0, "CN, later AD"),
        ("0:CN 12:MCI 24:CN", 0, "CN, later MCI"),
        ("0:CN 12:MCI 24:CN", 24, "CN, earlier MCI"),
        ("0:AD 12:CN", 12, "CN, earlier AD"),
        ("0:MCI 12:CN 24:AD", 12, "CN, later AD"),
        ("0:AD 12:AD", 0, "AD"),
        ("0:AD 12:MCI", 0, "AD, later MCI"),
        ("0:AD 12:MCI 24:CN", 0, "AD, later CN"),
        ("0:AD 12:MCI 24:AD", 0, "AD, later MCI"),
        ("0:AD 12:MCI 24:AD", 24, "AD, reverted earlier"),
        ("0:MCI 12:AD 24:AD", 12, "AD, earlier MCI"),
        ("0:CN 12:MCI 24:AD", 24, "AD, earlier CN"),
        ("0:MCI 12:AD 24:MCI", 12, "AD, later MCI"),
        ("0:CN 12:MCI 24:AD", 12, "MCI"),
        ("0:MCI 12:CN", 0, "MCI"),
        # Visits at which the tables contradict each other: nobody knows that CN was CN there, or that AD lasted.
        ("0:CN 12:contradiction", 0, "CN, disputed at another visit"),
        ("0:contradiction 12:CN", 12, "CN, disputed at another visit"),
        ("0:CN 12:contradiction 24:AD", 0, "CN, later AD"),
        ("0:AD 12:contradiction", 0, "AD, disputed at another visit"),
        ("0:contradiction 12:AD 24:AD", 12, "AD"),
        ("0:MCI 6:contradiction 12:AD", 12, "AD, earlier MCI"),
        ("0:MCI 12:contradiction", 0, "MCI"),
    ],
)
def test_consistency(visits: str, month: int, expected: str) -> None:
    assert consistency(course(visits), month) == expected


@pytest.mark.parametrize(
    ("visits", "month", "expected"),
    [
        # The horizon: 36 months after the scan's visit, that month included.
        ("0:MCI 35:AD", 0, "pMCI"),
        ("0:MCI 36:AD", 0, "pMCI"),
        ("0:MCI 37:AD", 0, "MCI, progressed after 36 months"),
        ("0:MCI 35:MCI", 0, "MCI, follow-up too short"),
        ("0:MCI 36:MCI", 0, "sMCI"),
        ("0:MCI 37:MCI", 0, "sMCI"),
        # It counts from the scan's visit, not from baseline.
        ("0:CN 12:MCI 48:AD", 12, "pMCI"),
        ("0:MCI 12:MCI 49:AD", 12, "MCI, progressed after 36 months"),
        ("0:MCI 12:MCI 47:MCI", 12, "MCI, follow-up too short"),
        ("0:MCI 12:MCI 48:MCI", 12, "sMCI"),
        # Seen with MCI at the horizon or later, then dementia: stable within the horizon.
        ("0:MCI 36:MCI 48:AD", 0, "sMCI"),
        ("0:MCI 38:MCI 48:AD", 0, "sMCI"),
        ("0:MCI 24:MCI 48:AD", 0, "MCI, progressed after 36 months"),
        ("0:MCI 36:MCI 48:CN", 0, "sMCI"),
        # Reverted for good, or back and forth.
        ("0:MCI 12:CN 24:CN", 0, "MCI, reverted"),
        ("0:MCI 24:MCI 48:CN", 0, "MCI, reverted"),
        ("0:MCI 12:CN 24:MCI 36:MCI", 0, "MCI, unstable"),
        ("0:MCI 12:CN 24:AD", 0, "MCI, unstable"),
        ("0:MCI 12:AD 24:MCI", 0, "MCI, unstable"),
        ("0:MCI 12:AD 60:CN", 0, "MCI, unstable"),
        ("0:MCI 24:MCI 48:AD 60:MCI", 0, "MCI, unstable"),
        # What came before the scan.
        ("0:CN 12:MCI 24:AD", 12, "pMCI"),
        ("0:AD 12:MCI 24:AD", 12, "MCI, unstable"),
        ("0:MCI 12:CN 24:MCI 36:AD", 24, "MCI, unstable"),
        ("0:MCI", 0, "MCI, follow-up too short"),
        # The tables contradict each other within the horizon, or where it does not matter.
        ("0:MCI 12:contradiction 36:MCI", 0, "MCI, disputed at another visit"),
        ("0:MCI 24:AD 36:contradiction", 0, "MCI, disputed at another visit"),
        ("0:MCI 36:MCI 37:contradiction 48:MCI", 0, "sMCI"),
        ("0:contradiction 12:MCI 24:AD", 12, "pMCI"),
        # Not MCI at the scan.
        ("0:CN 12:MCI", 0, "CN"),
        ("0:MCI 12:AD", 12, "AD"),
    ],
)
def test_progression(visits: str, month: int, expected: str) -> None:
    assert progression(course(visits), month, 36) == expected


def test_another_horizon() -> None:
    visits = course("0:MCI 12:MCI 24:AD")
    assert progression(visits, 0, 24) == "pMCI"
    assert progression(visits, 0, 12) == "sMCI"
    assert progression(course("0:MCI 24:AD"), 0, 18) == "MCI, progressed after 18 months"


def test_no_course_is_both_stable_and_progressive() -> None:
    """Against the definitions written out, for all courses of five visits."""
    months = (0, 12, 24, 36, 48)
    for states in product(("CN", "MCI", "AD"), repeat=4):
        diagnoses = ("MCI", *states)
        found = progression(list(zip(months, diagnoses, strict=True)), 0, 36)
        stable = diagnoses[:4] == ("MCI",) * 4
        starts = [number for number in range(1, 4) if diagnoses[number:] == ("AD",) * (5 - number)]
        progressive = any(diagnoses[:start] == ("MCI",) * start for start in starts)
        assert (found == "sMCI") == stable, diagnoses
        assert (found == "pMCI") == progressive, diagnoses
