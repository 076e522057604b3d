"""Which file or frame folder a listed clip is: every folder is read once, no file is asked for by itself."""

import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "FolderListing",
    "Folders",
    "Kind",
    "Located",
    "MediaIndex",
    "clean_name",
    "folded",
    "without_suffix",
]

Kind = Literal["file", "frames"]
# In order of preference where a clip lies there in several containers.
VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ogv", ".ts",
)  # fmt: skip
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


@dataclass(frozen=True)
class FolderListing:
    """What one folder holds.

    Attributes:
        entries: name -> whether it is a folder.
        videos: name without its video suffix -> file names, the preferred suffix first.
        folded: folder name without case, signs and spaces -> folder name.
    """

    entries: dict[str, bool]
    videos: dict[str, list[str]]
    folded: dict[str, str]


class Folders:
    """Folder listings, each read once."""

    def __init__(self) -> None:
        self._known: dict[str, FolderListing | None] = {}

    def listing(self, folder: Path | str) -> FolderListing | None:
        """Return what a folder holds; None if it is not there or not readable."""
        key = os.fspath(folder)
        if key not in self._known:
            self._known[key] = _read(key)
        return self._known[key]


class Located(NamedTuple):
    """Where a clip is, or would be if it were there.

    Attributes:
        path: from the data folder, with slashes; absolute if it lies elsewhere.
        kind: a video file or a folder of frames.
        exists: whether it was found.
        others: names of files beside it that are meant just as well.
    """

    path: str
    kind: Kind
    exists: bool
    others: tuple[str, ...] = ()


class MediaIndex:
    """Finds clips under the data folder.

    Args:
        data: the data folder.
        places: folders under it that may hold clips, the likeliest first; those that are not there are skipped.
        folders: listings already read.
    """

    def __init__(self, data: Path, places: Sequence[str], folders: Folders) -> None:
        self._data = data.absolute().as_posix()
        self._folders = folders
        there = [
            place for place in dict.fromkeys(places) if folders.listing(self._absolute(place)) is not None
        ]
        self._places = there or [places[0]]
        self._opened: dict[str, tuple[str, FolderListing | None]] = {}

    def locate(self, names: Sequence[str], kinds: Sequence[Kind]) -> Located:
        """Return the first of ``kinds`` that exists in any place under any of ``names``.

        Args:
            names: as for ``ListedClip.names``.
            kinds: what to look for, the preferred first.
        """
        for kind in kinds:
            for place in self._places:
                for name in names:
                    if found := self._find(posixpath.join(place, name), kind):
                        return Located(self._relative(found[0]), kind, True, found[1:])
        return Located(self._relative(posixpath.join(self._places[0], names[0])), kinds[0], False)

    def _find(self, path: str, kind: Kind) -> tuple[str, ...]:
        """Return the path of what a name means, and names of other files that it may mean; nothing if none is there."""
        parent, name = posixpath.split(path)
        parent, listing = self._open(parent)
        if listing is None:
            return ()
        stem = without_suffix(name)
        if kind == "frames":
            found = [entry for entry in (name, stem) if listing.entries.get(entry)][:1]
        elif listing.entries.get(name) is False:
            found = [name]
        else:
            found = listing.videos.get(name) or listing.videos.get(stem) or []
        return (posixpath.join(parent, found[0]), *found[1:]) if found else ()

    def _open(self, parent: str) -> tuple[str, FolderListing | None]:
        """Return a folder and its listing; a class folder may be spelled with underscores for spaces."""
        if parent not in self._opened:
            self._opened[parent] = self._spelled(parent)
        return self._opened[parent]

    def _spelled(self, parent: str) -> tuple[str, FolderListing | None]:
        listing = self._folders.listing(self._absolute(parent))
        if listing is None:
            above, name = posixpath.split(parent)
            siblings = self._folders.listing(self._absolute(above)) if name else None
            if siblings is not None and (spelled := siblings.folded.get(folded(name))) is not None:
                parent = posixpath.join(above, spelled)
                listing = self._folders.listing(self._absolute(parent))
        return parent, listing

    def _absolute(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self._data, path))

    def _relative(self, path: str) -> str:
        path = posixpath.normpath(path)
        start = self._data.rstrip("/") + "/"
        return path.removeprefix(start)


def clean_name(name: str) -> str:
    """Return a listed path with slashes, without "./" and the like."""
    return posixpath.normpath(name.replace("\\", "/"))


def without_suffix(name: str) -> str:
    """Return a name without its video suffix; other dots are part of the name."""
    stem, dot, end = name.rpartition(".")
    return stem if stem and f"{dot}{end.lower()}" in VIDEO_SUFFIXES else name


def folded(name: str) -> str:
    """Return a name without case, spaces and signs: "Petting_animal_(not cat)" is "pettinganimalnotcat"."""
    return re.sub(r"[\W_]+", "", name).casefold()


def _read(folder: str) -> FolderListing | None:
    try:
        with os.scandir(folder) as found:
            entries = {entry.name: entry.is_dir() for entry in found if _is_there(entry)}
    except (OSError, ValueError):  # no such folder; or a name that no folder can have
        return None
    videos: dict[str, list[str]] = {}
    for name in sorted(entries, key=_preference):
        stem = without_suffix(name)
        if not entries[name] and stem != name:
            videos.setdefault(stem, []).append(name)
    names = sorted(name for name, is_folder in entries.items() if is_folder)
    return FolderListing(entries, videos, {folded(name): name for name in reversed(names)})


def _is_there(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is more than a link into the void; only links cost a look of their own."""
    return not entry.is_symlink() or Path(entry.path).exists()


def _preference(name: str) -> tuple[int, str]:
    suffix = posixpath.splitext(name)[1].lower()
    return (VIDEO_SUFFIXES.index(suffix) if suffix in VIDEO_SUFFIXES else len(VIDEO_SUFFIXES), name)
