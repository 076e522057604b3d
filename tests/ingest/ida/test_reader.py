"""LONI IDA deliveries from folder to scans: joining, sessions, runs, sources, and what is counted or refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ingest.ida_delivery import IdaDelivery, Scan, ida_spec

from neurofocus.errors import CohortError
from neurofocus.ingest.flow import FlowStep
from neurofocus.ingest.ida.reader import read_ida
from neurofocus.ingest.load import load_cohort
from neurofocus.ingest.scans import FoundScans

CN = Scan("002_S_0816", 40817)
AD = Scan("005_S_0221", 45107, group="AD", sex="M", age="67", day="2006-02-03")


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
    found = read_ida(delivery.root, ida_spec())
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


def test_a_search_without_leading_i_gives_the_protocol(delivery: IdaDelivery) -> None:
    delivery.search([CN, AD])
    frame = read_ida(delivery.root, ida_spec()).frame
    assert list(frame["field_strength"]) == ["3", "3"]
    assert list(frame["manufacturer"]) == ["SIEMENS", "SIEMENS"]
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
    frame = read_ida(delivery.root, ida_spec()).frame
    assert list(frame["image_id"]) == ["I40817", "I45107"]
    assert set(frame["description"]) == {"MPR; GradWarp; B1 Correction; N3; Scaled"}


@pytest.mark.parametrize(
    ("here", "there"), [("9/12/2006", "2/3/2006"), ("2006-09-12", "2006-02-03"), ("9/12/06", "2/3/06")]
)
def test_dates_of_the_table_agree_with_the_folders(delivery: IdaDelivery, here: str, there: str) -> None:
    rows = [["40817", CN.subject, "CN", here], ["45107", AD.subject, "AD", there]]
    delivery.table("mine.csv", ["Image Data ID", "Subject", "Group", "Acq Date"], rows)
    found = read_ida(delivery.root, ida_spec())
    assert list(found.frame["acq_date"]) == list(found.frame["acq_time"]) == ["2006-09-12", "2006-02-03"]
    assert len(found.warnings) == 1  # the one on groups


def test_a_date_that_differs_from_the_folder_is_reported(delivery: IdaDelivery) -> None:
    delivery.collection([replace(CN, day="2006-09-13"), AD])
    found = read_ida(delivery.root, ida_spec())
    assert any("1 images (I40817, …) have another acquisition date" in text for text in found.warnings)
    assert found.frame["acq_time"].iloc[0] == "2006-09-12"


def test_listed_but_not_downloaded_and_downloaded_but_not_listed(delivery: IdaDelivery) -> None:
    delivery.put(Scan("006_S_0001", 777))
    (delivery.images / "loose.nii").touch()
    delivery.collection([CN, AD, Scan("007_S_0001", 888, group="MCI"), Scan("007_S_0001", 889, group="AD")])
    found = read_ida(delivery.root, ida_spec())
    assert steps(found) == {
        "images listed in tables": 4,
        "listed but not downloaded": 2,
        "image files outside the folder layout, or of several images in one folder": 1,
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
    flow: list[FlowStep] = list(load_cohort(ida_spec(), delivery.root).flow)
    start = next(number for number, step in enumerate(flow) if step.step == "images found")
    dropped = sum(step.count for step in flow[start:] if step.kind == "dropped")
    assert flow[start].count - dropped == flow[-1].count == 2


def test_no_table_and_no_xml_says_what_to_download(delivery: IdaDelivery) -> None:
    delivery.table("ADNIMERGE.csv", ["RID", "PTID", "IMAGEUID"], [["816", CN.subject, "40817"]])
    with pytest.raises(CohortError) as caught:
        read_ida(delivery.root, ida_spec())
    text = str(caught.value)
    assert "\n" not in text
    assert "2 images, but no image table" in text
    assert "Image Data ID or Image ID or Image" in text
    assert "ida.loni.usc.edu" in text


def test_a_table_of_another_collection(delivery: IdaDelivery) -> None:
    delivery.collection([Scan("002_S_0816", 1)], name="other.csv")
    with pytest.raises(CohortError, match=r"other\.csv: lists none of the 2 images .*I40817.*I1,"):
        read_ida(delivery.root, ida_spec())


def test_no_images_says_what_was_seen(tmp_path: Path) -> None:
    (tmp_path / "ADNI").mkdir()
    (tmp_path / "ADNI" / "flat.nii").touch()
    with pytest.raises(CohortError, match=r"no image SUBJECT/DESCRIPTION.*1 image files elsewhere"):
        read_ida(tmp_path, ida_spec())


def test_a_rule_of_another_layout_is_refused(delivery: IdaDelivery) -> None:
    delivery.collection([CN, AD])
    with pytest.raises(CohortError, match=r"label_rule 'cdr' is not for layout 'ida'; use one of column, "):
        read_ida(delivery.root, ida_spec(label_rule="cdr"))
    with pytest.raises(CohortError, match=r"needs 'tables\.images'"):
        read_ida(delivery.root, ida_spec(tables={}))
