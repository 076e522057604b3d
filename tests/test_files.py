"""Atomic writing: whole files or none, whatever happens in between."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest
from filelock import FileLock, Timeout

from neurofocus.errors import NeurofocusError
from neurofocus.files import (
    atomic_folder,
    atomic_write,
    cache_dir,
    locked,
    mendable,
    require_writable,
    sha256_file,
    sweep_partial,
    write_bytes,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_round_trips(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b" / "c.bin", b"\0\xff")
    write_text(tmp_path / "t.txt", "Zürich\n")
    write_json(tmp_path / "v.json", {"b": [1, None], "a": "ä"})
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"\0\xff"
    assert (tmp_path / "t.txt").read_bytes() == "Zürich\n".encode()
    assert (tmp_path / "v.json").read_text(encoding="utf-8") == (
        '{\n  "b": [\n    1,\n    null\n  ],\n  "a": "ä"\n}\n'
    )
    assert names(tmp_path) == ["a", "t.txt", "v.json"]
    assert names(tmp_path / "a" / "b") == ["c.bin"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [1.0, float("-inf")]}])
def test_json_refuses_what_json_cannot_say(tmp_path: Path, value: object) -> None:
    write_json(tmp_path / "v.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "v.json", value)
    assert json.loads((tmp_path / "v.json").read_text(encoding="utf-8")) == 1
    assert names(tmp_path) == ["v.json"]


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), OSError(errno.EIO, "broken disk")])
def test_an_interrupted_block_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.nii.gz"
    write_bytes(path, b"old")
    with pytest.raises(type(error)), atomic_write(path) as temporary:
        assert temporary.parent == tmp_path  # one file system, so that the rename is atomic
        assert temporary.name.endswith("a.nii.gz")
        temporary.write_bytes(b"new, but not whole")
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.nii.gz"]


def test_a_block_that_wrote_nothing_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a"):
        pass


def test_data_are_on_disk_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle: int) -> None:
        steps.append("folder" if os.fstat(handle).st_mode & 0o040000 else "data")
        fsync(handle)

    def noted_replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr("os.fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_bytes(tmp_path / "a", b"x")
    assert steps == ["data", "rename", "folder"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "not writable; change its permissions"),
        (errno.EPERM, "not writable"),
        (errno.EROFS, "not writable"),
    ],
)
@pytest.mark.parametrize("where", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.write_bytes"])
def test_what_a_user_can_mend_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str, where: str
) -> None:
    def fail(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    write_bytes(tmp_path / "a", b"old")
    monkeypatch.setattr(where, fail)
    with pytest.raises(NeurofocusError, match=words) as caught:
        write_bytes(tmp_path / "a", b"new")
    assert str(caught.value).startswith(f"{tmp_path / 'a'}: ")
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_file_that_cannot_be_removed_hides_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(RuntimeError, match="the first"), atomic_write(tmp_path / "a") as temporary:
        temporary.write_bytes(b"x")
        raise RuntimeError("the first")


def test_names_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(NeurofocusError, match="a file is where a folder is needed"):
        write_bytes(tmp_path / "file" / "a", b"")
    with pytest.raises(NeurofocusError, match="a file is where a folder is needed"):
        write_bytes(tmp_path / "file" / "deeper" / "a", b"")
    with pytest.raises(NeurofocusError, match="a folder is where a file is needed"):
        write_bytes(tmp_path / "folder", b"")
    with pytest.raises(NeurofocusError, match="the name is too long"):
        write_bytes(tmp_path / ("x" * 250), b"")
    assert names(tmp_path) == ["file", "folder"]


def test_an_output_folder_is_judged_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_writable(tmp_path / "a/b")
    assert names(tmp_path) == []
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(NeurofocusError, match=f"{path}: a file is where a folder is needed"):
            require_writable(path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(NeurofocusError, match="a/b: not writable; change its permissions or choose another"):
        require_writable(tmp_path / "a/b")


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="weather") as caught, mendable(tmp_path):
        raise OSError(errno.EIO, "weather")
    assert not isinstance(caught.value, NeurofocusError)
    with pytest.raises(OSError, match="no number"), mendable(tmp_path):
        raise OSError("no number")


def test_folders_appear_whole(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "deep" / "bundle") as temporary:
        write_text(temporary / "a", "1")
        assert not (tmp_path / "deep" / "bundle").exists()
    assert (tmp_path / "deep" / "bundle" / "a").read_text(encoding="utf-8") == "1"
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "other") as temporary:
        write_text(temporary / "a", "1")
        raise RuntimeError
    assert names(tmp_path) == ["deep"]


def test_the_first_folder_wins(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "x") as slow:
        write_text(slow / "a", "slow")
        with atomic_folder(tmp_path / "x") as quick:
            write_text(quick / "a", "quick")
    assert (tmp_path / "x" / "a").read_text(encoding="utf-8") == "quick"
    assert names(tmp_path) == ["x"]


def test_a_folder_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Path, "mkdir", fail)
    with pytest.raises(NeurofocusError, match="the disk is full"), atomic_folder(tmp_path / "x"):
        pass


_ENDLESS_WRITER = """
import sys
from pathlib import Path
from neurofocus.files import write_bytes
path, size = Path(sys.argv[1]), 4 * 2**20
for number in range(10**9):
    write_bytes(path, bytes([number % 251]) * size)
"""


def test_killed_writers_leave_whole_files_and_sweepable_rests(tmp_path: Path) -> None:
    path = tmp_path / "state.bin"
    for moment in (0.0, 0.02, 0.05):
        writer = subprocess.Popen([sys.executable, "-c", _ENDLESS_WRITER, str(path)])
        path.unlink(missing_ok=True)
        while not path.exists():
            assert writer.poll() is None
            time.sleep(0.005)
        time.sleep(moment)
        writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
        data = path.read_bytes()
        assert len(data) == 4 * 2**20
        assert len(set(data)) == 1
    sweep_partial(tmp_path)
    assert names(tmp_path) == ["state.bin"]


def test_sweeping(tmp_path: Path) -> None:
    (tmp_path / ".1.nf-partial.a.json").write_text("{", encoding="utf-8")
    (tmp_path / ".2.nf-partial.bundle").mkdir()
    (tmp_path / ".2.nf-partial.bundle" / "x").write_text("x", encoding="utf-8")
    for name in ("kept.nf-partial", ".hidden", "a.json"):
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / ".3.nf-partial.a").write_text("", encoding="utf-8")
    assert sweep_partial(tmp_path) == 2
    assert names(tmp_path) == [".hidden", "a.json", "below", "kept.nf-partial"]
    assert names(tmp_path / "below") == [".3.nf-partial.a"]
    assert sweep_partial(tmp_path / "absent") == 0


def test_checksums(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(data)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def test_locks_exclude_and_are_freed(tmp_path: Path) -> None:
    path = tmp_path / "deep" / ".run.lock"
    with pytest.raises(RuntimeError), locked(path):
        with pytest.raises(Timeout):
            FileLock(path, timeout=0).acquire()
        raise RuntimeError
    with FileLock(path, timeout=0):
        pass


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(NeurofocusError, match="file: a file is where a folder is needed"):
        locked(tmp_path / "file" / ".lock").__enter__()


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEUROFOCUS_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "own"
    monkeypatch.setenv("NEUROFOCUS_CACHE", "")
    assert cache_dir() == tmp_path / "xdg" / "neurofocus"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_dir() == tmp_path / ".cache" / "neurofocus"
