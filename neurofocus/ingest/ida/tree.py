"""The folders of a LONI IDA delivery: SUBJECT/DESCRIPTION/YYYY-MM-DD_HH_MM_SS.0/LEAF/files, at any depth."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neurofocus.errors import CohortError

__all__ = ["IdaImage", "IdaTree", "walk_ida"]

_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})_(\d{2})_(\d{2})_(\d{2})\.\d+")
_LEAF = re.compile(r"[SI]\d+")  # S and the series (older deliveries) or I and the image (newer ones)
_TAIL = re.compile(r"_I(\d+)(\.nii\.gz|\.nii|\.dcm|\.xml)?$", re.IGNORECASE)
_NIFTI = (".nii", ".nii.gz")
_DICOM = ".dcm"


@dataclass(frozen=True)
class IdaImage:
    """One image on disk.

    Attributes:
        subject: the name of its subject folder, such as 002_S_0816 or 3000.
        description: the name of its series folder, in which ``_`` stands for every sign.
        acquired: ISO 8601 time from its date folder.
        image_id: the digits of the archive's image identifier.
        path: the NIfTI file, or the folder of the DICOM files.
    """

    subject: str
    description: str
    acquired: str
    image_id: str
    path: Path


@dataclass(frozen=True)
class IdaTree:
    """What lies in the folders of a delivery.

    Attributes:
        images: sorted by path, each image identifier once.
        sidecars: image identifier -> its XML file.
        unplaced: image files outside the layout or without an image identifier, and images of a DICOM folder that
            holds another one, too.
        empty: leaves without a NIfTI or DICOM file.
        unreadable: folders that cannot be opened, and links to files that are not on this machine.
        repeated: further files of an image that was already found (downloads that overlap).
    """

    images: tuple[IdaImage, ...]
    sidecars: Mapping[str, Path]
    unplaced: int
    empty: int
    unreadable: int
    repeated: int


@dataclass
class _Walk:
    images: list[IdaImage] = field(default_factory=list)
    sidecars: dict[str, Path] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    linked: set[str] = field(default_factory=set)
    unplaced: int = 0
    empty: int = 0
    unreadable: int = 0


def walk_ida(root: Path) -> IdaTree:
    """Find all images below a folder, reading folder listings only (and a few bytes of files without ending).

    Several downloads may lie side by side; ``root`` may itself be a project's or a subject's folder.

    Raises:
        CohortError: if one image lies in the folders of two subjects.
    """
    start = str(root.absolute())
    walk = _Walk(pending=[start], linked={os.path.realpath(start)})
    while walk.pending:
        folder = walk.pending.pop()
        names = _list(folder, walk)
        if names is not None:
            _file(folder, names, walk)
    images, repeated = _unique(sorted(walk.images, key=lambda image: str(image.path)))
    return IdaTree(images, walk.sidecars, walk.unplaced, walk.empty, walk.unreadable, repeated)


def _list(folder: str, walk: _Walk) -> list[str] | None:
    """Return the files of a folder and note its subfolders; None if it cannot be read."""
    names = []
    try:
        with os.scandir(folder) as entries:
            # Backwards, because the last one noted is opened first: of two downloads the first by name speaks.
            for entry in sorted(entries, key=lambda item: item.name, reverse=True):
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    _descend(entry, walk)
                elif entry.is_file():
                    names.append(entry.name)
                else:
                    walk.unreadable += entry.name.lower().endswith((*_NIFTI, _DICOM))
    except OSError:
        walk.unreadable += 1
        return None
    return sorted(names)


def _descend(entry: "os.DirEntry[str]", walk: _Walk) -> None:
    """Note a subfolder; a linked one once, so that links in a circle end."""
    if entry.is_symlink():
        real = os.path.realpath(entry.path)
        if real in walk.linked:
            return
        walk.linked.add(real)
    walk.pending.append(entry.path)


def _file(folder: str, names: Sequence[str], walk: _Walk) -> None:
    """Put the files of one folder where they belong."""
    for name in names:
        if name.lower().endswith(".xml") and (image_id := _image_id(name, "")):
            walk.sidecars.setdefault(image_id, Path(folder, name))
    place = Path(folder)
    date = _DATE.fullmatch(place.parent.name)
    files = [name for name in names if name.lower().endswith((*_NIFTI, _DICOM))]
    if date is None or _LEAF.fullmatch(place.name) is None:
        walk.unplaced += len(files)
        return
    series = place.parent.parent
    acquired = f"{date[1]}T{date[2]}:{date[3]}:{date[4]}"
    found = _scans(place, names, files)
    walk.empty += not found
    for path, image_id in found:
        if image_id:
            walk.images.append(IdaImage(series.parent.name, series.name, acquired, image_id, path))
        else:
            walk.unplaced += 1


def _scans(leaf: Path, names: Sequence[str], files: Sequence[str]) -> list[tuple[Path, str]]:
    """Return path and image identifier of the scans in a leaf: every NIfTI file, and else the DICOM folder.

    An image in both forms is read as NIfTI. A folder is the path of one image: if it holds DICOM files of others
    beside it, these have no identifier here.
    """
    nifti = [name for name in files if name.lower().endswith(_NIFTI)]
    found = [(leaf / name, _image_id(name, leaf.name)) for name in nifti]
    slices = {_image_id(name, leaf.name) for name in files if name.lower().endswith(_DICOM)}
    slices -= {image_id for _, image_id in found}
    alone = not found and len(slices) == 1
    found += [(leaf, image_id if alone else "") for image_id in slices]
    if found:
        return found
    bare = [name for name in names if not Path(name).suffix or Path(name).suffix[1:].isdigit()]
    if bare and _is_dicom(leaf / bare[0]):
        return [(leaf, _image_id(bare[0], leaf.name))]
    return []


def _image_id(name: str, leaf: str) -> str:
    """Return the digits after the ``_I`` that ends a file name, else those of the leaf; "" if there are none."""
    if tail := _TAIL.search(name):
        return tail[1]
    return leaf[1:] if leaf.startswith("I") else ""


def _is_dicom(path: Path) -> bool:
    """Say whether a file carries the DICOM preamble (PS3.10 section 7.1)."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _unique(images: Sequence[IdaImage]) -> tuple[tuple[IdaImage, ...], int]:
    """Return the first of each image and the number of others."""
    first: dict[str, IdaImage] = {}
    for image in images:
        known = first.setdefault(image.image_id, image)
        if known.subject != image.subject:
            raise CohortError(
                f"image I{image.image_id} lies in the folders of two subjects, {known.subject} "
                f"({known.path.name}) and {image.subject} ({image.path.name}); "
                "find out whose it is and remove the other"
            )
    return tuple(first.values()), len(images) - len(first)
