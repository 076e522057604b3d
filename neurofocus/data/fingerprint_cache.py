"""Fingerprints of many scans, several at a time, kept on disk by the content of the files and verified."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from neurofocus.data.fingerprint import IMAGE_SIZE, Fingerprint, fingerprint_scan
from neurofocus.data.stored_type import file_format
from neurofocus.data.volume import volume_files
from neurofocus.data.voxels import shown_name
from neurofocus.errors import VolumeError
from neurofocus.files import sha256_file, write_bytes

__all__ = ["FINGERPRINT_VERSION", "Fingerprints", "fingerprint_all"]

FINGERPRINT_VERSION = 1  # raise it whenever a fingerprint of the same file changes
_MAGIC = b"neurofocus fingerprint 1\n"
_IMAGE_BYTES = 4 * IMAGE_SIZE**3
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fingerprints:
    """What came of many scans.

    Attributes:
        found: path -> fingerprint.
        failures: path -> one-line reason, of every scan that cannot be read.
    """

    found: dict[str, Fingerprint]
    failures: dict[str, str]


def fingerprint_all(
    scans: Mapping[str, str],
    folder: Path,
    *,
    jobs: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Fingerprints:
    """Return the fingerprint of every scan; a second call only hashes the files.

    Threads are enough: unpacking, hashing and array arithmetic let other threads run.

    Args:
        scans: path -> orientation ("header", or letters where the header does not know; see ``read_volume``).
        folder: keeps the fingerprints.
        jobs: threads.
        progress: called with (done, all) after each scan.

    Raises:
        NeurofocusError: if the folder is full or not writable.
    """
    found: dict[str, Fingerprint] = {}
    failures: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        answers = pool.map(lambda name: _one(Path(name), scans[name], folder), scans)
        for name, answer in zip(scans, answers, strict=True):
            if isinstance(answer, Fingerprint):
                found[name] = answer
            else:
                failures[name] = answer
            if progress is not None:
                progress(len(found) + len(failures), len(scans))
    return Fingerprints(found, failures)


def _one(path: Path, orientation: str, folder: Path) -> Fingerprint | str:
    """Return a fingerprint from disk or from the scan, or the reason why there is none."""
    try:
        key = _key(path, orientation)
    except OSError as error:
        return f"{shown_name(path)}: cannot be read ({error.strerror}); check the path"
    entry = folder / key[:2] / f"{key}.bin"
    known = _read_entry(entry)
    if known is not None:
        return known
    try:
        fresh = fingerprint_scan(path, orientation)
        if _key(path, orientation) != key:
            return f"{shown_name(path)}: changed while it was read; run again when it is copied"
    except VolumeError as error:
        return str(error)
    write_bytes(entry, _pack(fresh))
    return fresh


def _key(path: Path, orientation: str) -> str:
    """Return the SHA-256 over all that decides a fingerprint: the files' bytes and the version of this code."""
    if not path.exists():
        raise FileNotFoundError(2, "no such file")
    files = [sha256_file(file) for file in volume_files(path)]
    record = [FINGERPRINT_VERSION, file_format(path), orientation, files]
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()


def _pack(fingerprint: Fingerprint) -> bytes:
    """Return magic, SHA-256 of the rest, image, and everything else as JSON."""
    facts = {name: value for name, value in asdict(fingerprint).items() if name != "image"}
    body = fingerprint.image.astype("<f4").tobytes() + json.dumps(facts).encode()
    return _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _read_entry(entry: Path) -> Fingerprint | None:
    """Return a stored fingerprint, or None if there is none or it is damaged."""
    try:
        data = entry.read_bytes()
    except FileNotFoundError:
        return None
    start = len(_MAGIC) + 65
    body = data[start:]
    if data[:start] != _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n":
        _LOG.warning("fingerprint %s is damaged: reading the scan again", entry.name[:12])
        return None
    image = np.frombuffer(body[:_IMAGE_BYTES], dtype="<f4").reshape((IMAGE_SIZE,) * 3)
    facts = json.loads(body[_IMAGE_BYTES:])
    facts["matrix"], facts["voxel_mm"] = tuple(facts["matrix"]), tuple(facts["voxel_mm"])
    return Fingerprint(image=image.astype(np.float32), **facts)
