"""What is really there: clips missing, unreadable, or with other frames than their list declares."""

import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pandas as pd

from neurofocus.errors import VideoError
from neurofocus.ingest.video.media import IMAGE_SUFFIXES, Folders
from neurofocus.ingest.video.report import FrameMismatch, Sample
from neurofocus.ingest.video.table import PART_COLUMNS

__all__ = [
    "ClipInfo",
    "OpenedClips",
    "Part",
    "Probe",
    "frame_folder",
    "missing_clips",
    "open_clips",
]

_SHOWN = 5
_FRAME = re.compile(r"(.*?)(\d+)(\.[A-Za-z]+)")


class ClipInfo(Protocol):
    """What a probe tells of a video file or a folder of frames."""

    @property
    def num_frames(self) -> int | None:
        """How many frames there are; None if that is not known without decoding them all."""

    @property
    def flaws(self) -> tuple[str, ...]:
        """What is lacking in the clip, which can be used all the same, one line each."""


# Values of ``PART_COLUMNS``, NaN where nothing is said.
Part = tuple[float, ...]
# Opens a part of a video file or of a folder of frames and says what is in it; raises VideoError if it cannot be used.
Probe = Callable[[Path, Part], ClipInfo]


class _Clip(NamedTuple):
    """What of a row is needed here."""

    path: str
    kind: str
    num_frames: Any
    start_frame: float
    end_frame: float
    start_seconds: float
    end_seconds: float

    def part(self) -> Part:
        return (self.start_frame, self.end_frame, self.start_seconds, self.end_seconds)

    def declared(self) -> int | None:
        """Return how many frames the whole file or folder must have; None if the list does not say."""
        return int(self.num_frames) if pd.notna(self.num_frames) and all(map(pd.isna, self.part())) else None


@dataclass(frozen=True)
class OpenedClips:
    """What opening some clips showed; attributes as in ``VideoReport``."""

    opened: int
    unreadable: Sample
    flawed: Sample
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
    flawed: list[str] = []
    frames: list[tuple[str, int, int]] = []
    seen: Counter[str] = Counter()
    opened = 0
    chosen = [_evenly(rows, limit) for _, rows in clips.groupby("split", sort=False)]
    for row in _rows(chosen):
        if row.kind == "file" and probe is None:
            continue
        opened += 1
        try:
            found, flaws = _look(row, data, probe, templates, seen)
        except VideoError as error:
            bad.append(f"{row.path}: {_reason(error, data / row.path)}")
            continue
        flawed += [f"{row.path}: {flaw}" for flaw in flaws[:1]]
        declared = row.declared()
        if probe is None and found is not None and row.start_frame >= found:
            bad.append(f"{row.path}: frames from {row.start_frame:.0f} on are listed, it has {found}")
        if found is not None and declared is not None and found != declared:
            frames.append((row.path, declared, found))
    fewer = sum(found < declared for _, declared, found in frames)
    return OpenedClips(
        opened,
        Sample(len(bad), tuple(bad)),
        Sample(len(flawed), tuple(flawed)),
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


def _rows(chosen: Sequence[pd.DataFrame]) -> Iterator[_Clip]:
    for rows in chosen:
        parts = {name: rows[name].astype("float64") for name in PART_COLUMNS}
        for values in rows.assign(**parts)[list(_Clip._fields)].itertuples(index=False):
            yield _Clip(*values)


def _look(
    row: _Clip, data: Path, probe: Probe | None, templates: Sequence[str], seen: Counter[str]
) -> tuple[int | None, tuple[str, ...]]:
    """Return how many frames a clip's file or folder has, if that is known, and what the clip lacks."""
    path, count = data / row.path, None
    if row.kind == "frames":
        found = frame_folder(path, templates)
        seen[found.template] += 1
        count = found.count
    if probe is None:
        return count, ()
    info = probe(path, row.part())
    return info.num_frames, info.flaws


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
