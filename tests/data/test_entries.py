"""Entries of the cache: mapped, read-only, verified, and sent to other processes as their place."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neurofocus.data.entries import Entry, StoredArray, read_entry, write_entry


@pytest.fixture
def path(tmp_path: Path) -> Path:
    entry = tmp_path / "ab" / "abc" / "case.bin"
    arrays = {
        "frames": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "affine": np.eye(4),
        "none": np.zeros((0, 0, 0), dtype=np.float32),
    }
    write_entry(entry, arrays, {"quality": {"a": 0.1}})
    return entry


def opened(path: Path, *, mapped: bool = True) -> Entry:
    entry = read_entry(path, ("frames", "affine", "none"), ("quality",), mapped=mapped)
    assert entry is not None
    return entry


@pytest.mark.parametrize("mapped", [True, False])
def test_what_was_written_is_read(path: Path, mapped: bool) -> None:
    entry = opened(path, mapped=mapped)
    np.testing.assert_array_equal(entry.arrays["frames"], np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    np.testing.assert_array_equal(entry.arrays["affine"], np.eye(4))
    assert entry.arrays["none"].shape == (0, 0, 0)
    assert entry.notes == {"quality": {"a": 0.1}}
    assert entry.arrays["frames"].flags.aligned
    with pytest.raises(ValueError, match="read-only"):
        entry.arrays["frames"][0] = 1.0


def test_a_mapped_array_is_pickled_as_its_place(tmp_path: Path) -> None:
    path = tmp_path / "k" / "case.bin"
    frames = np.random.default_rng(0).normal(size=(64, 64, 64)).astype(np.float32)
    write_entry(path, {"frames": frames}, {})
    entry = read_entry(path, ("frames",), ())
    assert entry is not None
    text = pickle.dumps(entry.arrays["frames"])
    assert len(text) < 1000
    again = pickle.loads(text)
    assert isinstance(again, StoredArray)
    np.testing.assert_array_equal(again, frames)
    part = pickle.loads(pickle.dumps(entry.arrays["frames"][3:5]))
    np.testing.assert_array_equal(part, frames[3:5])
    doubled = pickle.loads(pickle.dumps(entry.arrays["frames"] * 2))
    np.testing.assert_array_equal(doubled, frames * 2)
    path.unlink()
    with pytest.raises(RuntimeError, match="cache entry k is gone"):
        pickle.loads(text)


def test_an_entry_without_what_is_asked_for(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_entry(path, ("missing",), ()) is None
    assert "has another layout" in caplog.text
    assert read_entry(path.with_name("absent.bin"), (), ()) is None


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files through /proc")
def test_thousands_of_entries_take_neither_files_nor_memory(tmp_path: Path) -> None:
    path = tmp_path / "k" / "case.bin"
    write_entry(path, {"frames": np.ones((56, 128, 128), dtype=np.float32)}, {})  # 3.7 MB
    script = f"""
import os
from pathlib import Path
import torch
from neurofocus.data.entries import read_entry
def own():  # without pages of files, which the system takes back when it needs them
    (line,) = [line for line in open("/proc/self/status") if line.startswith("RssAnon")]
    return int(line.split()[1])
before = own()
kept = [read_entry(Path({str(path)!r}), ("frames",), ()) for _ in range(1500)]
print(len(os.listdir("/proc/self/fd")), own() - before)
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    files, kilobytes = map(int, done.stdout.split())
    assert files < 20
    assert kilobytes < 100_000, "5.5 GB of frames"
