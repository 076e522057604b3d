"""Where a prepared case is stored, and under which key; the cache on top of it is in ``cache``."""

import hashlib
import json
from pathlib import Path
from typing import Any, TypedDict

from numpy.typing import NDArray

from neurofocus.data.alignment import ALIGN_VERSION
from neurofocus.data.alignment_cache import library_versions, scan_digest
from neurofocus.data.entries import read_entry, write_entry
from neurofocus.data.frames import FrameGrid
from neurofocus.data.preprocess import PREPARE_VERSION, PreparedCase
from neurofocus.schema.run import PrepareConfig

__all__ = ["CaseRequest", "case_file", "case_key", "read_case", "write_case"]


class CaseRequest(TypedDict):
    """One scan to prepare, as the item of a MONAI data set."""

    path: Path
    prepare: PrepareConfig
    grid: FrameGrid
    in_template: bool
    orientation: str  # "header", or where the voxel axes run to, as read_volume takes it


def case_key(request: CaseRequest) -> str:
    """Return the SHA-256 over everything that decides a prepared case: file bytes, settings, versions."""
    grid = request["grid"]
    record = {
        "version": [PREPARE_VERSION, ALIGN_VERSION],
        "libraries": library_versions(),
        "scan": scan_digest(request["path"], request["orientation"]),
        "prepare": request["prepare"].model_dump(mode="json"),
        "grid": [grid.num_frames, grid.frame_size, grid.affine.tolist()],
        "in_template": request["in_template"],
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def case_file(folder: Path, key: str) -> Path:
    """Return where a key is stored: a folder of its own, so that its leftovers can be swept safely."""
    return folder / key[:2] / key / "case.bin"


def write_case(path: Path, case: PreparedCase) -> None:
    """Store a case.

    Raises:
        NeurofocusError: if the disk is full or the folder not writable.
    """
    arrays: dict[str, NDArray[Any]] = {"frames": case.frames, "world_to_template": case.world_to_template}
    write_entry(path, arrays, {"quality": case.quality, "warnings": case.warnings})


def read_case(path: Path, *, mapped: bool = True) -> PreparedCase | None:
    """Return a stored case, its frames mapped or read, or None if there is none or it is damaged."""
    entry = read_entry(path, ("frames", "world_to_template"), ("quality", "warnings"), mapped=mapped)
    if entry is None:
        return None
    arrays, notes = entry.arrays, entry.notes
    return PreparedCase(
        arrays["frames"], arrays["world_to_template"], notes["quality"], tuple(notes["warnings"])
    )
