"""Copies of a clip in two splits: what a model has learned by heart is no test of it."""

import hashlib
import posixpath
from pathlib import Path
from typing import Any

import pandas as pd

from neurofocus.ingest.checks.findings import Finding
from neurofocus.ingest.video.text import counted

__all__ = ["same_files"]

_COMPARED = 65536  # bytes; headers and the first pictures


def same_files(clips: pd.DataFrame, data: Path) -> list[Finding]:
    """Return files in two splits that have the same name, size and first bytes, and so are the same clip.

    Only namesakes are asked for their size and only those of one size opened; raw video often has one size.
    """
    files = clips[clips["kind"] == "file"].assign(name=lambda rows: rows["path"].map(posixpath.basename))
    files = files[_shared(files, ["name"])]
    files = files.assign(size=[_size(data / path) for path in files["path"]])
    files = files[_shared(files, ["name", "size"])]
    seen: dict[tuple[Any, ...], Any] = {}
    found = []
    for row in files.itertuples(index=False):
        other = seen.setdefault((row.name, row.size, _first_bytes(data / str(row.path))), row)
        if other.split != row.split and other.path != row.path and other.clip_id != row.clip_id:
            found.append(f"{other.path} and {row.path}")
    if not found:
        return []
    more = ", …" if len(found) > 1 else ""
    text = (
        f"leak: {counted(len(found), 'file stands', 'files stand')} in two splits under two paths ({found[0]}{more}); keep "
        "one of each, or train with --exclude FILE, a text file that names one of each"
    )
    return [Finding("leak", text, {"files": len(found)})]


def _shared(files: pd.DataFrame, key: list[str]) -> pd.Series:
    """Mark files whose key stands in two splits."""
    return files.groupby(key)["split"].transform("nunique") > 1


def _size(path: Path) -> float:
    """Return how many bytes a file has; NaN, which equals nothing, where it cannot be asked."""
    try:
        return path.stat().st_size
    except OSError:
        return float("nan")


def _first_bytes(path: Path) -> str:
    """Return a digest of the first bytes; of an unreadable file its own path, which no other has."""
    try:
        with path.open("rb") as stream:
            return hashlib.sha256(stream.read(_COMPARED)).hexdigest()
    except OSError:
        return str(path)
