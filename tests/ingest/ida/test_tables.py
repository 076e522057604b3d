"""Image tables of LONI IDA: several rows of one image, identifiers that are none, images of somebody else."""

from dataclasses import replace
from pathlib import Path

import pytest
from ingest.ida_delivery import IdaDelivery, Scan, ida_spec

from neurofocus.errors import CohortError
from neurofocus.ingest.ida.reader import read_ida

CN = Scan("002_S_0816", 40817)
AD = Scan("005_S_0221", 45107, group="AD", sex="M", age="67", day="2006-02-03")


@pytest.fixture
def delivery(tmp_path: Path) -> IdaDelivery:
    made = IdaDelivery(tmp_path / "data")
    for scan in (CN, AD):
        made.put(scan)
    return made


def test_equal_rows_merge_and_a_second_table_completes_the_first(delivery: IdaDelivery) -> None:
    delivery.collection([CN, AD, CN], name="A_collection.csv")
    delivery.search(
        [replace(CN, age="74.3", visit="ADNI Screening", description=f"{CN.description} <- MP-RAGE"), AD],
        name="B_search.csv",
    )
    found = read_ida(delivery.root, ida_spec())
    first = found.frame.iloc[0]
    assert len(found.frame) == 2
    assert (first["age"], first["visit"]) == ("74", "sc")
    assert first["field_strength"] == "3"  # only the search has the protocol
    assert first["age_source"] == "A_collection.csv:Age"
    assert any("'sc' and 'ADNI Screening'" in text and "1 images" in text for text in found.warnings)
    assert next(step.count for step in found.steps if step.step == "images listed in tables") == 2


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
        read_ida(delivery.root, ida_spec())
    text = str(caught.value)
    assert f"c.csv: row 2, column '{column}'" in text
    assert f"c.csv: row 4, column '{column}'" in text
    assert all(value in text for value in values)
    assert "I40817" in text


@pytest.mark.parametrize("kind", ["Pre-processed", "Post-processed"])
def test_old_and_new_names_of_one_processing_type_agree(delivery: IdaDelivery, kind: str) -> None:
    delivery.collection([CN, AD], name="a.csv")
    delivery.collection([replace(CN, kind=kind)], name="b.csv")
    assert list(read_ida(delivery.root, ida_spec()).frame["processing"]) == ["processed"] * 2
    delivery.collection([replace(CN, kind="Original")], name="b.csv")
    with pytest.raises(CohortError, match=r"a\.csv: row 2, column 'Type': holds 'Processed'.*'Original'"):
        read_ida(delivery.root, ida_spec())


def test_contradicting_tables_are_named(delivery: IdaDelivery) -> None:
    delivery.collection([CN], name="a.csv")
    delivery.search([replace(CN, group="MCI")], name="b.csv")
    with pytest.raises(
        CohortError, match=r"a\.csv: row 2, column 'Group'.*b\.csv: row 2, column 'Research Group'"
    ):
        read_ida(delivery.root, ida_spec())


@pytest.mark.parametrize("wrong", ["D40817", "I4O817", "40817.5"])
def test_identifiers_that_are_none(delivery: IdaDelivery, wrong: str) -> None:
    delivery.table("c.csv", ["Image Data ID", "Subject"], [["I45107", AD.subject], [wrong, CN.subject]])
    with pytest.raises(CohortError, match=rf"c\.csv: row 3, column 'Image Data ID': holds '{wrong}'"):
        read_ida(delivery.root, ida_spec())


def test_identifiers_after_a_spreadsheet_and_blank_ones(delivery: IdaDelivery) -> None:
    rows = [["45107.0", AD.subject, "AD"], ["", CN.subject, "CN"], ["i40817", CN.subject, "CN"]]
    delivery.table("c.csv", ["Image", "PATNO", "DX Group"], rows)
    found = read_ida(delivery.root, ida_spec())
    assert list(found.frame["group"]) == ["CN", "AD"]
    assert "c.csv: 1 rows without an image identifier are not used" in found.warnings


def test_a_table_that_gives_an_image_to_another_subject(delivery: IdaDelivery) -> None:
    delivery.collection([replace(CN, subject="002_S_0999"), AD])
    with pytest.raises(CohortError, match=r"I40817 lies in the folder of subject 002_S_0816.*002_S_0999"):
        read_ida(delivery.root, ida_spec())


def test_a_sidecar_that_gives_a_listed_image_to_another_subject(delivery: IdaDelivery) -> None:
    delivery.collection([CN, AD])
    delivery.xml(replace(CN, subject="002_S_0999"))
    with pytest.raises(CohortError, match=r"I40817 lies in the folder of subject 002_S_0816.*002_S_0999"):
        read_ida(delivery.root, ida_spec())
