"""Voxel bytes of an untrusted file: size caps before anything is inflated, then one checked pass.

The gzip stream is always read to its end, so that its CRC-32 and length trailer are verified (RFC 1952);
nibabel and ITK stop before it and accept a flipped bit or half a file.
"""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from neurofocus.data.geometry import Affine, Array
from neurofocus.errors import VolumeError

__all__ = [
    "MAX_BYTES",
    "MAX_VOXELS",
    "VoxelLayout",
    "check_shape",
    "check_size",
    "refusal",
    "shown_name",
    "stream_voxels",
]

MAX_VOXELS = 256 * 2**20
MAX_BYTES = 2**30
_CHUNK = 8 * 2**20
_SLACK = 2**20
_MIN_AXIS = 8
# A scan's noise compresses by 2 to 4, one masked to the brain by 20; gzip's limit is 1032.
_MAX_RATIO = 300
_RATIO_FROM = 64 * 2**20


@dataclass(frozen=True)
class VoxelLayout:
    """What a header announces: where the voxels are and what they mean.

    Attributes:
        shape: Axis lengths as announced, first axis fastest in the file.
        dtype: Number type in the file, with its byte order.
        offset: Bytes before the first voxel.
        slope: Multiplies stored numbers.
        intercept: Is added after ``slope``.
        affine: Voxel to RAS+ world mm [4, 4].
        warnings: What the user should know about the header.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    offset: int
    affine: Affine
    slope: float = 1.0
    intercept: float = 0.0
    warnings: tuple[str, ...] = ()


def shown_name(path: Path) -> str:
    """Return the file name as it may be printed: no folder, one line."""
    return "".join(letter if letter.isprintable() else "?" for letter in path.name) or str(path)


def refusal(name: str, seen: str, advice: str) -> VolumeError:
    """Build the one-line error of a scan: its name, what was seen, what is accepted or to be done."""
    return VolumeError(f"{name}: {seen}; {advice}")


def check_shape(shape: tuple[int, ...], name: str) -> tuple[int, int, int]:
    """Return the three axis lengths, trailing axes of length one dropped.

    Raises:
        VolumeError: for negative, 2-D, 4-D, too thin or too large grids.
    """
    text = " x ".join(str(size) for size in shape)
    if not shape or any(size < 1 for size in shape):
        raise refusal(
            name, f"the header announces the size {text or 'nothing'}", "the file is damaged: export it again"
        )
    kept = list(shape)
    while len(kept) > 3 and kept[-1] == 1:
        kept.pop()
    if len(kept) > 3:
        volumes = math.prod(kept[3:])
        raise refusal(
            name,
            f"{len(kept)}-D data of {text}: {volumes} volumes",
            "give one 3-D T1 volume (for example `fslroi`, `mri_convert --frame 0`, or nilearn.image.index_img)",
        )
    if len(kept) < 3 or 1 in kept:
        raise refusal(name, f"a 2-D image of {text}", "give a 3-D volume with all its slices in one file")
    if min(kept) < _MIN_AXIS:
        raise refusal(
            name, f"a grid of only {text} voxels", f"give a 3-D scan with at least {_MIN_AXIS} voxels an axis"
        )
    if math.prod(kept) > MAX_VOXELS:
        raise refusal(
            name,
            f"{text} voxels announced",
            f"at most {MAX_VOXELS} are accepted: resample to about 1 mm, or export again",
        )
    return kept[0], kept[1], kept[2]


def check_size(layout: VoxelLayout, name: str, *, stored: int, compressed: bool) -> None:
    """Compare what the header announces with the bytes on disk, before reading them.

    Raises:
        VolumeError: if the numbers are not real, too many, or cannot be in this file.
    """
    if layout.dtype.kind not in "iuf" or layout.dtype.itemsize > 8:
        colour = "colour (RGB) voxels" if layout.dtype.names else "128-bit numbers"
        kind = {"c": "complex numbers", "V": colour, "f": colour}.get(
            layout.dtype.kind, f"{layout.dtype} voxels"
        )
        raise refusal(
            name, kind, "accepted are integers and real numbers of up to 64 bits: export the magnitude image"
        )
    needed = layout.offset + math.prod(layout.shape) * layout.dtype.itemsize
    if needed > MAX_BYTES:
        raise refusal(
            name,
            f"{needed} bytes announced",
            f"at most {MAX_BYTES} are accepted: store it as int16 or float32",
        )
    if not compressed and stored < needed:
        raise refusal(
            name, f"{stored} bytes, but the header announces {needed}", "the file is truncated: copy it again"
        )
    if not compressed and stored > needed + _SLACK:
        raise refusal(
            name,
            f"{stored} bytes, but the header announces only {needed}",
            "the header does not fit: export it again",
        )
    if compressed and needed > _RATIO_FROM and needed > _MAX_RATIO * stored:
        raise refusal(
            name,
            f"{stored} compressed bytes announce {needed}",
            f"no scan shrinks more than {_MAX_RATIO}-fold: it is empty or made to exhaust memory",
        )


def stream_voxels(stream: BinaryIO, layout: VoxelLayout, name: str) -> Array:
    """Read all voxels as float32, scaled, and the stream to its end.

    Only the result and one chunk are in memory, never the raw bytes.

    Args:
        stream: At the start of the file (plain or decompressing).
        layout: A layout that passed ``check_shape`` and ``check_size``.
        name: Shown in errors.

    Returns:
        Array [X, Y, Z] in Fortran order.

    Raises:
        VolumeError: if the data end early, go on for too long, fail their checksum or hold NaN or infinity.
    """
    shape = check_shape(layout.shape, name)
    flat = np.empty(math.prod(shape), dtype=np.float32)
    try:
        broken = _fill(stream, layout, flat)
        trailing = len(stream.read(_SLACK + 1))
    except EOFError as error:
        raise refusal(
            name, "the data end before the header's size", "the file is truncated: copy it again"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise refusal(
            name, "the compressed data fail their checksum", "the file is damaged: copy it again"
        ) from error
    if trailing > _SLACK:
        raise refusal(
            name, "the data go on beyond the header's size", "the header does not fit: export it again"
        )
    if broken:
        raise refusal(
            name,
            f"{100 * broken / flat.size:.3g} % of the voxels are NaN, infinite or beyond float32",
            "mend the scan (or its scl_slope) where it was made: values are never guessed",
        )
    return flat.reshape(shape, order="F")


def _fill(stream: BinaryIO, layout: VoxelLayout, flat: Array) -> int:
    """Fill ``flat`` chunk by chunk; return how many values are not finite."""
    _skip(stream, layout.offset)
    scaled = layout.slope != 1.0 or layout.intercept != 0.0
    step = _CHUNK // layout.dtype.itemsize
    broken = 0
    for start in range(0, flat.size, step):
        part = flat[start : start + step]
        raw = stream.read(part.size * layout.dtype.itemsize)
        if len(raw) < part.size * layout.dtype.itemsize:
            raise EOFError
        values = np.frombuffer(raw, dtype=layout.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            part[:] = values * np.float64(layout.slope) + layout.intercept if scaled else values
        if scaled or layout.dtype.kind == "f":
            broken += part.size - int(np.count_nonzero(np.isfinite(part)))
    return broken


def _skip(stream: BinaryIO, count: int) -> None:
    """Read past ``count`` bytes."""
    while count > 0:
        got = len(stream.read(min(count, _CHUNK)))
        if got == 0:
            raise EOFError
        count -= got
