"""XML sidecars: alone, beside a table, damaged, and hostile."""

from dataclasses import replace
from pathlib import Path

import pytest
from ingest.ida_delivery import IdaDelivery, Scan, ida_spec

from neurofocus.errors import CohortError
from neurofocus.ingest.ida.reader import read_ida
from neurofocus.ingest.ida.sidecars import read_sidecar

SPEC = ida_spec()
ONE = Scan("002_S_0816", 40817, age="74.3", visit="ADNI Screening")
RAW = Scan("005_S_0221", 45107, description="MP-RAGE", kind="Original", group="AD", sex="M", age="67.1")


@pytest.fixture
def delivery(tmp_path: Path) -> IdaDelivery:
    made = IdaDelivery(tmp_path / "data")
    made.put(ONE, leaf="S")
    made.put(RAW, leaf="S")
    return made


def test_sidecars_serve_without_a_table(delivery: IdaDelivery) -> None:
    names = [delivery.xml(ONE).name, delivery.xml(RAW, strength="3.0 tesla").name]
    found = read_ida(delivery.root, SPEC)
    first, second = (found.frame.iloc[row] for row in range(2))
    assert list(found.frame["participant_id"]) == ["sub-ADNI002S0816", "sub-ADNI005S0221"]
    assert (first["diagnosis"], first["sex"], first["age"]) == ("CN", "F", "74.3")
    assert (first["visit"], first["session_id"]) == ("ADNI Screening", "ses-ADNIScreening")
    assert (first["processing"], second["processing"]) == ("processed", "original")
    # A magnet of 1.494 tesla is sold as 1.5; the protocol of a processed image is that of its original.
    assert (first["field_strength"], second["field_strength"]) == ("1.5", "3")
    assert first["manufacturer"] == "SIEMENS"
    assert first["description"] == "MPR; GradWarp; B1 Correction; N3; Scaled"
    assert second["description"] == "MP-RAGE"
    assert list(found.frame["diagnosis_source"]) == names
    assert found.source == "XML sidecars"
    assert len(found.warnings) == 1


def test_a_table_goes_first_value_by_value(delivery: IdaDelivery) -> None:
    delivery.xml(replace(ONE, group="MCI", sex="M"))
    name = delivery.xml(RAW).name
    delivery.collection([replace(ONE, age="")], name="c.csv")
    frame = read_ida(delivery.root, SPEC).frame
    assert list(frame["diagnosis"]) == ["CN", "AD"]
    assert list(frame["diagnosis_source"]) == ["c.csv:Group", name]
    assert list(frame["sex"]) == ["F", "M"]
    assert list(frame["age"]) == ["74.3", "67.1"]
    assert frame["age_source"].iloc[0].endswith("_I40817.xml")
    assert list(frame["field_strength"]) == ["1.5", "1.5"]


def test_broken_sidecars_are_named_and_the_others_used(delivery: IdaDelivery) -> None:
    delivery.xml(ONE)
    broken = delivery.xml(RAW)
    broken.write_text(broken.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    found = read_ida(delivery.root, SPEC)
    assert list(found.frame["subject"]) == ["002_S_0816"]
    assert any(f"1 XML sidecars are not used ({broken.name}: no valid XML" in text for text in found.warnings)
    assert {step.step: step.count for step in found.steps}["in no image table and without XML"] == 1


def test_only_broken_sidecars_are_no_description(delivery: IdaDelivery) -> None:
    delivery.xml(ONE).write_bytes(b"\xff\xfe<")
    with pytest.raises(CohortError, match=r"no XML that can be used \(1 XML sidecars are not used"):
        read_ida(delivery.root, SPEC)


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'


def test_declarations_are_refused(delivery: IdaDelivery) -> None:
    path = delivery.xml(ONE, extra=BOMB)
    with pytest.raises(CohortError, match="declares a document type"):
        read_sidecar(path)
    path.write_bytes(path.read_text(encoding="utf-8").replace("UTF-8", "UTF-16").encode("utf-16"))
    with pytest.raises(CohortError, match="no valid XML"):
        read_sidecar(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<idaxs>" + " " * 2**20 + "</idaxs>", "more than 1048576 bytes"),
        ("<html/>", "its outermost element is 'html', not 'idaxs'"),
        ("", "no valid XML"),
    ],
)
def test_other_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x_I1.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CohortError, match=message):
        read_sidecar(path)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ("<subjectAge>74.3</subjectAge><ageQualifier>Y</ageQualifier>", "74.3"),
        ("<subjectAge>74.3</subjectAge>", "74.3"),
        ("<subjectAge>11</subjectAge><ageQualifier>M</ageQualifier>", "11 M"),
        ("<ageQualifier>Y</ageQualifier>", None),
    ],
)
def test_age_in_other_units_is_not_taken_for_years(
    tmp_path: Path, elements: str, expected: str | None
) -> None:
    path = tmp_path / "x_I1.xml"
    path.write_text(f"<idaxs>{elements}</idaxs>", encoding="utf-8")
    assert read_sidecar(path).get("age") == expected


def test_older_documents_name_the_group_differently(tmp_path: Path) -> None:
    path = tmp_path / "x_I1.xml"
    path.write_text('<idaxs><subjectInfo item="DX Group">AD</subjectInfo></idaxs>', encoding="utf-8")
    assert read_sidecar(path)["group"] == "AD"
