"""Delivered tables: found by name and header, whatever an export did to them."""

from pathlib import Path

import pytest

from neurofocus.errors import CohortError
from neurofocus.ingest.delivered import find_table, require_table
from neurofocus.schema.cohort import TableSpec

IMAGES = TableSpec(
    files=("*.csv",),
    columns={
        "image_id": ("Image Data ID", "Image ID"),
        "subject": ("Subject", "PTID"),
        "sex": ("M/F", "Sex"),
        "visit": ("Visit",),
    },
    required=("image_id", "subject"),
    many=True,
)
MERGE = TableSpec(files=("adnimerge*.csv",), columns={"subject": ("PTID",)}, required=("subject",))


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_parts_of_one_table_are_joined_under_our_names(tmp_path: Path) -> None:
    put(tmp_path / "first.csv", '"Image Data ID","Subject","Sex"\nI1,002_S_0001,M\n\nI2,002_S_0002,F\n')
    put(tmp_path / "more" / "second.CSV", "subject ;Image_ID;M/F\n002_S_0003;3;F\n")
    put(tmp_path / "other.csv", "a,b\n1,2\n")
    put(tmp_path / "deep" / "er" / "third.csv", "Image ID,Subject\n9,9\n")
    table = find_table(tmp_path, "images", IMAGES)
    assert table is not None
    assert table.frame["image_id"].tolist() == ["I1", "I2", "3"]
    assert table.frame["sex"].tolist() == ["M", "F", "F"]
    assert table.frame["line"].tolist() == [2, 4, 2]
    assert not table.has("visit")
    assert table.sources("sex") == ["first.csv:Sex", "first.csv:Sex", "more/second.CSV:M/F"]
    assert table.where(1, "image_id") == "first.csv: row 4, column 'Image Data ID'"


def test_a_part_without_a_column_gives_missing_values(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "Image ID,Subject,Visit\n1,a,bl\n")
    put(tmp_path / "b.csv", "Image ID,Subject\n2,b\n")
    table = find_table(tmp_path, "images", IMAGES)
    assert table is not None
    assert table.frame["visit"].tolist() == ["bl", "n/a"]


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("ADNIMERGE_01Feb2023.csv", "ADNIMERGE_12Oct2024.csv"),
        ("ADNIMERGE_2_28_2023.csv", "ADNIMERGE_1_05_2024.csv"),
        ("adnimerge.csv", "ADNIMERGE_2024-10-12.csv"),
        ("ADNIMERGE_20230101.csv", "ADNIMERGE_20230102.csv"),
    ],
)
def test_the_newest_of_several_is_used_and_said(tmp_path: Path, older: str, newer: str) -> None:
    put(tmp_path / older, "PTID\nold\n")
    put(tmp_path / newer, "PTID\nnew\n")
    table = find_table(tmp_path, "adnimerge", MERGE)
    assert table is not None
    assert table.frame["subject"].tolist() == ["new"]
    assert table.warnings == (f"{newer}: the newest of 2 files that fit the table 'adnimerge' is used",)


def test_several_without_dates_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "ADNIMERGE.csv", "PTID\na\n")
    put(tmp_path / "ADNIMERGE (1).csv", "PTID\nb\n")
    with pytest.raises(CohortError, match=r"ADNIMERGE \(1\)\.csv and ADNIMERGE\.csv: both fit .* keep one"):
        find_table(tmp_path, "adnimerge", MERGE)


def test_a_missing_table_is_described(tmp_path: Path) -> None:
    assert find_table(tmp_path, "images", IMAGES) is None
    with pytest.raises(CohortError, match=r"no table 'images': \*\.csv with columns .*there is no such file"):
        require_table(tmp_path, "images", IMAGES)
    put(tmp_path / "near.csv", "PTID,Visit\nx,bl\n")
    put(tmp_path / "far.csv", "x\n1\n")
    with pytest.raises(
        CohortError, match=r"image_id \(Image Data ID or Image ID\).*nearest: near\.csv lacks image_id;"
    ):
        require_table(tmp_path, "images", IMAGES)


def test_a_data_folder_that_is_too_deep_or_too_high_is_told(tmp_path: Path) -> None:
    put(tmp_path / "study" / "images.csv", "Image ID,Subject\n1,a\n")
    put(tmp_path / "study" / "dictionary.csv", "x\n1\n")
    deep = tmp_path / "study" / "ADNI" / "002_S_0001"
    deep.mkdir(parents=True)
    with pytest.raises(
        CohortError, match=rf"images\.csv lies in .*: did you mean --data {tmp_path / 'study'}\?"
    ):
        require_table(deep, "images", IMAGES)
    (tmp_path / "high").mkdir()
    put(tmp_path / "high" / "more" / "study" / "list.csv", "Image ID,Subject\n1,a\n")
    with pytest.raises(CohortError, match=rf"did you mean --data {tmp_path / 'high' / 'more' / 'study'}\?"):
        require_table(tmp_path / "high", "images", IMAGES)


def test_an_excel_file_in_place_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "ADNIMERGE_12Oct2024.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(CohortError, match=r"ADNIMERGE_12Oct2024\.xlsx: an Excel file; .*save it as CSV"):
        find_table(tmp_path, "adnimerge", MERGE)
    assert find_table(tmp_path, "images", IMAGES) is None  # any name fits: it may be something else
    with pytest.raises(CohortError, match=r"xlsx is an Excel file: if it is the table, save it as CSV"):
        require_table(tmp_path, "images", IMAGES)
