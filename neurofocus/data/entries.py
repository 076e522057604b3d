"""Entries of the caches: arrays and notes in one file, written atomically, verified whenever they are opened.

An entry is a head of 128 bytes (magic, SHA-256 of the rest) and a safetensors body. Large arrays are mapped into
memory read-only, not read: thousands of scans take no more memory than the pages that are in use. The SHA-256 is
compared when an entry is opened, which every process does for itself; later accesses trust the file, because
whole entries are replaced by renaming and never written in place.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from neurofocus.files import sweep_partial, write_bytes

__all__ = ["Entry", "StoredArray", "pack_entry", "read_entry", "write_entry"]

_MAGIC = b"neurofocus entry 1\n"
_HEAD = 128
_NOTES = "notes"
_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "U8": np.dtype("u1")}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """What an entry holds.

    Attributes:
        arrays: Read-only, mapped.
        notes: Plain values.
    """

    arrays: dict[str, NDArray[Any]]
    notes: dict[str, Any]


class StoredArray(np.ndarray[Any, np.dtype[Any]]):
    """An array that lies in an entry; it is pickled as its place there, so that worker processes map it too."""

    origin: tuple[Path, str] | None = None

    def __array_finalize__(self, source: Any) -> None:
        """Forget the place in slices and results: only the whole array is stored there."""
        self.origin = None

    def __reduce__(self) -> Any:
        """Pickle the place of a stored array, the values of anything computed from it."""
        if self.origin is None:
            return np.asarray(self).__reduce__()
        return _reopen, self.origin


def write_entry(path: Path, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> None:
    """Write an entry into a folder of its own (leftovers of killed writers are swept from it).

    Raises:
        NeurofocusError: if the disk is full or the folder not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_partial(path.parent)
    write_bytes(path, pack_entry(arrays, notes))


def pack_entry(arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> bytes:
    """Serialise an entry."""
    text = np.frombuffer(json.dumps(dict(notes)).encode(), dtype=np.uint8)
    body = save({**{name: np.ascontiguousarray(array) for name, array in arrays.items()}, _NOTES: text})
    return _head(hashlib.sha256(body).hexdigest()) + body


def read_entry(
    path: Path, arrays: Sequence[str], notes: Sequence[str], *, mapped: bool = True
) -> Entry | None:
    """Open an entry; None if there is none, or it is damaged or holds something else (that is logged).

    Args:
        path: of the entry.
        arrays: names of the arrays that must be there.
        notes: names of the notes that must be there.
        mapped: whether the arrays stay on disk (that needs torch); else they are read.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None
    if head != _head(digest):
        _log.warning("cache entry %s is damaged: preparing the scan again", path.parent.name[:12])
        return None
    try:
        found = _arrays(path, _map(path) if mapped else np.fromfile(path, dtype=np.uint8))
        texts = dict(json.loads(found.pop(_NOTES).tobytes()))
        return Entry({name: found[name] for name in arrays}, {name: texts[name] for name in notes})
    except (KeyError, ValueError, TypeError) as error:
        _log.warning("cache entry %s has another layout (%s): preparing again", path.parent.name[:12], error)
        return None


def _head(digest: str) -> bytes:
    return (_MAGIC + digest.encode() + b"\n").ljust(_HEAD, b" ")


def _map(path: Path) -> NDArray[np.uint8]:
    """Map a file.

    torch does it because it closes the file afterwards; numpy keeps one open file an array, and systems allow
    about a thousand.
    """
    import torch

    content: NDArray[np.uint8] = torch.from_file(
        str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8
    ).numpy()
    return content


def _arrays(path: Path, content: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a verified file (format: huggingface.co/docs/safetensors, "Format")."""
    content.flags.writeable = False
    length = int.from_bytes(content[_HEAD : _HEAD + 8].tobytes(), "little")
    start = _HEAD + 8 + length
    found: dict[str, NDArray[Any]] = {}
    for name, item in json.loads(content[_HEAD + 8 : start].tobytes()).items():
        first, last = item["data_offsets"]
        plain = content[start + first : start + last].view(_TYPES[item["dtype"]])
        array = plain.reshape(item["shape"]).view(StoredArray)
        array.origin = (path, name)
        found[name] = array
    return found


def _reopen(path: Path, name: str) -> NDArray[Any]:
    """Map one array of an entry in another process.

    Raises:
        RuntimeError: if the entry was removed or damaged meanwhile.
    """
    entry = read_entry(path, (name,), ())
    if entry is None:
        raise RuntimeError(f"cache entry {path.parent.name[:12]} is gone: run the same command again")
    return entry.arrays[name]
