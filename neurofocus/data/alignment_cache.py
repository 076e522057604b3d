"""Alignments on disk, keyed by the scan's bytes and the settings that decide them: no scan is registered twice."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from neurofocus.data.alignment import ALIGN_SETTINGS, ALIGN_VERSION, Alignment, align
from neurofocus.data.entries import read_entry, write_entry
from neurofocus.data.volume import Volume, to_canonical, volume_files
from neurofocus.data.voxels import shown_name
from neurofocus.errors import VolumeError
from neurofocus.files import sha256_file
from neurofocus.schema.run import PrepareConfig

__all__ = ["AlignmentCache", "alignment_key", "changed", "library_versions", "lock_file", "scan_digest"]

_NO_FIELD = np.zeros((0, 0, 0), dtype=np.float32)


class AlignmentCache:
    """Verified alignments below a cache folder; one lock a key, so that no two workers align one scan."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get_or_align(
        self, path: Path, prepare: PrepareConfig, *, volume: Volume, content: tuple[str, ...]
    ) -> Alignment:
        """Return the alignment of a scan that was read, from disk if a verified entry is there.

        Args:
            path: where the scan was read.
            prepare: what to do.
            volume: the scan.
            content: ``scan_digest`` of it from before it was read.

        Raises:
            VolumeError: if it cannot be aligned, or its file changed while it was read.
            NeurofocusError: if the cache folder is full or not writable.
        """
        key = alignment_key(content, prepare)
        entry = self.folder / "aligned" / key[:2] / key / "alignment.bin"
        if (found := _read(entry)) is not None:
            return found
        with FileLock(lock_file(self.folder, key)):
            if (found := _read(entry)) is not None:  # another worker aligned it while this one waited
                return found
            alignment = align(to_canonical(volume), prepare)
            if scan_digest(path, content[1]) != content:
                raise changed(path)
            field, grid = alignment.field or (_NO_FIELD, np.eye(4))
            arrays: dict[str, NDArray[Any]] = {
                "world_to_template": alignment.world_to_template,
                "field": field,
                "field_affine": grid,
            }
            write_entry(entry, arrays, {"seconds": alignment.seconds})
        return alignment


def alignment_key(content: tuple[str, ...], prepare: PrepareConfig) -> str:
    """Return the SHA-256 over everything that decides an alignment: file bytes, settings, versions."""
    record = {
        "version": ALIGN_VERSION,
        "libraries": library_versions(),
        "scan": content,
        "settings": {name: getattr(prepare, name) for name in ALIGN_SETTINGS},
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that decide a prepared scan."""
    return {name: version(name) for name in ("numpy", "scipy", "nibabel", "SimpleITK", "nilearn")}


def scan_digest(path: Path, orientation: str) -> tuple[str, ...]:
    """Return what identifies a scan's content: how it is stored, and the SHA-256 of each of its files.

    Args:
        path: the scan.
        orientation: as ``read_volume`` takes it.
    """
    suffix = "".join(path.suffixes[-2:]).lower() if path.is_file() else "folder"
    try:
        return suffix, orientation, *(sha256_file(file) for file in volume_files(path))
    except OSError:
        # Reading it will say why; nothing is ever stored under this key.
        return suffix, orientation, "unreadable"


def changed(path: Path) -> VolumeError:
    """Return the error of a file that was not the same before and after it was read."""
    return VolumeError(f"{shown_name(path)}: changed while it was read; run again when it is copied")


def lock_file(folder: Path, key: str) -> Path:
    """Return the lock file of a key (it stays: removing it while others wait would split the lock)."""
    locks = folder / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    return locks / f"{key}.lock"


def _read(path: Path) -> Alignment | None:
    """Return a stored alignment, or None if there is none or it is damaged."""
    entry = read_entry(path, ("world_to_template", "field", "field_affine"), ("seconds",), mapped=False)
    if entry is None:
        return None
    arrays = {name: np.array(array) for name, array in entry.arrays.items()}
    field = (arrays["field"], arrays["field_affine"]) if arrays["field"].size else None
    return Alignment(arrays["world_to_template"], field, entry.notes["seconds"])
