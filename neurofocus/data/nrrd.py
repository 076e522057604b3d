"""NRRD headers (teem's NRRD0001 to NRRD0005), parsed here so that sizes are known before data are touched.

Only attached data in raw or gzip encoding are accepted; that is what Slicer, ITK and ANTs write.
"""

import re
from typing import BinaryIO

import numpy as np

from neurofocus.data.geometry import Affine, flip_lps_ras
from neurofocus.data.voxels import VoxelLayout, refusal

__all__ = ["parse_nrrd"]

_MAX_HEADER = 2**18
_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(
        ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), "u8"
    ),
    "float": "f4",
    "double": "f8",
}
# World axes of the file -> signs into RAS+ (the file's x, y, z).
_SPACES = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (1, 1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1, 1, 1)),
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1, -1, 1)),
}


def parse_nrrd(stream: BinaryIO, name: str) -> tuple[VoxelLayout, bool]:
    """Read the header and leave the stream at the first data byte.

    Returns:
        The layout (its offset is 0: the stream stands there) and whether the data are gzip-compressed.

    Raises:
        VolumeError: if the header is missing, incomplete or of a kind that is not read.
    """
    fields = _fields(stream, name)
    for detached in ("data file", "datafile"):
        if detached in fields:
            raise refusal(
                name, "an NRRD header with its data in another file", "save it as one attached .nrrd file"
            )
    for skip in ("byte skip", "byteskip", "line skip", "lineskip"):
        if fields.get(skip, "0") != "0":
            raise refusal(name, f"an NRRD with {skip}", "save it again as a plain .nrrd file")
    encoding = fields.get("encoding", "").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise refusal(name, f"NRRD encoding {encoding or 'missing'!r}", "save it with encoding raw or gzip")
    shape = _sizes(fields, name)
    affine, warnings = _affine(fields, shape, name)
    layout = VoxelLayout(shape=shape, dtype=_dtype(fields, name), offset=0, affine=affine, warnings=warnings)
    return layout, encoding != "raw"


def _fields(stream: BinaryIO, name: str) -> dict[str, str]:
    """Read ``key: value`` lines up to the blank line."""
    first = stream.readline(64)
    if re.fullmatch(rb"NRRD000[1-5]\r?\n", first) is None:
        raise refusal(name, "no NRRD header", "give a real .nrrd file, or convert the scan to .nii.gz")
    fields: dict[str, str] = {}
    read = len(first)
    while read < _MAX_HEADER:
        line = stream.readline(_MAX_HEADER)
        read += len(line)
        text = line.decode("utf-8", errors="replace").strip()
        if not line.endswith(b"\n"):
            break
        if not text:
            return fields
        if not text.startswith("#") and ":=" not in text and ":" in text:
            key, value = text.split(":", 1)
            fields[key.strip().lower()] = value.strip()
    raise refusal(name, "an NRRD header without end", "the file is truncated or damaged: copy it again")


def _sizes(fields: dict[str, str], name: str) -> tuple[int, ...]:
    """Return the axis lengths, and check that they are as many as announced."""
    try:
        shape = tuple(int(size) for size in fields["sizes"].split())
        dimension = int(fields["dimension"])
    except (KeyError, ValueError) as error:
        raise refusal(name, "an NRRD header without sizes", "the file is damaged: save it again") from error
    if dimension != len(shape) or dimension > 16:
        raise refusal(
            name, f"NRRD dimension {dimension} but {len(shape)} sizes", "the file is damaged: save it again"
        )
    return shape


def _dtype(fields: dict[str, str], name: str) -> np.dtype[np.generic]:
    """Return the number type with its byte order."""
    kind = fields.get("type", "").lower()
    if kind not in _TYPES:
        raise refusal(name, f"NRRD type {kind or 'missing'!r}", "save it as short or float")
    order = ">" if fields.get("endian", "little").lower() == "big" else "<"
    return np.dtype(order + _TYPES[kind])


def _affine(fields: dict[str, str], shape: tuple[int, ...], name: str) -> tuple[Affine, tuple[str, ...]]:
    """Return voxel to RAS+ mm from space, directions and origin."""
    vectors = _vectors(fields.get("space directions", ""), name)
    if not vectors:
        return _guess(fields, shape, name)
    spatial = [vector for vector in vectors if vector is not None]
    if len(spatial) != 3 or any(len(vector) != 3 for vector in spatial) or None in vectors[:3]:
        # Only a 3-D scan can have an affine; other counts end as 2-D or 4-D in the shape check.
        return np.eye(4), ()
    affine = np.eye(4)
    affine[:3, :3] = np.array(spatial).T
    origins = _vectors(fields.get("space origin", "(0,0,0)"), name)
    origin = origins[0] if len(origins) == 1 else None
    if origin is None or len(origin) != 3:
        raise refusal(name, "a space origin that is not three numbers", "save it again with its orientation")
    affine[:3, 3] = origin
    signs = _SPACES.get(fields.get("space", "").lower())
    if signs is None:
        return flip_lps_ras(affine), ("no known space in the NRRD header: read as left-posterior-superior",)
    return np.diag([*map(float, signs), 1.0]) @ affine, ()


def _guess(fields: dict[str, str], shape: tuple[int, ...], name: str) -> tuple[Affine, tuple[str, ...]]:
    """Build an affine from spacings alone."""
    try:
        spacings = [float(text) for text in fields.get("spacings", "1 1 1").split()][:3]
    except ValueError as error:
        raise refusal(name, "spacings that are not numbers", "the file is damaged: save it again") from error
    if len(spacings) < 3 or len(shape) < 3:
        return np.eye(4), ()
    affine = np.diag([*spacings, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape[:3]) - 1) / 2)
    return affine, ("no orientation in the NRRD header: guessed as RAS, left and right may be swapped",)


def _vectors(text: str, name: str) -> list[list[float] | None]:
    """Parse ``(a,b,c) (d,e,f) none`` into vectors; ``none`` becomes None."""
    found: list[list[float] | None] = []
    for match in re.finditer(r"\(([^)]*)\)|none", text):
        if match[1] is None:
            found.append(None)
            continue
        try:
            found.append([float(number) for number in match[1].split(",")])
        except ValueError as error:
            raise refusal(
                name, f"the vector ({match[1][:60]})", "the file is damaged: save it again"
            ) from error
    return found
