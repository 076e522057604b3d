"""Every file of ours is written through here: atomically, with checksums, under locks."""

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from neurofocus.errors import NeurofocusError

__all__ = [
    "all_or_none",
    "atomic_folder",
    "atomic_write",
    "cache_dir",
    "lock_beside",
    "locked",
    "mendable",
    "require_writable",
    "sha256_file",
    "sweep_partial",
    "write_bytes",
    "write_json",
    "write_text",
]

_PARTIAL = ".nf-partial"
_ELSEWHERE = "choose another folder (--out, or NEUROFOCUS_CACHE for the cache)"
_FULL = f"the disk is full; free some space or {_ELSEWHERE}, then run again"
_NOT_WRITABLE = f"not writable; change its permissions or {_ELSEWHERE}"
_IN_THE_WAY = f"a file is where a folder is needed; {_ELSEWHERE}"
_REASONS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _NOT_WRITABLE,
    errno.EPERM: _NOT_WRITABLE,
    errno.EROFS: _NOT_WRITABLE,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.EISDIR: f"a folder is where a file is needed; {_ELSEWHERE}",
    errno.ENAMETOOLONG: "the name is too long for this file system; rename the scan",
}


@contextmanager
def mendable(path: Path) -> Iterator[None]:
    """Turn what a user can mend about ``path`` (space, permission, a name in the way) into a NeurofocusError."""
    try:
        yield
    except OSError as error:
        if (reason := _REASONS.get(error.errno or 0)) is None:
            raise
        raise NeurofocusError(f"{path}: {reason}") from error


def require_writable(folder: Path) -> None:
    """Refuse an output folder that cannot be written into, before anything is computed; nothing is made.

    Raises:
        NeurofocusError: a file is in the way, or the folder (or the one to make it in) is not writable.
    """
    with mendable(folder):
        place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "not a folder")
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``; wait while another process holds it.

    Raises:
        NeurofocusError: if the lock file cannot be made.
    """
    lock = FileLock(path)
    with mendable(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def lock_beside(folder: Path) -> Path:
    """Return the lock file of a folder, beside it: whoever holds the lock may empty the folder."""
    whole = folder.resolve()
    return whole.with_name(f".{whole.name}.lock")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that replaces it when the block ends well.

    The data are flushed to disk before the rename, so a reader sees the old file or the whole new one,
    even after a crash. If the block raises, nothing is left behind.

    Raises:
        NeurofocusError: if the disk or a quota is full, or the folder is not writable or no folder.
    """
    with mendable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays last so that writers that look at it (nibabel, matplotlib) choose the right format.
        temporary = _beside(path)
        try:
            yield temporary
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
        finally:
            with suppress(OSError):  # the first error is the one to tell
                temporary.unlink(missing_ok=True)


@contextmanager
def all_or_none(files: Iterable[Path], mark: Path) -> Iterator[None]:
    """Write files that belong together inside the block, ``mark`` last: where it lies, the others are its own.

    An older ``mark`` is gone first; an error in the block removes every file.

    Args:
        files: all of them.
        mark: the one among them that is written last.
    """
    with mendable(mark.parent):
        mark.unlink(missing_ok=True)
    try:
        yield
    except BaseException:
        for path in files:
            with suppress(OSError):  # the first error is the one to tell
                path.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path`` that becomes it when the block ends well.

    A folder already at ``path`` is kept and the new one dropped: whoever came first wins.
    """
    with mendable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        try:
            temporary.mkdir()
            yield temporary
            if not path.exists():
                temporary.rename(path)
                _sync_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` to ``path`` atomically as indented JSON; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sweep_partial(folder: Path) -> int:
    """Remove what an interrupted writer left in ``folder`` (not below it); return how many entries went."""
    found = list(folder.glob(f".*{_PARTIAL}.*"))
    for entry in found:
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    return len(found)


def cache_dir() -> Path:
    """Return the cache folder: ``$NEUROFOCUS_CACHE``, else ``$XDG_CACHE_HOME/neurofocus``, else ``~/.cache/neurofocus``."""
    if own := os.environ.get("NEUROFOCUS_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "neurofocus"


def _sync_folder(folder: Path) -> None:
    """Flush a rename to disk where the platform allows opening folders."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open folders; the rename itself is still atomic there
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(path: Path) -> Path:
    return path.with_name(f".{uuid.uuid4().hex}{_PARTIAL}.{path.name}")
