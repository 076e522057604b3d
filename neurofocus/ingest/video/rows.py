"""Lines "PATH numbers…" of list files, whatever separates the fields; a path may hold spaces."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from neurofocus.errors import VideoError
from neurofocus.ingest.video.media import clean_name
from neurofocus.ingest.video.text import cells, is_integer, read_lines, shown

__all__ = ["Row", "RowFile", "fields_of", "read_rows"]

# In the order in which they are tried: a path with spaces may stand in a list divided by commas.
SEPARATORS = (";", ",", "\t", " ")
_WORDS = {"space": " ", "comma": ",", "semicolon": ";", "tab": "\t"}
_SAMPLE = 2000
_ENOUGH = 0.9
_HEADER = {
    "path": (
        "path",
        "video",
        "video_path",
        "file",
        "filename",
        "file_name",
        "name",
        "clip",
        "video_name",
        "id",
    ),
    "offset": ("offset", "start", "start_frame"),
    "frames": ("frames", "num_frames", "n_frames", "nframes", "frame_num", "total_frames"),
    "label": ("label", "labels", "class", "class_id", "label_id", "target", "category", "class_name"),
}


class Row(NamedTuple):
    """One line.

    Attributes:
        line: its number.
        path: as listed.
        numbers: the whole numbers that end the line.
        name: the class name that ends it instead.
    """

    line: int
    path: str
    numbers: tuple[int, ...]
    name: str | None = None


@dataclass(frozen=True)
class RowFile:
    """A list file in fields.

    Attributes:
        path: the file.
        separator: what divides its fields.
        rows: its lines, without a header.
    """

    path: Path
    separator: str
    rows: list[Row]

    def where(self, row: Row) -> str:
        """Return file and line for a message."""
        return f"{self.path}: line {row.line}"


def read_rows(path: Path, separator: str | None = None) -> RowFile:
    """Read a list whose lines are a path and whole numbers, or a path and a class name.

    Args:
        path: the list file.
        separator: of its fields (a sign, or space, comma, semicolon, tab); none: recognised.

    Raises:
        VideoError: if a line's path is empty, or lines end in numbers as well as in names.
    """
    lines = read_lines(path)
    chosen = _WORDS.get(separator, separator) if separator else _separator([text for _, text in lines])
    split = [(number, fields_of(text, chosen)) for number, text in lines]
    split = _without_header(split)
    named = _end_in_names([fields for _, fields in split], chosen)
    return RowFile(path, chosen, [_row(path, number, fields, named, chosen) for number, fields in split])


def fields_of(line: str, separator: str) -> list[str]:
    """Return the fields of a line without spaces at their ends; quotes protect separators.

    For a space, the fields are a path (which may hold spaces) and the whole numbers that end the line.
    """
    if separator == " ":
        tokens = line.split()
        count = 0
        while count < len(tokens) - 1 and is_integer(tokens[-1 - count]):
            count += 1
        return [line.rsplit(None, count)[0], *tokens[len(tokens) - count :]] if count else [line]
    fields = cells(line, separator)
    while len(fields) > 1 and not fields[-1]:
        fields.pop()
    return fields


def _separator(lines: Sequence[str]) -> str:
    """Return the first separator by which nearly all lines end in a number, else that which divides them all."""
    sample = lines[:_SAMPLE]
    for separator in SEPARATORS:
        fields = [fields_of(line, separator) for line in sample]
        good = sum(len(parts) > 1 and is_integer(parts[-1]) for parts in fields)
        if good >= _ENOUGH * len(sample):
            return separator
    for separator in SEPARATORS[:-1]:
        if all(len(fields_of(line, separator)) > 1 for line in sample):
            return separator
    return " "


def _without_header(rows: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Drop a header and bring the fields below it into the order path, offset, frames, labels."""
    header = [cell.lower() for cell in rows[0][1]]
    if len(header) == 1:
        header = header[0].split()
    roles = [next((role for role, words in _HEADER.items() if cell in words), None) for cell in header]
    if None in roles or "path" not in roles or len(roles) < 2:
        return rows
    order = [place for role in _HEADER for place, found in enumerate(roles) if found == role]
    if order == sorted(order):
        return rows[1:]
    return [
        (number, [fields[place] for place in order] if len(fields) == len(order) else fields)
        for number, fields in rows[1:]
    ]


def _end_in_names(rows: Sequence[list[str]], separator: str) -> bool:
    """Whether rows end in class names rather than in numbers: if most of them do."""
    if separator == " ":
        return False
    names = sum(len(fields) > 1 and not is_integer(fields[-1]) for fields in rows)
    return 2 * names > len(rows)


def _row(path: Path, line: int, fields: list[str], named: bool, separator: str) -> Row:
    name = None
    if named and len(fields) > 1:
        *fields, name = fields
    count = 0
    while count < len(fields) - 1 and is_integer(fields[-1 - count]):
        count += 1
    head = separator.join(fields[: len(fields) - count])
    # Only a path before numbers may hold the separator; before a name, more fields are another kind of table.
    unclear = len(fields) - count > 1 and (named or not count)
    if not head or unclear or (name is not None and is_integer(name)):
        text = shown(separator.join([*fields, *([name] if name else [])]))
        wanted = "a class name, as other lines have" if named else "whole numbers"
        raise VideoError(
            f"{path}: line {line}: {text} is no path followed by {wanted}; mend or remove the line"
        )
    return Row(line, clean_name(head), tuple(int(field) for field in fields[len(fields) - count :]), name)
