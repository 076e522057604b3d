"""What is really there: clips missing, unreadable, or with other frames than their list declares."""

import hashlib
import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pandas as pd

from neurofocus.errors import VideoError
from neurofocus.ingest.checks.findings import Finding
from neurofocus.ingest.video.media import IMAGE_SUFFIXES, Folders
from neurofocus.ingest.video.report import FrameMismatch, Sample

__all__ = ["ClipInfo", "OpenedClips", "Probe", "frame_folder", "missing_clips", "open_clips", "same_files"]

_SHOWN = 5
_COMPARED = 65536  # bytes; headers and the first pictures
_FRAME = re.compile(r"(.*?)(\d+)(\.[A-Za-z]+)")


class ClipInfo(Protocol):
    """What a probe tells of a video file."""

    @property
    def num_frames(self) -> int | None:
        """How many frames there are; None if that is not known without decoding them all."""


# Opens a video file or a folder of frames and says what is in it; raises VideoError if it cannot be used.
Probe = Callable[[Path], ClipInfo]


class _Clip(NamedTuple):
    """What of a row is needed here."""

    path: str
    kind: str
    num_frames: Any
    start_frame: Any
    end_frame: Any

    def whole(self) -> bool:
        return bool(pd.isna(self.start_frame))

    def declared(self) -> int | None:
        """Return how many frames there must be; None if the list does not say."""
        count = self.num_frames if self.whole() else self.end_frame
        return None if pd.isna(count) else int(count)


@dataclass(frozen=True)
class OpenedClips:
    """What opening some clips showed; attributes as in ``VideoReport``."""

    opened: int
    unreadable: Sample
    frames: FrameMismatch
    templates: Mapping[str, int]


@dataclass(frozen=True)
class FrameFolder:
    """The frames of a clip in a folder.

    Attributes:
        template: printf template of their names.
        count: how many.
        first: number of the first.
        last: number of the last.
    """

    template: str
    count: int
    first: int
    last: int


def missing_clips(clips: pd.DataFrame, data: Path, folders: Folders) -> pd.Series:
    """Mark clips that are not there; every folder is listed once."""
    there = []
    for path, kind in zip(clips["path"], clips["kind"], strict=True):
        parent, name = posixpath.split(path)
        listing = folders.listing(posixpath.normpath(posixpath.join(data.as_posix(), parent)))
        there.append(listing is not None and listing.entries.get(name) is (kind == "frames"))
    return ~pd.Series(there, index=clips.index, dtype=bool)


def open_clips(
    clips: pd.DataFrame, data: Path, probe: Probe | None, limit: int | None, templates: Sequence[str]
) -> OpenedClips:
    """Open clips by ``probe``; without one files not at all, and of frame folders the frames are counted.

    Args:
        clips: rows of a table whose clips are there.
        data: the data folder.
        probe: opens a video file or a folder of frames.
        limit: how many clips a split, evenly over its list; none: all.
        templates: names of frames that the data set's definition knows.
    """
    bad: list[str] = []
    frames: list[tuple[str, int, int]] = []
    seen: Counter[str] = Counter()
    opened = 0
    chosen = [_evenly(rows, limit) for _, rows in clips.groupby("split", sort=False)]
    for row in (_Clip(*row) for rows in chosen for row in rows[list(_Clip._fields)].itertuples(index=False)):
        if row.kind == "file" and probe is None:
            continue
        opened += 1
        try:
            found = _count(row, data, probe, templates, seen)
        except VideoError as error:
            bad.append(f"{row.path}: {_reason(error, data / row.path)}")
            continue
        declared = row.declared()
        if found is None or declared is None:
            continue
        if row.whole() and found != declared:
            frames.append((row.path, declared, found))
        # A part says nothing about what comes after it, but what it names must be there.
        if not row.whole() and found < declared:
            bad.append(f"{row.path}: frames {row.start_frame} to {declared - 1} are listed, it has {found}")
    fewer = sum(found < declared for _, declared, found in frames)
    return OpenedClips(
        opened,
        Sample(len(bad), tuple(bad[:_SHOWN])),
        FrameMismatch(len(frames), fewer, tuple(frames[:_SHOWN])),
        dict(seen.most_common()),
    )


def frame_folder(folder: Path, templates: Sequence[str] = ()) -> FrameFolder:
    """Return the frames in a folder: of a known template if one fits, else the largest run of numbered images.

    Optical flow beside the frames (``flow_x_00001.jpg``) is another run.

    Args:
        folder: the clip's folder.
        templates: printf templates that are preferred.

    Raises:
        VideoError: if it has no numbered images, or numbers are left out.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except OSError as error:
        raise VideoError(f"cannot be listed ({error.strerror})") from None
    runs: dict[tuple[str, str], list[str]] = {}
    for name in names:
        match = _FRAME.fullmatch(name)
        if match and match[3].lower() in IMAGE_SUFFIXES:
            runs.setdefault((match[1], match[3]), []).append(match[2])
    if not runs:
        raise VideoError("holds no numbered images; extract its frames again")
    known = [key for key in runs if any(_is_of(key, template) for template in templates)]
    prefix, suffix = max(known or runs, key=lambda key: (len(runs[key]), key))
    digits = runs[prefix, suffix]
    numbers = sorted(int(text) for text in digits)
    width = min(len(text) for text in digits)
    padded = any(text[0] == "0" and len(text) > 1 for text in digits) or width > 1
    found = FrameFolder(
        f"{prefix}%{f'0{width}' if padded else ''}d{suffix}", len(numbers), numbers[0], numbers[-1]
    )
    if found.last - found.first + 1 != found.count:
        raise VideoError(
            f"frames {found.first} to {found.last} are {found.count} files; some are left out: extract them again"
        )
    return found


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
        f"leak: {len(found)} files of two splits are the same ({found[0]}{more}); keep one of each, or list one to leave "
        "out (--exclude FILE of 'video train')"
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


def _count(
    row: _Clip, data: Path, probe: Probe | None, templates: Sequence[str], seen: Counter[str]
) -> int | None:
    path = data / row.path
    if row.kind == "file":
        return None if probe is None else probe(path).num_frames
    found = frame_folder(path, templates)
    seen[found.template] += 1
    if probe is not None:
        probe(path)
    return found.count


def _reason(error: VideoError, path: Path) -> str:
    """Return what an error says, without the path or file name that it begins with."""
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path.name}: ")


def _evenly(rows: pd.DataFrame, limit: int | None) -> pd.DataFrame:
    if limit is None or len(rows) <= limit:
        return rows
    return rows.iloc[[place * len(rows) // limit for place in range(limit)]]


def _is_of(key: tuple[str, str], template: str) -> bool:
    prefix, rest = template.split("%", 1)
    return key == (prefix, rest.partition("d")[2])
