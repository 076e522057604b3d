from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofocus.errors import CohortError
from neurofocus.tables import read_tsv, write_tsv


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
