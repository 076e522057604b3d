"""Bad scans given to ``neurofocus predict``: exit code 2, one helpful line, little memory, nothing left behind."""

import gzip
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

Command = Callable[..., int]
Shown = pytest.CaptureFixture[str]

GIB = 2**30
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])


def noise(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def stored(path: Path, array: NDArray[Any]) -> bytes:
    nib.Nifti1Image(array, AFFINE).to_filename(path)
    return path.read_bytes()


def valid(folder: Path) -> bytes:
    """A scan that could be read: random numbers, gzip-compressed."""
    return stored(folder / "valid.nii.gz", noise(40, 41, 42))


def flipped(data: bytes, position: float) -> bytes:
    changed = bytearray(data)
    changed[int(position * len(data))] ^= 0x10
    return bytes(changed)


def absurd_header(folder: Path) -> bytes:
    """A header that announces 32767³ voxels of 8 bytes: 256 TiB."""
    raw = bytearray(gzip.decompress(valid(folder)))
    raw[40:56] = struct.pack("<8h", 3, *[32767] * 3, 1, 1, 1, 1)
    raw[70:74] = struct.pack("<2h", 64, 64)
    return gzip.compress(bytes(raw), 1)


def gzip_bomb(folder: Path) -> bytes:
    """A header that announces 8 GB of voxels, and 8 GB of zeros in 8 MB to make it true."""
    header = nib.Nifti1Header()
    header.set_data_shape((2000, 2000, 2000))
    header.set_data_dtype(np.uint8)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    header.set_sform(AFFINE, code=1)
    zeros = gzip.compress(bytes(64 * 2**20), 9)
    # A gzip file may have several members, so the zeros need to be compressed once only.
    return gzip.compress(header.binaryblock + bytes(4)) + zeros * 120


def honest_bomb(folder: Path) -> bytes:
    """A small header, and 4 GB of zeros behind the voxels that it announces."""
    return gzip.compress(gzip.decompress(valid(folder)), 1) + gzip.compress(bytes(64 * 2**20), 9) * 64


def spoiled(value: float) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        array = noise(40, 41, 42)
        array[3, 4, 5] = value
        return stored(folder / "valid.nii.gz", array)

    return make


# file name -> (its content, words of the answer)
BAD: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "empty.nii.gz": (lambda _: b"", "an empty file"),
    "empty.nii": (lambda _: b"", "an empty file"),
    "truncated.nii.gz": (lambda folder: valid(folder)[:-5000], "copy it again"),
    "no_trailer.nii.gz": (lambda folder: valid(folder)[:-8], "copy it again"),
    "truncated.nii": (lambda folder: gzip.decompress(valid(folder))[:-5000], "truncated"),
    "header_only.nii": (lambda folder: gzip.decompress(valid(folder))[:348], "truncated"),
    "half_header.nii": (lambda folder: gzip.decompress(valid(folder))[:100], "NIfTI"),
    "flip_in_data.nii.gz": (lambda folder: flipped(valid(folder), 0.6), "damaged"),
    "flip_at_end.nii.gz": (lambda folder: flipped(valid(folder), 0.99999), "damaged"),
    "two_d.nii.gz": (lambda folder: stored(folder / "x.nii.gz", noise(40, 40)), "2-D"),
    "one_slice.nii.gz": (lambda folder: stored(folder / "x.nii.gz", noise(40, 40, 1)), "2-D"),
    "four_d.nii.gz": (lambda folder: stored(folder / "x.nii.gz", noise(40, 40, 40, 5)), "4-D"),
    "complex.nii.gz": (
        lambda folder: stored(folder / "x.nii.gz", noise(40, 40, 40).astype(np.complex64)),
        "complex",
    ),
    "nan.nii.gz": (spoiled(float("nan")), "NaN"),
    "inf.nii.gz": (spoiled(float("inf")), "infinite"),
    "zeros.nii.gz": (lambda folder: stored(folder / "x.nii.gz", np.zeros((40, 40, 40), np.int16)), "is 0"),
    "absurd.nii.gz": (absurd_header, "voxels announced"),
    "bomb.nii.gz": (gzip_bomb, "voxels announced"),
    "honest_bomb.nii.gz": (honest_bomb, "beyond the header's size"),
    "packed.nii": (valid, "gzip-compressed although its name does not say so"),
    "plain.nii.gz": (lambda folder: gzip.decompress(valid(folder)), "not gzip-compressed"),
    "picture.png": (lambda _: b"\x89PNG\r\n\x1a\n" + bytes(100), "no scan format"),
    "table.csv": (lambda _: b"participant_id,diagnosis\n1,AD\n", "this is a table, not a scan"),
    "table.nii.gz": (lambda _: b"participant_id,diagnosis\n1,AD\n", "not gzip-compressed"),
    "table.nii": (lambda _: b"participant_id,diagnosis\n1,AD\n" * 50, "NIfTI"),
    "text.mgz": (lambda _: gzip.compress(b"x" * 5000), "mgz"),
    "text.nrrd": (lambda _: b"hello " * 100, "nrrd"),
    "alone.hdr": (lambda _: bytes(348), "other half"),
    "no_suffix": (lambda _: b"hello " * 100, "no scan format"),
}


def assert_refused(error: str, name: str, words: str) -> None:
    assert error.startswith(f"neurofocus: error: {name}: ")
    assert words in error
    assert error.count("\n") == 1
    assert error.endswith("\n")
    assert "Traceback" not in error


@pytest.mark.parametrize("name", BAD)
def test_every_bad_scan_is_refused(command: Command, capsys: Shown, tmp_path: Path, name: str) -> None:
    make, words = BAD[name]
    data = make(tmp_path)
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / name).write_bytes(data)
    out = tmp_path / "out"
    out.mkdir()
    start = time.monotonic()
    assert command("predict", folder / name, "--out", out) == 2
    assert time.monotonic() - start < 10
    shown = capsys.readouterr()
    assert_refused(shown.err, name, words)
    assert not shown.out
    assert not list(out.iterdir())
    assert [entry.name for entry in folder.iterdir()] == [name]


def test_places_that_are_no_scan(command: Command, capsys: Shown, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.nii").symlink_to(tmp_path / "gone.nii")
    os.mkfifo(tmp_path / "pipe.nii")  # reading it would wait for ever
    for name, words in (
        ("absent.nii.gz", "no such file"),
        ("folder", "a folder without DICOM images"),
        ("link.nii", "no such file"),
        ("pipe.nii", "not a regular file"),
    ):
        assert command("predict", tmp_path / name, "--out", tmp_path / "out") == 2
        assert_refused(capsys.readouterr().err, name, words)
    assert not (tmp_path / "out").exists()


_MEASURED = """
import resource, sys, time
from importlib.metadata import entry_points
(point,) = entry_points(group="console_scripts", name="neurofocus")
start = time.monotonic()
code = point.load()(["predict", *sys.argv[1:]])
seconds = time.monotonic() - start
try:  # the peak of this process alone; ru_maxrss starts at that of the process that forked it
    with open("/proc/self/status") as stream:
        peak = next(int(line.split()[1]) * 1024 for line in stream if line.startswith("VmHWM"))
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(code, seconds, peak)
"""


@pytest.mark.parametrize("name", ["absurd.nii.gz", "bomb.nii.gz", "honest_bomb.nii.gz", "four_d.nii.gz"])
def test_none_needs_much_memory_or_time(tmp_path: Path, name: str) -> None:
    make, words = BAD[name]
    (tmp_path / name).write_bytes(make(tmp_path))
    command = [sys.executable, "-c", _MEASURED, str(tmp_path / name), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    code, seconds, peak = (float(number) for number in done.stdout.split())
    assert_refused(done.stderr, name, words)
    assert code == 2
    assert seconds < 10
    assert peak < 0.5 * GIB  # 2 GB are allowed
    assert not (tmp_path / "out").exists()
