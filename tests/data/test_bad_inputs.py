"""Every malformed scan ends in one helpful line, fast, in little memory, and leaves nothing behind."""

import gzip
import json
import math
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

SHAPE = (24, 20, 16)
MEGABYTE = 2**20

CHILD = """
import json, pathlib, resource, sys, time
from neurofocus.data.volume import read_volume
from neurofocus.errors import VolumeError
for line in sys.stdin:
    start = time.monotonic()
    try:
        read_volume(pathlib.Path(line.rstrip("\\n")))
        kind, text = "accepted", ""
    except VolumeError as error:
        kind, text = "refused", str(error)
    except BaseException as error:
        kind, text = "crashed", repr(error)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([kind, text, time.monotonic() - start, peak]), flush=True)
"""


def scan(dtype: Any = np.float32, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    values = np.random.default_rng(0).integers(1, 100, shape)
    return values.astype(dtype)


def nifti(array: np.ndarray | None = None, affine: Any = None, **fields: Any) -> bytes:
    """One NIfTI file; header fields are overwritten in the finished bytes, as damage would."""
    image = nib.Nifti1Image(scan() if array is None else array, np.eye(4) if affine is None else affine)
    data = bytearray(image.to_bytes())
    header = nib.Nifti1Header(bytes(data[:348]), check=False)
    for field, value in fields.items():
        header[field] = value
    data[:348] = header.binaryblock
    return bytes(data)


def flipped(data: bytes, at: float, bit: int = 3) -> bytes:
    damaged = bytearray(data)
    damaged[int(at * len(data))] ^= 1 << bit
    return bytes(damaged)


def bomb(shape: tuple[int, int, int], inflated: int) -> bytes:
    """A small .nii.gz that inflates to ``inflated`` bytes of zeros, whatever its header says."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(shape)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    zeros = gzip.compress(bytes(16 * MEGABYTE), 9)
    return gzip.compress(header.binaryblock + bytes(4)) + zeros * math.ceil(inflated / (16 * MEGABYTE))


def colour() -> bytes:
    pixels = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    return nib.Nifti1Image(pixels, np.eye(4)).to_bytes()


def with_value(value: float, count: int) -> np.ndarray:
    array = scan()
    array.reshape(-1)[:count] = value
    return array


def nrrd(body: bytes, **fields: str) -> bytes:
    known = {
        "type": "short",
        "dimension": "3",
        "sizes": "24 20 16",
        "encoding": "raw",
        "endian": "little",
        "space": "left-posterior-superior",
        "space directions": "(1,0,0) (0,1,0) (0,0,1)",
        "space origin": "(0,0,0)",
    }
    known |= {key.replace("_", " "): value for key, value in fields.items()}
    lines = [f"{key}: {value}" for key, value in known.items()]
    return ("\n".join(["NRRD0004", *lines]) + "\n\n").encode() + body


RAW = scan(np.int16).tobytes(order="F")
PACKED = gzip.compress(nifti())
MGZ = gzip.compress(nib.freesurfer.MGHImage(scan(), np.eye(4)).to_bytes())

# name -> (file name, bytes, what the message must say)
BAD: dict[str, tuple[str, bytes | Callable[[], bytes], str]] = {
    "empty": ("a.nii.gz", b"", "an empty file"),
    "text": ("a.nii", b"this is not a scan, it only says so " * 40, "text, not a scan"),
    "packed text": ("a.nii.gz", gzip.compress(b"hello " * 400), "text, not a scan"),
    "noise": ("a.nii", np.random.default_rng(1).bytes(5000), "no NIfTI header"),
    "short": ("a.nii", nifti()[:100], "no NIfTI header"),
    "csv": ("cohort.csv", b"participant_id,path\n1,a.nii\n", "table"),
    "csv as nii": ("cohort.nii", b"participant_id,path\n" * 30, "no NIfTI header"),
    "jpeg": ("a.jpg", b"\xff\xd8\xff\xe0" * 100, ".jpg is no scan format"),
    "no suffix": ("scan", b"abc" * 100, "no suffix"),
    "gzip named nii": ("a.nii", PACKED, "gzip-compressed although"),
    "nii named gzip": ("a.nii.gz", nifti(), "not gzip-compressed although"),
    "truncated nii": ("a.nii", nifti()[:-5000], "truncated"),
    "truncated gz": ("a.nii.gz", PACKED[: len(PACKED) // 2], "truncated"),
    "gz without trailer": ("a.nii.gz", PACKED[:-8], "truncated"),
    "gz cut in header": ("a.nii.gz", PACKED[:40], "copy it again"),
    "flip in data": ("a.nii.gz", flipped(PACKED, 0.6), "copy it again"),
    "flip in checksum": ("a.nii.gz", flipped(PACKED, 1 - 6 / len(PACKED)), "checksum"),
    "flip in length": ("a.nii.gz", flipped(PACKED, 1 - 2 / len(PACKED)), "checksum"),
    "2-D": ("a.nii", nifti(scan(shape=(64, 64))), "2-D image"),
    "one slice": ("a.nii", nifti(scan(shape=(64, 64, 1))), "2-D image"),
    "thin": ("a.nii", nifti(scan(shape=(64, 64, 5))), "64 x 64 x 5"),
    "4-D": ("a.nii", nifti(scan(shape=(*SHAPE, 7))), "7 volumes"),
    "5-D": ("a.nii", nifti(scan(shape=(*SHAPE, 1, 3))), "3 volumes"),
    "complex": ("a.nii", nifti(scan(np.complex64)), "complex"),
    "colour": ("a.nii", colour(), "RGB"),
    "long double": ("a.nii", nifti(datatype=1536, bitpix=128), "128-bit numbers"),
    "unknown type": ("a.nii", nifti(datatype=999), "unknown number type"),
    "NaN": ("a.nii", nifti(with_value(np.nan, 768)), "10 % of the voxels"),
    "infinite": ("a.nii", nifti(with_value(np.inf, 1)), "NaN, infinite"),
    "too large for float32": ("a.nii", nifti(scan(np.float64) * 1e300), "beyond float32"),
    "all zero": ("a.nii.gz", gzip.compress(nifti(np.zeros(SHAPE, np.int16))), "every voxel is 0"),
    "constant": ("a.nii", nifti(np.full(SHAPE, 7, np.int16)), "every voxel is 7"),
    "negative size": ("a.nii", nifti(dim=[3, 24, -20, 16, 1, 1, 1, 1]), "24 x -20 x 16"),
    "zero size": ("a.nii", nifti(dim=[3, 24, 0, 16, 1, 1, 1, 1]), "24 x 0 x 16"),
    "no axes": ("a.nii", nifti(dim=[0, 0, 0, 0, 0, 0, 0, 0]), "announces 0 axes"),
    "absurd size": ("a.nii.gz", gzip.compress(nifti(dim=[3, 32767, 32767, 32767, 1, 1, 1, 1])), "32767"),
    "absurd size, plain": ("a.nii", nifti(dim=[3, 32767, 32767, 32767, 1, 1, 1, 1]), "32767"),
    "larger than the file": ("a.nii", nifti(dim=[3, 240, 200, 160, 1, 1, 1, 1]), "truncated"),
    "smaller than the file": ("a.nii", nifti() + bytes(3 * MEGABYTE), "does not fit"),
    "smaller than the gz": ("a.nii.gz", gzip.compress(nifti() + bytes(3 * MEGABYTE)), "does not fit"),
    "honest bomb": ("a.nii.gz", lambda: bomb((640, 640, 640), 262144000), "made to exhaust memory"),
    "huge bomb": ("a.nii.gz", lambda: bomb((1200, 1200, 1000), 2**28), "voxels announced"),
    "hidden bomb": ("a.nii.gz", lambda: bomb((64, 64, 64), 2**32), "does not fit"),
    "wide bomb": (
        "a.nii",
        nifti(dim=[3, 600, 600, 600, 1, 1, 1, 1], datatype=64, bitpix=64),
        "bytes announced",
    ),
    "offset NaN": ("a.nii", nifti(vox_offset=np.nan), "start at byte nan"),
    "offset beyond": ("a.nii", nifti(vox_offset=1e30), "start at byte"),
    "zero spacing": (
        "a.nii",
        nifti(pixdim=[1, 0, 1, 1, 0, 0, 0, 0], sform_code=0, qform_code=1),
        "voxels of 0 x 1 x 1 mm",
    ),
    "NaN affine": ("a.nii", nifti(srow_x=[np.nan, 0, 0, 0]), "NaN or infinite"),
    "singular affine": ("a.nii", nifti(srow_x=[1.0, 0, 1, 0], srow_z=[0.0, 0, 0, 0]), "one plane"),
    "wide view": (
        "a.nii",
        nifti(affine=np.diag([90.0, 90, 90, 1])),
        "field of view of 2160 x 1800 x 1440 mm",
    ),
    "far away": ("a.nii", nifti(srow_x=[1.0, 0, 0, 1e30]), "a first voxel at 1e+30"),
    "flat affine": ("a.nii", nifti(srow_z=[0.0, 0, 0, 0]), "voxels of 1 x 1 x 0 mm"),
    "impossible rotation": ("a.nii", nifti(sform_code=0, qform_code=1, quatern_b=9.0), "impossible rotation"),
    "infinite slope": ("a.nii", nifti(scl_slope=np.inf), "scl_slope inf"),
    "absurd slope": ("a.nii", nifti(scl_slope=3e38, scl_inter=0), "beyond float32"),
    "NaN intercept": ("a.nii", nifti(scl_slope=2.0, scl_inter=np.nan), "scl_inter nan"),
    "bad magic": ("a.nii", nifti(magic=b"xyz"), "no NIfTI header"),
    "half a pair": ("a.hdr", nifti()[:348], "a.img is missing"),
    "header as nii": ("a.nii", nifti(magic=b"ni1"), "half of a NIfTI pair"),
    "mgz truncated": ("a.mgz", MGZ[: len(MGZ) // 2], "truncated"),
    "mgz flipped": ("a.mgz", flipped(MGZ, 0.5), "copy it again"),
    "mgz of another kind": ("a.mgz", PACKED, "no FreeSurfer header"),
    "nrrd text": ("a.nrrd", b"hello\n" * 100, "no NRRD header"),
    "nrrd without end": ("a.nrrd", b"NRRD0004\ntype: short\n", "without end"),
    "nrrd truncated": ("a.nrrd", nrrd(RAW[:-2000]), "truncated"),
    "nrrd gzip flipped": ("a.nrrd", nrrd(flipped(gzip.compress(RAW), 0.7), encoding="gzip"), "copy it again"),
    "nrrd elsewhere": ("a.nrrd", nrrd(b"", data_file="a.raw"), "another file"),
    "nrrd of text": ("a.nrrd", nrrd(RAW, encoding="ascii"), "encoding 'ascii'"),
    "nrrd blocks": ("a.nrrd", nrrd(RAW, type="block"), "type 'block'"),
    "nrrd sizes": ("a.nrrd", nrrd(RAW, sizes="24 20"), "2 sizes"),
    "nrrd vectors": ("a.nrrd", nrrd(RAW, space_directions="(1,0,a) (0,1,0) (0,0,1)"), "vector"),
    "nrrd absurd": ("a.nrrd", nrrd(RAW, sizes="99999 99999 99999"), "99999"),
    "detached nrrd": ("a.nhdr", nrrd(b""), "attached"),
    "analyze noise": ("a.hdr", struct.pack("<i", 7) + bytes(344), "no Analyze or NIfTI header"),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str, float, float]]:
    """Read all bad files in one child process and measure it."""
    root = tmp_path_factory.mktemp("bad")
    scratch = tmp_path_factory.mktemp("scratch")
    paths = {}
    for name, (file, content, _) in BAD.items():
        folder = root / name.replace(" ", "_")
        folder.mkdir()
        paths[name] = folder / file
        paths[name].write_bytes(content if isinstance(content, bytes) else content())
    (root / "analyze_noise" / "a.img").write_bytes(bytes(1000))
    (root / "folder").mkdir()
    paths |= {
        "missing": root / "missing.nii.gz",
        "empty folder": root / "folder",
        "device": Path("/dev/zero"),
    }
    before = sorted(str(entry) for entry in root.rglob("*"))
    result = subprocess.run(
        [sys.executable, "-c", CHILD],
        input="\n".join(str(path) for path in paths.values()),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    assert sorted(str(entry) for entry in root.rglob("*")) == before, "something was left behind"
    assert not list(scratch.iterdir()), "temporary files were left behind"
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return dict(zip(paths, lines, strict=True))


EXPECTED = {name: says for name, (_, _, says) in BAD.items()} | {
    "missing": "no such file",
    "empty folder": "without DICOM images",
    "device": "not a regular file",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_refused_in_one_helpful_line(name: str, verdicts: dict[str, tuple[str, str, float, float]]) -> None:
    kind, text, _, _ = verdicts[name]
    file = BAD[name][0] if name in BAD else ""
    assert kind == "refused", text
    assert EXPECTED[name] in text
    assert text.startswith(file), "the file is named first"
    assert "\n" not in text
    assert "; " in text, "says what to do next"
    assert "/bad" not in text, "no folder of this machine in a message"


def test_no_bad_input_takes_long_or_much_memory(verdicts: dict[str, tuple[str, str, float, float]]) -> None:
    slow = {name: seconds for name, (_, _, seconds, _) in verdicts.items() if seconds > 10}
    assert not slow
    peak = max(megabytes for _, _, _, megabytes in verdicts.values())
    assert peak < 2000


def test_every_single_bit_flip_of_a_packed_scan_is_found_or_harmless(tmp_path: Path) -> None:
    from neurofocus.data.volume import read_volume
    from neurofocus.errors import VolumeError

    path = tmp_path / "a.nii.gz"
    path.write_bytes(PACKED)
    truth = read_volume(path)
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(150):
        path.write_bytes(flipped(PACKED, float(rng.uniform()), int(rng.integers(8))))
        try:
            again = read_volume(path)
        except VolumeError:
            found += 1
        else:  # time stamp and operating system in the gzip header carry no data
            np.testing.assert_array_equal(again.array, truth.array)
            np.testing.assert_array_equal(again.affine, truth.affine)
    assert found >= 145


@pytest.mark.filterwarnings("error")
def test_random_damage_to_headers_is_refused_or_read_but_never_crashes(tmp_path: Path) -> None:
    from neurofocus.data.volume import read_volume
    from neurofocus.errors import VolumeError

    pair = nib.Nifti1Pair(scan(np.int16), np.eye(4))
    pair.to_filename(str(tmp_path / "pair.img"))
    sources = {
        "one.nii": nifti(scan(np.int16)),
        "two.nii": nib.Nifti2Image(scan(np.int16), np.eye(4)).to_bytes(),
        "free.mgh": nib.freesurfer.MGHImage(scan(), np.eye(4)).to_bytes(),
        "slicer.nrrd": nrrd(RAW),
        "pair.hdr": (tmp_path / "pair.hdr").read_bytes(),
    }
    rng = np.random.default_rng(11)
    refused = 0
    for number in range(1500):
        name = list(sources)[number % len(sources)]
        data = bytearray(sources[name])
        for at in rng.integers(0, min(348, len(data)), rng.integers(1, 5)):
            data[at] = rng.choice([0, 127, 128, 255, rng.integers(256)])
        (tmp_path / name).write_bytes(data)
        try:
            volume = read_volume(tmp_path / name)
        except VolumeError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            assert np.isfinite(volume.array).all()
            assert np.isfinite(volume.affine).all()
    assert refused > 200


def test_a_line_break_in_a_file_name_stays_one_line(tmp_path: Path) -> None:
    from neurofocus.data.volume import read_volume
    from neurofocus.errors import VolumeError

    path = tmp_path / "a\nb.nii"
    path.write_bytes(b"")
    with pytest.raises(VolumeError, match=r"^a\?b\.nii: an empty file; "):
        read_volume(path)
