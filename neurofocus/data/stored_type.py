"""How a scan's numbers are stored: what a header says, not what the voxels mean."""

import gzip
from pathlib import Path

from neurofocus.data.headers import HEADER_BYTES, is_plain_analyze, parse_analyze, parse_mgh, parse_nifti
from neurofocus.data.nrrd import parse_nrrd
from neurofocus.data.readers import FILE_READERS, pair_of
from neurofocus.data.voxels import VoxelLayout, shown_name

__all__ = ["file_format", "number_type"]


def file_format(path: Path) -> str:
    """Return the format by the file's name: ``nii.gz``, ``mgz``, ``nrrd``, ``analyze`` or ``dicom``."""
    lower = path.name.lower()
    suffix = next((known for known in FILE_READERS if lower.endswith(known)), "")
    if path.is_dir() or not suffix:
        return "dicom"
    return "analyze" if suffix in (".hdr", ".img") else suffix[1:]


def number_type(path: Path) -> str:
    """Return the number type in a readable scan's file, such as ``int16``; DICOM stores are all ``dicom``.

    Args:
        path: a scan that ``read_volume`` accepts.
    """
    kind = file_format(path)
    return "dicom" if kind == "dicom" else _layout(path, kind).dtype.newbyteorder("=").name


def _layout(path: Path, kind: str) -> VoxelLayout:
    name = shown_name(path)
    if kind == "nrrd":
        with path.open("rb") as stream:
            return parse_nrrd(stream, name)[0]
    if kind == "analyze":
        head = _head(pair_of(path)[0], packed=False)
        return parse_analyze(head, name) if is_plain_analyze(head) else parse_nifti(head, name, pair=True)
    head = _head(path, packed=kind in ("nii.gz", "mgz"))
    return parse_mgh(head, name) if kind in ("mgh", "mgz") else parse_nifti(head, name, pair=False)


def _head(path: Path, *, packed: bool) -> bytes:
    if packed:
        with gzip.open(path, "rb") as stream:
            return stream.read(HEADER_BYTES)
    with path.open("rb") as plain:
        return plain.read(HEADER_BYTES)
