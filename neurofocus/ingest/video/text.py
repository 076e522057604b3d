"""List files as people have them: byte-order marks, Windows line ends, blank lines and trailing spaces are no matter."""

import codecs
import csv
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from neurofocus.errors import VideoError

__all__ = ["Lines", "cells", "counted", "is_integer", "read_json", "read_lines", "shown"]

Lines = list[tuple[int, str]]

_ENDS = re.compile(r"\r\n|\r|\n")
_MAX_SHOWN = 60
_MAX_DIGITS = 18  # of numbers that tables can hold


def read_lines(path: Path) -> Lines:
    """Return the lines that are not blank with their numbers (from 1), without spaces at either end.

    Raises:
        VideoError: if the file cannot be read, is no text, or has no line.
    """
    lines = [(number, line.strip()) for number, line in enumerate(_ENDS.split(_text(path)), start=1)]
    lines = [(number, line) for number, line in lines if line]
    if not lines:
        raise VideoError(f"{path}: empty; give the list file again, or remove it")
    return lines


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        VideoError: naming the line at which it is broken.
    """
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise VideoError(
            f"{path}: line {error.lineno}: not valid JSON ({error.msg}); download the file again"
        ) from None
    except RecursionError:
        raise VideoError(f"{path}: JSON nested too deeply; download the file again") from None


def is_integer(text: str) -> bool:
    """Whether a field is a whole number in plain digits, such as 12 or -1."""
    digits = text[1:] if text[:1] == "-" else text
    return digits.isdecimal() and digits.isascii() and len(digits) <= _MAX_DIGITS


def cells(line: str, separator: str) -> list[str]:
    """Return the fields of a line without spaces at their ends; quotes protect separators."""
    parts = line.split(separator)
    if '"' in line:
        with suppress(csv.Error):  # a "field" of megabytes: no table of ours
            parts = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    return [part.strip() for part in parts]


def counted(number: int, one: str, many: str) -> str:
    """Return a number with the words that go with it: "1 clip is", "2 clips are"."""
    return f"{number} {one if number == 1 else many}"


def shown(value: object) -> str:
    """Return a value for a message, shortened."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    try:
        # Windows shells write UTF-16 when a list is made with ">".
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    if "\0" in text:
        raise VideoError(f"{path}: no text; give the list file itself, not an archive or a video")
    return text
