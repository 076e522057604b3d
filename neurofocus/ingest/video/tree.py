"""A folder a class, with or without train, validation and test folders above: no list files at all."""

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from neurofocus.errors import VideoError
from neurofocus.ingest.video.listing import (
    SPLITS,
    ListedClip,
    Listing,
    NotThisFormat,
    Opened,
    Request,
    Split,
)
from neurofocus.ingest.video.media import IMAGE_SUFFIXES, FolderListing, Folders, Kind
from neurofocus.ingest.video.split import SPLIT_FILE, kept_split

__all__ = ["open_folders"]

_SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_DEPTH = 3
_RANDOM = (
    "the split is drawn at random: clips cut from one source video may be on both sides, so the result is likely "
    "optimistic; where sources are known, give lists that divide them"
)


@dataclass(frozen=True)
class _Tree:
    """Class folders of one split, or of a tree without splits.

    Attributes:
        base: folder of the class folders, from the data folder.
        clips: clip path from the data folder -> kind, by class name.
        ignored: what lies there and is no clip.
    """

    base: str
    clips: Mapping[str, Mapping[str, Kind]]
    ignored: tuple[str, ...] = field(default=())


class _Reader:
    """Looks for class folders; every folder is listed once."""

    def __init__(self, request: Request, folders: Folders) -> None:
        self._data, self._folders = request.data, folders
        self._kinds: tuple[Kind, ...] = (
            (request.options.media,) if request.options.media else ("file", "frames")
        )

    def listing(self, path: str) -> FolderListing:
        return self._folders.listing(self._data / path) or FolderListing({}, {}, {})

    def subfolders(self, path: str) -> list[str]:
        entries = self.listing(path).entries
        return sorted(name for name, is_folder in entries.items() if is_folder and name[0] not in "._")

    def tree(self, base: str) -> _Tree | None:
        """Return the class folders under a folder; None if fewer than two hold clips."""
        found = {name: self._clips(posixpath.normpath(f"{base}/{name}")) for name in self.subfolders(base)}
        clips = {name: members for name, members in found.items() if members}
        ignored = [posixpath.normpath(f"{base}/{name}") for name, members in found.items() if not members]
        ignored += [
            posixpath.normpath(f"{base}/{name}")
            for names in self.listing(base).videos.values()
            for name in names
        ]
        return _Tree(base, clips, tuple(ignored)) if len(clips) > 1 else None

    def _clips(self, path: str) -> dict[str, Kind]:
        """Return the clips in a class folder; of a clip that is there as file and as frames, the file.

        Raises:
            VideoError: files differ in their suffix only.
        """
        names = self.listing(path).videos
        several = [", ".join(each) for each in names.values() if len(each) > 1]
        if several and "file" in self._kinds:
            raise VideoError(
                f"{self._data / path}: {several[0]} ({len(several)} such names) differ in their suffix only, so they "
                "may be one clip or several; remove or rename all but one"
            )
        files: dict[str, Kind] = {
            f"{path}/{name}": "file" for name in sorted(each[0] for each in names.values())
        }
        frames: dict[str, Kind] = {
            f"{path}/{name}": "frames"
            for name in self.subfolders(path)
            if "file" not in self._kinds or name not in self.listing(path).videos
        }
        if frames and not self._has_images(next(iter(frames))):
            frames = {name: kind for name, kind in frames.items() if self._has_images(name)}
        return (files if "file" in self._kinds else {}) | (frames if "frames" in self._kinds else {})

    def _has_images(self, path: str) -> bool:
        return any(name.lower().endswith(IMAGE_SUFFIXES) for name in self.listing(path).entries)


def open_folders(request: Request, folders: Folders) -> Opened:
    """Recognise a tree of class folders, also some levels down where folders hold nothing else.

    Class indices go by sorted folder names. A tree without a split gets one that is kept on disk.

    Raises:
        NotThisFormat: if there are no two folders with clips.
    """
    reader = _Reader(request, folders)
    for base in _bases(reader, request.spec.folders):
        names = {
            name: _SPLIT_NAMES[name.lower()]
            for name in reader.subfolders(base)
            if name.lower() in _SPLIT_NAMES
        }
        trees = [(split, reader.tree(posixpath.normpath(f"{base}/{name}"))) for name, split in names.items()]
        divided = [(split, tree) for split, tree in trees if tree is not None]
        if divided:
            counts = ", ".join(f"{tree.base}: {len(tree.clips)} classes" for _, tree in divided)
            left = [
                posixpath.normpath(f"{base}/{name}")
                for name, (_, tree) in zip(names, trees, strict=True)
                if not tree
            ]
            return Opened(
                "folders", f"class folders in {counts}", partial(_divided, divided, left), folders=(".",)
            )
        if (tree := reader.tree(base)) is not None:
            names_shown = ", ".join(list(tree.clips)[:4])
            reason = f"{len(tree.clips)} class folders in {base!r} ({names_shown})"
            return Opened("folders", reason, partial(_undivided, request, tree), folders=(".",))
    raise NotThisFormat("there are no two folders with clips")


def _bases(reader: _Reader, places: Sequence[str]) -> Iterator[str]:
    """Yield folders that may hold class folders: the definition's, the data folder, and what is alone in it."""
    yield from dict.fromkeys((*places, "."))
    base = "."
    for _ in range(_DEPTH):
        below = reader.subfolders(base)
        if len(below) != 1:
            return
        base = posixpath.normpath(f"{base}/{below[0]}")
        yield base


def _divided(trees: Iterable[tuple[Split, _Tree]], left: Sequence[str]) -> Listing:
    ordered = sorted(trees, key=lambda item: SPLITS.index(item[0]))
    clips = [
        ListedClip((path,), split, (label,), path, kind=kind)
        for split, tree in ordered
        for label, members in tree.clips.items()
        for path, kind in members.items()
    ]
    names = tuple(sorted({label for _, tree in ordered for label in tree.clips}))
    without = tuple(f"{name}: no two class folders with clips; the folder is left out" for name in left)
    return Listing(clips, names, (*without, *_ignored(tree for _, tree in ordered)))


def _undivided(request: Request, tree: _Tree) -> Listing:
    labels = {path: label for label, members in tree.clips.items() for path in members}
    kinds = {path: kind for members in tree.clips.values() for path, kind in members.items()}
    rule = request.options.split
    file = rule.file or request.data / SPLIT_FILE
    kept, warnings = kept_split(labels, rule, file)
    clips = []
    for path, part in kept.items():
        label = labels.get(path) or posixpath.basename(posixpath.dirname(path))
        split: Split = "train" if part == "train" else "validation"
        clips.append(ListedClip((path,), split, (label,), f"{file}: {path}", kind=kinds.get(path)))
    clips.sort(key=lambda clip: SPLITS.index(clip.split))
    names = tuple(sorted({str(clip.labels[0]) for clip in clips}))
    if extra := sorted(set(tree.clips) - set(names)):
        raise VideoError(
            f"{file}: the class folder {extra[0]!r} came after the split was drawn; remove the file to draw it again"
        )
    return Listing(clips, names, (*warnings, request.spec.split_note or _RANDOM, *_ignored([tree])))


def _ignored(trees: Iterable[_Tree]) -> tuple[str, ...]:
    names = [name for tree in trees for name in tree.ignored]
    if not names:
        return ()
    more = ", …" if len(names) > 3 else ""
    return (
        f"{len(names)} entries are no class folder with clips and are left out: {', '.join(names[:3])}{more}",
    )
