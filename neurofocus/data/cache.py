"""Prepared cases on disk: keyed by content and configuration, verified on every read, safe under crashes.

MONAI's ``PersistentDataset`` gives the mechanism (run the deterministic transforms once, keep the result); its
storage is replaced, because on its own it serves stale data after a file or a setting changed, accepts flipped
bits and dies on a truncated entry. Importing this module imports MONAI (seconds): import it where it is used.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from filelock import FileLock
from monai.config import KeysCollection
from monai.data import PersistentDataset
from monai.transforms import Compose, MapTransform
from safetensors import SafetensorError
from safetensors.numpy import load, save

from neurofocus.data.frames import FrameGrid
from neurofocus.data.preprocess import PREPARE_VERSION, PreparedCase, prepare_case
from neurofocus.data.volume import read_volume, volume_files
from neurofocus.data.voxels import shown_name
from neurofocus.errors import NeurofocusError, VolumeError
from neurofocus.files import sha256_file, sweep_partial, write_bytes
from neurofocus.schema.run import PrepareConfig

__all__ = ["CaseCache", "CaseRequest", "PrepareCased", "ReadVolumed", "case_key"]

_MAGIC = b"neurofocus case 1\n"
_LIBRARIES = ("numpy", "scipy", "nibabel", "SimpleITK", "nilearn")
_log = logging.getLogger(__name__)


class CaseRequest(TypedDict):
    """One scan to prepare, as the item of a MONAI data set."""

    path: Path
    prepare: PrepareConfig
    grid: FrameGrid
    in_template: bool
    orientation: str  # "header", or where the voxel axes run to, as read_volume takes it


class ReadVolumed(MapTransform):  # type: ignore[misc]  # MONAI ships no types
    """MONAI dictionary transform: the path under each key becomes a ``Volume`` under ``volume``."""

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Read the scan of every key of this transform."""
        found = dict(data)
        for key in self.key_iterator(found):
            found["volume"] = read_volume(Path(found[key]), found["orientation"])
        return found


class PrepareCased(MapTransform):  # type: ignore[misc]  # MONAI ships no types
    """MONAI dictionary transform: the ``Volume`` under each key becomes a ``PreparedCase`` under ``case``."""

    def __init__(self, keys: KeysCollection = "volume") -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Prepare the volume of every key; the volume itself is dropped."""
        found = dict(data)
        for key in self.key_iterator(found):
            found["case"] = prepare_case(
                found.pop(key), found["prepare"], found["grid"], in_template=found["in_template"]
            )
        return found


class CaseCache(PersistentDataset):  # type: ignore[misc]  # MONAI ships no types
    """A MONAI data set of prepared cases whose storage can be trusted.

    ``cache[i]`` is the i-th request with its ``case``; ``get_or_prepare`` serves any other scan. An entry is
    used only if its SHA-256 fits; otherwise it is built again with a line in the log. One lock a key makes
    parallel workers wait for each other instead of preparing a scan twice.
    """

    def __init__(self, folder: Path, requests: Sequence[CaseRequest] = ()) -> None:
        steps = Compose([ReadVolumed("path"), PrepareCased("volume")])
        super().__init__(data=list(requests), transform=steps, cache_dir=folder)
        self.folder = folder

    def get_or_prepare(
        self,
        path: Path,
        prepare: PrepareConfig,
        grid: FrameGrid,
        in_template: bool = False,
        orientation: str = "header",
    ) -> PreparedCase:
        """Return the prepared case of one scan, from disk if a verified entry is there.

        Raises:
            VolumeError: if the scan cannot be read or prepared.
            NeurofocusError: if the cache folder is full or not writable.
        """
        request = CaseRequest(
            path=path, prepare=prepare, grid=grid, in_template=in_template, orientation=orientation
        )
        case: PreparedCase = self._cachecheck(request)["case"]
        return case

    def find(self, request: CaseRequest) -> PreparedCase | None:
        """Return a verified entry, or None if the scan has to be prepared."""
        return _read_entry(self._entry(case_key(request)))

    def _cachecheck(self, item_transformed: CaseRequest) -> dict[str, Any]:
        """Serve a request from disk or prepare it (replaces MONAI's unverified pickle files)."""
        key = case_key(item_transformed)
        entry = self._entry(key)
        case = _read_entry(entry)
        if case is None:
            with FileLock(self._locks() / f"{key}.lock"):
                case = _read_entry(entry)  # another worker may have built it while this one waited
                if case is None:
                    case = self._build(item_transformed, key)
        return {**item_transformed, "case": case}

    def _build(self, request: CaseRequest, key: str) -> PreparedCase:
        """Prepare a scan and store it; the caller holds the key's lock."""
        entry = self._entry(key)
        try:
            case: PreparedCase = self._pre_transform(dict(request))["case"]
        except RuntimeError as error:  # MONAI wraps what a transform raises
            if isinstance(error.__cause__, NeurofocusError):
                raise error.__cause__ from None
            raise
        if case_key(request) != key:
            raise VolumeError(
                f"{shown_name(request['path'])}: changed while it was read; run again when it is copied"
            )
        entry.parent.mkdir(parents=True, exist_ok=True)
        sweep_partial(entry.parent)
        write_bytes(entry, _pack(case))
        return case

    def _entry(self, key: str) -> Path:
        """Return where a key is stored: a folder of its own, so that its leftovers can be swept safely."""
        return self.folder / key[:2] / key / "case.bin"

    def _locks(self) -> Path:
        """Return the folder of lock files (they stay: removing one while others wait would split the lock)."""
        folder = self.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def case_key(request: CaseRequest) -> str:
    """Return the SHA-256 over everything that decides a prepared case: file bytes, settings, versions."""
    path, grid = request["path"], request["grid"]
    try:
        digests = [sha256_file(file) for file in volume_files(path)]
    except OSError:
        digests = ["unreadable"]  # reading it will say why; nothing is ever stored under this key
    record = {
        "version": PREPARE_VERSION,
        "libraries": {name: version(name) for name in _LIBRARIES},
        "suffix": "".join(path.suffixes[-2:]).lower() if path.is_file() else "folder",
        "files": digests,
        "prepare": request["prepare"].model_dump(mode="json"),
        "grid": [grid.num_frames, grid.frame_size, grid.affine.tolist()],
        "in_template": request["in_template"],
        "orientation": request["orientation"],
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _pack(case: PreparedCase) -> bytes:
    """Serialise a case: magic, SHA-256 of the rest, safetensors."""
    notes = json.dumps({"quality": case.quality, "warnings": case.warnings}).encode()
    body = save(
        {
            "frames": np.ascontiguousarray(case.frames),
            "world_to_template": np.ascontiguousarray(case.world_to_template),
            "notes": np.frombuffer(notes, dtype=np.uint8),
        }
    )
    return _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _read_entry(entry: Path) -> PreparedCase | None:
    """Return a stored case, or None if there is none or it is damaged."""
    try:
        data = entry.read_bytes()
    except FileNotFoundError:
        return None
    start = len(_MAGIC) + 65
    body = data[start:]
    expected = _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n"
    if data[:start] != expected:
        _log.warning("cache entry %s is damaged: preparing the scan again", entry.parent.name[:12])
        return None
    try:
        tensors = load(body)
        notes = json.loads(tensors["notes"].tobytes())
        return PreparedCase(
            tensors["frames"], tensors["world_to_template"], notes["quality"], tuple(notes["warnings"])
        )
    except (SafetensorError, KeyError, ValueError) as error:
        _log.warning("cache entry %s has another layout (%s): preparing again", entry.parent.name[:12], error)
        return None
