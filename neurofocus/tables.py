"""Text tables, read strictly and written atomically; `n/a` is a missing value, as in BIDS."""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.files import write_text

__all__ = ["MISSING", "read_delivered", "read_header", "read_tsv", "write_tsv"]

MISSING = "n/a"
_SEPARATORS = (",", "\t", ";")
_HEADER_BYTES = 2**16
_DECIMAL_COMMA = re.compile(r"-?(\d+,\d{1,2}|\d+,\d{4,}|0,\d+)")
_END = "\x1a"


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
    frame = _frame(path, _rows(path, _text(path, encoding="utf-8-sig"), "\t")).reset_index(drop=True)
    header = list(frame.columns)
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


def read_delivered(path: Path) -> pd.DataFrame:
    """Return an archive's or a user's table as text, whatever separates its columns (comma, tab or semicolon).

    Byte-order marks, any line ends, quoted cells, Windows-1252 text and, where the comma does not separate columns,
    decimal commas are accepted. Cells are stripped; an empty cell becomes ``n/a``. The index holds the line of the file at which a row ends (the header is line 1).

    Raises:
        CohortError: naming the file and, where there is one, the row.
    """
    try:
        text = _text(path, encoding="utf-8-sig")
    except CohortError:
        text = _text(path, encoding="cp1252")
    separator = _separator(text)
    rows = _rows(path, text, separator)
    if separator != ",":  # a spreadsheet of a country that writes 0,5
        rows = {line: [_decimal_point(cell) for cell in cells] for line, cells in rows.items()}
    return _frame(path, rows)


def read_header(path: Path) -> tuple[str, ...]:
    """Return the column names of a delivered table, reading its first line only; none if there is no such line.

    Raises:
        CohortError: if the file cannot be opened.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_HEADER_BYTES)
    except OSError as error:
        raise CohortError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="replace").replace("\r", "\n")
    line = text.lstrip().partition("\n")[0]
    rows = list(csv.reader([line], delimiter=_separator(line)))
    return tuple(cell.strip() for cell in rows[0]) if rows else ()


def _text(path: Path, *, encoding: str) -> str:
    try:
        text = path.read_text(encoding=encoding)
    except UnicodeDecodeError:
        text = "\0"
    except OSError as error:
        raise CohortError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    if "\0" in text:
        raise CohortError(f"{path}: not UTF-8 text; save the table again as UTF-8 text, not as a spreadsheet")
    return text


def _separator(text: str) -> str:
    """Return the separator that the first line that is not blank holds most often."""
    line = text.lstrip().partition("\n")[0]
    return max(_SEPARATORS, key=line.count)


def _decimal_point(cell: str) -> str:
    """Return a number with a decimal comma with a point; 1,234 may be a thousand and stays."""
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell


def _frame(path: Path, rows: dict[int, list[str]]) -> pd.DataFrame:
    """Return lines of cells as a table of text; the first is its header, the index holds line numbers."""
    lines = list(rows)
    if not lines:
        raise CohortError(f"{path}: the table is empty; its first line must name the columns")
    header = rows[lines[0]]
    _check_header(path, header)
    body = [rows[line] for line in lines[1:]]
    return pd.DataFrame(body, index=lines[1:], columns=pd.Index(header), dtype=object).astype(str)


def _rows(path: Path, text: str, separator: str) -> dict[int, list[str]]:
    """Return stripped cells by line, the header first; every row has as many cells as the header."""
    rows: dict[int, list[str]] = {}
    width = last = 0
    # A quote that is never closed would make one cell of all that follows, the mark at the end among it.
    reader = csv.reader([*io.StringIO(text, newline=""), _END], delimiter=separator)
    try:
        for row in reader:
            if row == [_END]:
                return rows
            if row and row[-1].endswith(_END):
                break
            last = reader.line_num
            cells = [cell.strip() or MISSING for cell in row]
            if set(cells) <= {MISSING}:
                continue
            if not width:  # spreadsheets write blank cells after the last column
                width = max(number for number, cell in enumerate(cells, start=1) if cell != MISSING)
            if any(cell != MISSING for cell in cells[width:]):
                raise CohortError(
                    f"{path}: row {last} has {len(cells)} cells, the header {width}; "
                    "separate columns by single tabs, or put cells that hold the separator in quotes"
                )
            rows[last] = cells[:width] + [MISSING] * (width - len(cells))
    except csv.Error:  # a cell too large to be one
        pass
    raise CohortError(f"{path}: row {last + 1} opens a quote that nothing closes; close or remove it")


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
