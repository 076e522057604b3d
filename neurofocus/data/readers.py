"""One reader a file format: parse the header, check it against the file, then stream the voxels."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from neurofocus.data.geometry import Affine, Array, problem_of_grid
from neurofocus.data.headers import HEADER_BYTES, is_plain_analyze, parse_analyze, parse_mgh, parse_nifti
from neurofocus.data.nrrd import parse_nrrd
from neurofocus.data.voxels import VoxelLayout, check_shape, check_size, refusal, stream_voxels

__all__ = ["FILE_READERS", "pair_of", "read_file"]

Reading = tuple[Array, Affine, tuple[str, ...]]


def read_file(path: Path, suffix: str, name: str) -> Reading:
    """Read a volume file of a known suffix: array [X, Y, Z], affine and warnings.

    Raises:
        VolumeError: in one line, if anything is wrong with the file.
    """
    try:
        with np.errstate(all="ignore"):  # damaged headers overflow; what comes of it is refused by its value
            return FILE_READERS[suffix](path, name)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise refusal(
            name, "compressed data that cannot be unpacked", "the file is damaged: copy it again"
        ) from error


def pair_of(path: Path) -> tuple[Path, Path]:
    """Return header and image path of an Analyze or NIfTI pair, given either; suffix case is kept."""
    upper = path.suffix.isupper()
    return path.with_suffix(".HDR" if upper else ".hdr"), path.with_suffix(".IMG" if upper else ".img")


@contextmanager
def _opened(path: Path, *, packed: bool) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressing if it is packed."""
    if packed:
        with gzip.open(path, "rb") as stream:
            yield cast(BinaryIO, stream)
    else:
        with path.open("rb") as plain:
            yield plain


def _checked(layout: VoxelLayout, name: str, *, stored: int, packed: bool) -> VoxelLayout:
    """Refuse what a header announces before any voxel is read; drop trailing axes of length one."""
    layout = replace(layout, shape=check_shape(layout.shape, name))
    if problem := problem_of_grid(layout.affine, layout.shape):
        raise refusal(name, problem, "the geometry is damaged: export the scan again")
    check_size(layout, name, stored=stored, compressed=packed)
    return layout


def _whole(path: Path, layout: VoxelLayout, name: str, *, packed: bool) -> Reading:
    """Check a parsed layout and read the file from its start."""
    layout = _checked(layout, name, stored=path.stat().st_size, packed=packed)
    with _opened(path, packed=packed) as stream:
        return stream_voxels(stream, layout, name), layout.affine, layout.warnings


def _head(path: Path, *, packed: bool) -> bytes:
    """Return as many first bytes as a header can need."""
    with _opened(path, packed=packed) as stream:
        return stream.read(HEADER_BYTES)


def _read_nifti(path: Path, name: str) -> Reading:
    return _whole(path, parse_nifti(_head(path, packed=False), name, pair=False), name, packed=False)


def _read_packed_nifti(path: Path, name: str) -> Reading:
    return _whole(path, parse_nifti(_head(path, packed=True), name, pair=False), name, packed=True)


def _read_mgh(path: Path, name: str) -> Reading:
    packed = path.suffix.lower() == ".mgz"
    return _whole(path, parse_mgh(_head(path, packed=packed), name), name, packed=packed)


def _read_pair(path: Path, name: str) -> Reading:
    header, image = pair_of(path)
    for half in (header, image):
        if not half.is_file():
            raise refusal(
                name, f"its other half {half.name} is missing", "put both files of the pair in one folder"
            )
    head = _head(header, packed=False)
    layout = parse_analyze(head, name) if is_plain_analyze(head) else parse_nifti(head, name, pair=True)
    return _whole(image, layout, name, packed=False)


def _read_nrrd(path: Path, name: str) -> Reading:
    with path.open("rb") as stream:
        layout, packed = parse_nrrd(stream, name)
        layout = _checked(layout, name, stored=path.stat().st_size - stream.tell(), packed=packed)
        source = cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if packed else stream
        return stream_voxels(source, layout, name), layout.affine, layout.warnings


FILE_READERS = {
    ".nii": _read_nifti,
    ".nii.gz": _read_packed_nifti,
    ".mgz": _read_mgh,
    ".mgh": _read_mgh,
    ".nrrd": _read_nrrd,
    ".hdr": _read_pair,
    ".img": _read_pair,
}
