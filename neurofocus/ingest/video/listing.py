"""What every list reader returns: clips as the lists state them, before classes are numbered and files are found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from neurofocus.ingest.video.media import Kind
from neurofocus.ingest.video.rows import RowFile
from neurofocus.schema.video import ClassOrder, ListFormat, VideoDatasetSpec

__all__ = [
    "SPLITS",
    "ListOptions",
    "ListedClip",
    "Listing",
    "NotThisFormat",
    "Opened",
    "Request",
    "Split",
    "SplitRule",
]

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class NotThisFormat(Exception):
    """The files at hand are not of the format that was tried; the message says why."""


@dataclass(frozen=True)
class SplitRule:
    """How a tree without a split is divided.

    Attributes:
        seed: of the draw.
        validation: share of every class that is held out.
        file: where the split is kept; none: ``neurofocus-split.json`` in the data folder.
    """

    seed: int = 0
    validation: float = 0.2
    file: Path | None = None


@dataclass(frozen=True)
class ListOptions:
    """What a user may force.

    Attributes:
        format: the list format; none: recognised.
        order: of classes given as names; none: as the data set's definition says.
        separator: of list fields: ";", ",", tab or space; none: recognised.
        media: whether clips are video files or frame folders; none: what the format speaks of, else the other.
        lists: role (train, validation, test, all, labels, classes, names) -> file, instead of looking for it.
        split: how a tree without a split is divided.
    """

    format: ListFormat | None = None
    order: ClassOrder | None = None
    separator: str | None = None
    media: Kind | None = None
    lists: Mapping[str, Path] = field(default_factory=dict)
    split: SplitRule = SplitRule()


@dataclass(frozen=True)
class Request:
    """What a reader is given.

    Attributes:
        files: role -> list file.
        spec: the data set's definition.
        data: the data folder.
        options: what the user forces.
        rows: lists of lines that another format has read already.
    """

    files: Mapping[str, Path]
    spec: VideoDatasetSpec
    data: Path
    options: ListOptions
    rows: dict[Path, RowFile] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListedClip:
    """One clip of a list.

    Attributes:
        names: paths that the clip may have under the clip folders, with or without extension; the likeliest first.
        split: the split.
        labels: class indices, or class names; empty where the list says nothing.
        where: line or entry of the list, for messages.
        num_frames: as the list says.
        frames: first frame and the one after the last, where only a part of the file is the clip.
        kind: file or frames where the reader has seen it on disk.
        seconds: file stem -> (start, end) that holds if the clip is found under that name (an untrimmed video).
    """

    names: tuple[str, ...]
    split: Split
    labels: tuple[int, ...] | tuple[str, ...] = ()
    where: str = ""
    num_frames: int | None = None
    frames: tuple[int, int] | None = None
    kind: Kind | None = None
    seconds: tuple[str, float, float] | None = None


@dataclass(frozen=True)
class Listing:
    """The clips of all lists.

    Attributes:
        clips: in list order; train before validation before test.
        class_names: names in index order that the lists themselves define; empty: they define none.
        warnings: what a person should know.
    """

    clips: list[ListedClip]
    class_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opened:
    """List files that one format fits.

    Attributes:
        format: its name.
        reason: what was seen in which file, for a person.
        read: returns the clips; raises VideoError at the first row that cannot be read.
        prefers: what clips are likely to be.
        doubts: values that speak against this format if another one fits too.
        folders: where clips lie, if not where the definition says.
    """

    format: ListFormat
    reason: str
    read: Callable[[], Listing]
    prefers: Kind = "file"
    doubts: tuple[str, ...] = ()
    folders: tuple[str, ...] | None = None
