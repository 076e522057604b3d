from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofocus.errors import CohortError
from neurofocus.tables import read_delivered, read_header, read_tsv, write_tsv


def test_round_trip_is_exact(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "name": ["a", "b 'c'", 'q"uote', "n/a"],
            "value": [0.1 + 0.2, float("nan"), 1e-300, rng.random()],
            "count": [1, 2, 3, -4],
        }
    )
    write_tsv(tmp_path / "t.tsv", frame)
    back = read_tsv(tmp_path / "t.tsv", numbers=["value"], integers=["count"])
    pd.testing.assert_frame_equal(back, frame, check_exact=True, check_dtype=False)
    first = (tmp_path / "t.tsv").read_bytes()
    write_tsv(tmp_path / "t.tsv", back)
    assert (tmp_path / "t.tsv").read_bytes() == first


def test_short_and_blank_rows(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("a\tb\n 1 \t\n\n2\n\n", encoding="utf-8")
    assert read_tsv(tmp_path / "t.tsv").to_numpy().tolist() == [["1", "n/a"], ["2", "n/a"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\n\n1\t2\t3\n", "row 3 has 3 cells"),
        ("a;b\n", "tab-separated"),
        ("a\nx\n", "column 'a' holds 'x'"),
        ("b\n1\n", "no column 'a'; it has b"),
        ("\n", "empty"),
    ],
)
def test_refusals(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CohortError, match=message):
        read_tsv(path, numbers=["a"])


def test_other_encodings_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes("a\nZürich\n".encode("latin-1"))
    with pytest.raises(CohortError, match="UTF-8"):
        read_tsv(tmp_path / "t.tsv")
    with pytest.raises(CohortError, match="cannot be read"):
        read_tsv(tmp_path / "none.tsv")


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_a_delivered_table_however_it_was_saved(tmp_path: Path, separator: str, encoding: str) -> None:
    path = tmp_path / "t.csv"
    lines = ["ID|Centre|Note", '1|Zürich|"a, b; c"', "", "2| |x"]
    path.write_bytes("\r\n".join(separator.join(line.split("|")) for line in lines).encode(encoding))
    frame = read_delivered(path)
    assert frame.to_numpy().tolist() == [["1", "Zürich", "a, b; c"], ["2", "n/a", "x"]]
    assert list(frame.index) == [2, 4]
    assert read_header(path) == ("ID", "Centre", "Note")


def test_a_delivered_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"PK\x03\x04\0\0")
    with pytest.raises(CohortError, match="not as a spreadsheet"):
        read_delivered(path)
    path.write_text("a,b\n1,2,,\n3,4,5\n")
    with pytest.raises(CohortError, match=r"row 3 has 3 cells, the header 2; .*in quotes"):
        read_delivered(path)
    path.write_text("")
    assert read_header(path) == ()
    with pytest.raises(CohortError, match="cannot be read"):
        read_header(tmp_path / "none.csv")


@pytest.mark.parametrize(("separator", "read"), [(";", "0.5"), ("\t", "0.5"), (",", "0,5")])
def test_decimal_commas_are_read_where_the_comma_separates_nothing(
    tmp_path: Path, separator: str, read: str
) -> None:
    path = tmp_path / "t.csv"
    rows = (["ID", "CDR", "Days", "Share", "Note"], ["1", '"0,5"', '"1,234"', '"0,743"', '"a, 1,5"'])
    path.write_text("\n".join(separator.join(row) for row in rows), encoding="utf-8")
    ratio = "0,743" if separator == "," else "0.743"
    assert read_delivered(path).iloc[0].tolist() == ["1", read, "1,234", ratio, "a, 1,5"]


def test_line_ends_of_old_spreadsheets(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"ID,Age\r1,70\r2,71\r")
    assert read_header(path) == ("ID", "Age")
    assert read_delivered(path)["Age"].tolist() == ["70", "71"]


def test_blank_cells_after_the_header_are_no_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,,,\n1,2,,,\n", encoding="utf-8")
    assert read_delivered(tmp_path / "t.csv").to_dict("list") == {"a": ["1"], "b": ["2"]}


@pytest.mark.parametrize("more", [3, 50_000])
def test_a_quote_that_is_not_closed_would_swallow_rows(tmp_path: Path, more: int) -> None:
    (tmp_path / "t.csv").write_text('a,b\n1,"2\n3"\n5,"6\n' + "7,8\n" * more, encoding="utf-8")
    with pytest.raises(CohortError, match=r"t\.csv: row 4 opens a quote that nothing closes"):
        read_delivered(tmp_path / "t.csv")
