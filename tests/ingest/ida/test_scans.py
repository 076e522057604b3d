"""Sessions, runs and processing of LONI IDA scans, from visits, dates and descriptions."""

from dataclasses import replace
from pathlib import Path

import pytest
from ingest.ida_delivery import IdaDelivery, Scan, ida_spec

from neurofocus.ingest.ida.reader import read_ida


def person(*visits: tuple[int, str, str, str]) -> list[Scan]:
    return [
        Scan("002_S_0816", image, day=day, visit=visit, description=description, kind="Original")
        for image, day, visit, description in visits
    ]


def read(tmp_path: Path, scans: list[Scan]) -> dict[str, tuple[str, int]]:
    made = IdaDelivery(tmp_path / "data")
    for scan in scans:
        made.put(scan)
    made.collection(scans)
    frame = read_ida(made.root, ida_spec()).frame
    return {
        image: (session, run)
        for image, session, run in zip(frame["image_id"], frame["session_id"], frame["run"], strict=True)
    }


def test_sessions_are_visits_and_repeats_come_last(tmp_path: Path) -> None:
    scans = person(
        (1, "2006-09-12", "ADNI2 Year 1 Visit", "MP-RAGE REPEAT"),
        (2, "2006-09-12", "ADNI2 Year 1 Visit", "MP-RAGE"),
        (3, "2006-09-01", "ADNI2 Year 1 Visit", "MPR-R; ; N3; Scaled"),
        (4, "2006-10-01", "ADNI2 Year 1 Visit", "MP-RAGE"),
        (5, "2007-10-01", "m12", "MP-RAGE"),
    )
    visit = "ses-ADNI2Year1Visit"
    assert read(tmp_path, scans) == {
        "I1": (visit, 4),
        "I2": (visit, 0),
        "I3": (visit, 3),
        "I4": (visit, 1),
        "I5": ("ses-m12", 2),
    }


def test_an_earlier_scan_of_a_day_comes_first(tmp_path: Path) -> None:
    later, earlier = person((1, "2006-09-12", "sc", "MPRAGE"), (2, "2006-09-12", "sc", "MPRAGE"))
    scans = [replace(later, time="10_00_00"), replace(earlier, time="09_59_59")]
    assert read(tmp_path, scans) == {"I1": ("ses-sc", 1), "I2": ("ses-sc", 0)}


def test_a_description_may_name_the_series_it_was_made_from(tmp_path: Path) -> None:
    repeat, usual = person(
        (1, "2006-09-12", "sc", "MPR; ; N3; Scaled <- MP-RAGE REPEAT"),
        (2, "2006-09-12", "sc", "MPR; ; N3; Scaled <- MP-RAGE"),
    )
    assert read(tmp_path, [repeat, usual]) == {"I1": ("ses-sc", 1), "I2": ("ses-sc", 0)}
    assert set(read_ida(tmp_path / "data", ida_spec()).frame["description"]) == {"MPR; ; N3; Scaled"}


@pytest.mark.parametrize("unknown", ["", "9/12/2006"])
def test_without_a_visit_dates_are_counted_and_never_shown(tmp_path: Path, unknown: str) -> None:
    scans = person(
        (1, "2008-01-01", "m24", "MPRAGE"),
        (2, "2006-09-12", unknown, "MPRAGE"),
        (3, "2006-09-12", unknown, "MPRAGE REPEAT"),
        (4, "2007-01-01", "m06", "MPRAGE"),
    )
    assert read(tmp_path, scans) == {
        "I1": ("ses-3", 2),
        "I2": ("ses-1", 0),
        "I3": ("ses-1", 3),
        "I4": ("ses-2", 1),
    }
    visits = read_ida(tmp_path / "data", ida_spec()).frame["visit"]
    assert set(visits) == {"m24", "m06", "n/a"}  # cohort scan writes them


@pytest.mark.parametrize(
    ("kind", "description", "expected"),
    [
        ("Original", "MPR; GradWarp", "original"),
        ("Pre-processed", "MPRAGE", "processed"),
        ("Post-processed", "MPRAGE", "processed"),
        ("Processed", "MPRAGE", "processed"),
        ("", "MPR; ; N3; Scaled_2", "processed"),
        ("", "MT1; GradWarp; N3m", "processed"),
        ("", "MPRAGE", "original"),
    ],
)
def test_processing_by_type_then_by_description(
    tmp_path: Path, kind: str, description: str, expected: str
) -> None:
    delivery = IdaDelivery(tmp_path)
    scan = Scan("002_S_0816", 40817, kind=kind, description=description)
    delivery.put(scan)
    delivery.collection([scan])
    assert list(read_ida(delivery.root, ida_spec()).frame["processing"]) == [expected]
