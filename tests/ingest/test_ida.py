"""LONI IDA deliveries from folder to scans: joining, sessions, runs, sources, and what is counted or refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ingest.ida_delivery import IdaDelivery, Scan

from neurofocus.errors import CohortError
from neurofocus.ingest.flow import FlowStep
from neurofocus.ingest.ida import read_ida
from neurofocus.ingest.load import load_cohort
from neurofocus.ingest.scans import FoundScans
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec

IMAGES = load_cohort_spec("ppmi").tables["images"]
CN = Scan("002_S_0816", 40817)
AD = Scan("005_S_0221", 45107, group="AD", sex="M", age="67", day="2006-02-03")


def spec(**changes: Any) -> CohortSpec:
    values = {
        "name": "mini",
        "title": "mini",
        "description": "mini",
        "layout": "ida",
        "participant_prefix": "ADNI",
        "tables": {"images": IMAGES},
        "classes": {"CN": ["CN"], "AD": ["AD"]},
    }
    return CohortSpec.model_validate(values | changes)


def steps(found: FoundScans) -> dict[str, int]:
    return {step.step: step.count for step in found.steps if step.kind == "kept" or step.count}


@pytest.fixture
def delivery(tmp_path: Path) -> IdaDelivery:
    made = IdaDelivery(tmp_path / "data")
    for scan in (CN, AD):
        made.put(scan)
    return made


def test_a_collection_says_what_the_images_are(delivery: IdaDelivery) -> None:
    delivery.collection([CN, AD])
    found = read_ida(delivery.root, spec())
    first, second = (found.frame.iloc[row] for row in range(2))
    assert list(found.frame["participant_id"]) == ["sub-ADNI002S0816", "sub-ADNI005S0221"]
    assert first["session_id"] == "ses-sc"
    assert first["subject"] == "002_S_0816"
    assert first["visit"] == "sc"
    assert first["image_id"] == "I40817"
    assert first["acq_time"] == "2006-09-12"
    assert first["description"] == "MPR; GradWarp; B1 Correction; N3; Scaled"
    assert first["processing"] == "processed"
    assert first["field_strength"] == first["manufacturer"] == "n/a"
    assert (second["diagnosis"], second["sex"], second["age"]) == ("AD", "M", "67")
    name = "ADNI1_Screening_3_12_2024.csv"
    assert second["diagnosis_source"] == f"{name}:Group"
    assert second["sex_source"] == f"{name}:Sex"
    assert second["age_source"] == f"{name}:Age"
    assert second["site_source"] == "n/a"
    assert found.source == name
    assert steps(found) == {"images listed in tables": 2, "images found": 2}
    assert next(step.by_label for step in found.steps) == {"AD": 1, "CN": 1}
    (warning,) = found.warnings
    assert "enrolled" in warning


def test_a_search_without_leading_i_gives_phase_and_protocol(delivery: IdaDelivery) -> None:
    delivery.search([CN, AD])
    frame = read_ida(delivery.root, spec()).frame
    assert list(frame["field_strength"]) == ["3", "3"]
    assert list(frame["manufacturer"]) == ["SIEMENS", "SIEMENS"]
    assert list(frame["phase"]) == ["ADNI 2", "ADNI 2"]
    assert list(frame["group"]) == ["CN", "AD"]
    assert list(frame["age_source"]) == ["idaSearch_3_12_2024.csv:Age"] * 2
    assert list(frame["processing"]) == ["processed"] * 2  # by the description: a search has no Type


@pytest.mark.parametrize(
    "style",
    [{"bom": True}, {"end": "\r\n"}, {"sep": ";"}, {"sep": ";", "end": "\r\n", "bom": True}, {"sep": "\t"}],
)
def test_tables_after_spreadsheets(delivery: IdaDelivery, style: dict[str, Any]) -> None:
    # A cell of this table holds semicolons, so with that separator the quotes matter.
    delivery.collection([CN, AD], **style)
    frame = read_ida(delivery.root, spec()).frame
    assert list(frame["image_id"]) == ["I40817", "I45107"]
    assert set(frame["description"]) == {"MPR; GradWarp; B1 Correction; N3; Scaled"}


@pytest.mark.parametrize(
    ("here", "there"), [("9/12/2006", "2/3/2006"), ("2006-09-12", "2006-02-03"), ("9/12/06", "2/3/06")]
)
def test_dates_of_the_table_agree_with_the_folders(delivery: IdaDelivery, here: str, there: str) -> None:
    rows = [["40817", CN.subject, "CN", here], ["45107", AD.subject, "AD", there]]
    delivery.table("mine.csv", ["Image Data ID", "Subject", "Group", "Acq Date"], rows)
    found = read_ida(delivery.root, spec())
    assert list(found.frame["acq_date"]) == list(found.frame["acq_time"]) == ["2006-09-12", "2006-02-03"]
    assert len(found.warnings) == 1  # the one on groups


def test_a_date_that_differs_from_the_folder_is_reported(delivery: IdaDelivery) -> None:
    delivery.collection([replace(CN, day="2006-09-13"), AD])
    found = read_ida(delivery.root, spec())
    assert any("1 images (I40817, …) have another acquisition date" in text for text in found.warnings)
    assert found.frame["acq_time"].iloc[0] == "2006-09-12"


def test_listed_but_not_downloaded_and_downloaded_but_not_listed(delivery: IdaDelivery) -> None:
    delivery.put(Scan("006_S_0001", 777))
    (delivery.images / "loose.nii").touch()
    delivery.collection([CN, AD, Scan("007_S_0001", 888, group="MCI"), Scan("007_S_0001", 889, group="AD")])
    found = read_ida(delivery.root, spec())
    assert steps(found) == {
        "images listed in tables": 4,
        "listed but not downloaded": 2,
        "image files outside the folder layout": 1,
        "images found": 3,
        "in no image table and without XML": 1,
    }
    labels = {step.step: dict(step.by_label) for step in found.steps}
    assert labels["listed but not downloaded"] == {"AD": 1, "MCI": 1}
    assert labels["images found"] == {"AD": 1, "CN": 1, "n/a": 1}
    assert len(found.frame) == 2


def test_flow_adds_up_from_images_found_to_scans_used(delivery: IdaDelivery) -> None:
    delivery.put(Scan("006_S_0001", 777))
    delivery.put(Scan("006_S_0002", 778))
    delivery.put(replace(CN, image=779, day="2007-09-12", visit="m12"))
    delivery.collection(
        [CN, AD, Scan("006_S_0002", 778, group="MCI"), replace(CN, image=779, day="2007-09-12", visit="m12")]
    )
    flow: list[FlowStep] = list(load_cohort(spec(), delivery.root).flow)
    start = next(number for number, step in enumerate(flow) if step.step == "images found")
    dropped = sum(step.count for step in flow[start:] if step.kind == "dropped")
    assert flow[start].count - dropped == flow[-1].count == 2


# Sessions and runs.


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
    frame = read_ida(made.root, spec()).frame
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
        "I1": (visit, 3),
        "I2": (visit, 0),
        "I3": (visit, 2),
        "I4": (visit, 1),
        "I5": ("ses-m12", 0),
    }


def test_an_earlier_scan_of_a_day_comes_first(tmp_path: Path) -> None:
    later, earlier = person((1, "2006-09-12", "sc", "MPRAGE"), (2, "2006-09-12", "sc", "MPRAGE"))
    scans = [replace(later, time="10_00_00"), replace(earlier, time="09_59_59")]
    assert read(tmp_path, scans) == {"I1": ("ses-sc", 1), "I2": ("ses-sc", 0)}


@pytest.mark.parametrize("unknown", ["", "9/12/2006"])
def test_without_a_visit_dates_are_counted_and_never_shown(tmp_path: Path, unknown: str) -> None:
    scans = person(
        (1, "2008-01-01", "m24", "MPRAGE"),
        (2, "2006-09-12", unknown, "MPRAGE"),
        (3, "2006-09-12", unknown, "MPRAGE REPEAT"),
        (4, "2007-01-01", "m06", "MPRAGE"),
    )
    assert read(tmp_path, scans) == {
        "I1": ("ses-3", 0),
        "I2": ("ses-1", 0),
        "I3": ("ses-1", 1),
        "I4": ("ses-2", 0),
    }


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
    delivery: IdaDelivery, kind: str, description: str, expected: str
) -> None:
    delivery.collection([replace(CN, kind=kind, description=description)])
    assert list(read_ida(delivery.root, spec()).frame["processing"]) == [expected]


# Rows of one image.


def test_equal_rows_merge_and_a_second_table_completes_the_first(delivery: IdaDelivery) -> None:
    delivery.collection([CN, AD, CN], name="A_collection.csv")
    delivery.search([replace(CN, age="74.3", visit="ADNI Screening"), AD], name="B_search.csv")
    found = read_ida(delivery.root, spec())
    first = found.frame.iloc[0]
    assert len(found.frame) == 2
    assert (first["age"], first["visit"]) == ("74", "sc")
    assert first["phase"] == "ADNI 2"  # only the search has it
    assert first["age_source"] == "A_collection.csv:Age"
    assert any("'sc' and 'ADNI Screening'" in text and "1 images" in text for text in found.warnings)
    assert steps(found)["images listed in tables"] == 2


@pytest.mark.parametrize(
    ("change", "column", "values"),
    [
        ({"subject": "002_S_0999"}, "Subject", ("'002_S_0816'", "'002_S_0999'")),
        ({"group": "MCI"}, "Group", ("'CN'", "'MCI'")),
        ({"sex": "M"}, "Sex", ("'F'", "'M'")),
        ({"age": "76"}, "Age", ("'74'", "'76'")),
        ({"visit": "m12"}, "Visit", ("'sc'", "'m12'")),
        ({"day": "2006-09-13"}, "Acq Date", ("'9/12/2006'", "'9/13/2006'")),
    ],
)
def test_contradicting_rows_of_one_image_name_both(
    delivery: IdaDelivery, change: dict[str, str], column: str, values: tuple[str, str]
) -> None:
    delivery.collection([CN, AD, replace(CN, **change)], name="c.csv")
    with pytest.raises(CohortError) as caught:
        read_ida(delivery.root, spec())
    text = str(caught.value)
    assert f"c.csv: row 2, column '{column}'" in text
    assert f"c.csv: row 4, column '{column}'" in text
    assert all(value in text for value in values)
    assert "I40817" in text


def test_contradicting_tables_are_named(delivery: IdaDelivery) -> None:
    delivery.collection([CN], name="a.csv")
    delivery.search([replace(CN, group="MCI")], name="b.csv")
    with pytest.raises(
        CohortError, match=r"a\.csv: row 2, column 'Group'.*b\.csv: row 2, column 'Research Group'"
    ):
        read_ida(delivery.root, spec())


@pytest.mark.parametrize("wrong", ["D40817", "I4O817", "40817.5"])
def test_identifiers_that_are_none(delivery: IdaDelivery, wrong: str) -> None:
    delivery.table("c.csv", ["Image Data ID", "Subject"], [["I45107", AD.subject], [wrong, CN.subject]])
    with pytest.raises(CohortError, match=rf"c\.csv: row 3, column 'Image Data ID': holds '{wrong}'"):
        read_ida(delivery.root, spec())


def test_identifiers_after_a_spreadsheet_and_blank_ones(delivery: IdaDelivery) -> None:
    rows = [["45107.0", AD.subject, "AD"], ["", CN.subject, "CN"], ["i40817", CN.subject, "CN"]]
    delivery.table("c.csv", ["Image", "PATNO", "DX Group"], rows)
    found = read_ida(delivery.root, spec())
    assert list(found.frame["group"]) == ["CN", "AD"]
    assert "c.csv: 1 rows without an image identifier are not used" in found.warnings


def test_a_table_that_gives_an_image_to_another_subject(delivery: IdaDelivery) -> None:
    delivery.collection([replace(CN, subject="002_S_0999"), AD])
    with pytest.raises(CohortError, match=r"I40817 lies in the folder of subject 002_S_0816.*002_S_0999"):
        read_ida(delivery.root, spec())


# What is missing.


def test_no_table_and_no_xml_says_what_to_download(delivery: IdaDelivery) -> None:
    delivery.table("ADNIMERGE.csv", ["RID", "PTID", "IMAGEUID"], [["816", CN.subject, "40817"]])
    with pytest.raises(CohortError) as caught:
        read_ida(delivery.root, spec())
    text = str(caught.value)
    assert "\n" not in text
    assert "2 images, but no image table" in text
    assert "Image Data ID or Image ID or Image" in text
    assert "ida.loni.usc.edu" in text


def test_a_table_of_another_collection(delivery: IdaDelivery) -> None:
    delivery.collection([Scan("002_S_0816", 1)], name="other.csv")
    with pytest.raises(CohortError, match=r"other\.csv: lists none of the 2 images .*I40817.*I1,"):
        read_ida(delivery.root, spec())


def test_no_images_says_what_was_seen(tmp_path: Path) -> None:
    (tmp_path / "ADNI").mkdir()
    (tmp_path / "ADNI" / "flat.nii").touch()
    with pytest.raises(CohortError, match=r"no image SUBJECT/DESCRIPTION.*1 image files elsewhere"):
        read_ida(tmp_path, spec())


def test_a_rule_of_another_layout_is_refused(delivery: IdaDelivery) -> None:
    delivery.collection([CN, AD])
    with pytest.raises(
        CohortError, match=r"label_rule 'cdr' is not for layout 'ida'; use one of column, status"
    ):
        read_ida(delivery.root, spec(label_rule="cdr"))
    with pytest.raises(CohortError, match=r"needs 'tables\.images'"):
        read_ida(delivery.root, spec(tables={}))
