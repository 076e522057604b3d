"""Tab-separated tables, read strictly and written atomically; `n/a` is a missing value, as in BIDS."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.files import write_text

__all__ = ["MISSING", "read_tsv", "write_tsv"]

MISSING = "n/a"


def read_tsv(path: Path, *, numbers: Sequence[str] = (), integers: Sequence[str] = ()) -> pd.DataFrame:
    """Return a tab-separated table as text, with the named columns as numbers.

    Cells are stripped; an empty cell becomes ``n/a``. Byte-order marks and Windows line ends are accepted.

    Args:
        path: the file.
        numbers: columns to turn into float64 (``n/a`` becomes NaN); floats are read exactly as written.
        integers: columns to turn into int64.

    Raises:
        CohortError: naming the file and, where there is one, the row (1 = the header) and the column.
    """
    rows = _rows(path)
    header, body = rows[0], rows[1:]
    frame = pd.DataFrame(body, columns=pd.Index(header), dtype=object).astype(str)
    for column in (*numbers, *integers):
        if column not in header:
            raise CohortError(f"{path}: no column {column!r}; it has {', '.join(header)}")
        target = int if column in integers else float
        frame[column] = pd.Series(
            [_number(path, column, cell, target) for cell in frame[column]],
            index=frame.index,
            dtype="int64" if target is int else "float64",
        )
    return frame


def write_tsv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table atomically: exact floats, ``n/a`` for missing values, no index column."""
    text = frame.to_csv(sep="\t", index=False, na_rep=MISSING, lineterminator="\n")
    write_text(path, text)


def _rows(path: Path) -> list[list[str]]:
    """Return stripped cells, the header first; every row has as many cells as the header."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise CohortError(f"{path}: not UTF-8 text; save the table again as UTF-8, tab-separated") from None
    except OSError as error:
        raise CohortError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t")
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        if rows and len(row) > len(rows[0]):
            raise CohortError(
                f"{path}: row {reader.line_num} has {len(row)} cells, the header {len(rows[0])}; "
                "separate columns by single tabs"
            )
        row = [cell.strip() or MISSING for cell in row]
        rows.append(row + [MISSING] * (len(rows[0]) - len(row) if rows else 0))
    if not rows:
        raise CohortError(f"{path}: the table is empty; its first line must name the columns")
    _check_header(path, rows[0])
    return rows


def _check_header(path: Path, header: list[str]) -> None:
    """Refuse a header with repeated names, or one that another separator would split."""
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise CohortError(f"{path}: column {repeated[0]!r} appears twice; give each column its own name")
    if len(header) == 1 and any(mark in header[0] for mark in ",;"):
        raise CohortError(f"{path}: separated by commas or semicolons; save it tab-separated (.tsv)")


def _number(path: Path, column: str, cell: str, target: type[int] | type[float]) -> int | float:
    try:
        return target(float("nan")) if cell == MISSING else target(cell)
    except ValueError:
        raise CohortError(f"{path}: column {column!r} holds {cell!r}; a number is needed") from None
