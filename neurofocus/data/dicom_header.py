"""What one DICOM file says about itself, without its pixels: place, direction, kind, compression."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.voxels import refusal, shown_name

__all__ = ["Slice", "describe_syntax", "is_dicom_file", "read_slice"]

_ORIENTATION = "0020|0037"
_POSITION = "0020|0032"
_SPACING = "0028|0030"
_MODALITY = "0008|0060"
_IMAGE_TYPE = "0008|0008"
_LOSSY = "0028|2110"
_META_BYTES = 4096
_SYNTAX_TAG = b"\x02\x00\x10\x00UI"
# PS3.6 annex A: names of the compressed transfer syntaxes; a longer identifier comes before its beginning.
_SYNTAXES = {
    "1.2.840.10008.1.2.1.99": "Deflated",
    "1.2.840.10008.1.2.4.20": "High-Throughput JPEG 2000",
    "1.2.840.10008.1.2.4.5": "JPEG",
    "1.2.840.10008.1.2.4.70": "JPEG Lossless",
    "1.2.840.10008.1.2.4.8": "JPEG-LS",
    "1.2.840.10008.1.2.4.9": "JPEG 2000 or JPIP",
    "1.2.840.10008.1.2.4.10": "MPEG video",
    "1.2.840.10008.1.2.5": "RLE",
}


@dataclass(frozen=True)
class Slice:
    """One file: where its first pixel lies (LPS mm), how its rows and columns run, its size, its kind."""

    path: str
    position: NDArray[np.float64]
    directions: NDArray[np.float64]
    spacing: tuple[float, float]
    size: tuple[int, int]
    modality: str
    localizer: bool
    lossy: bool


def is_dicom_file(path: Path) -> bool:
    """Say whether a file carries the DICOM preamble (PS3.10 section 7.1)."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def describe_syntax(path: Path) -> str | None:
    """Return the name of a compressed transfer syntax with its identifier; None if the file is not compressed.

    It stands in the file meta group, which is always explicit little endian (PS3.10 section 7.1).
    """
    with path.open("rb") as stream:
        meta = stream.read(_META_BYTES)
    start = meta.find(_SYNTAX_TAG)
    if start < 0:
        return None
    length = int.from_bytes(meta[start + 6 : start + 8], "little")
    uid = meta[start + 8 : start + 8 + length].decode("ascii", errors="replace").rstrip("\0 ")
    return next((f"{name} ({uid})" for known, name in _SYNTAXES.items() if uid.startswith(known)), None)


def read_slice(file: str, name: str) -> Slice:
    """Read one file's geometry without its pixels.

    Args:
        file: its path.
        name: of the scan, for messages.

    Raises:
        VolumeError: if it is no slice of a scan, or its compression is not known.
    """
    from SimpleITK import ImageFileReader

    reader = ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(file)
    try:
        reader.ReadImageInformation()
        position = np.array([float(text) for text in reader.GetMetaData(_POSITION).split("\\")])
        directions = np.array([float(text) for text in reader.GetMetaData(_ORIENTATION).split("\\")]).reshape(
            2, 3
        )
        down, across = (float(text) for text in reader.GetMetaData(_SPACING).split("\\"))
    except (RuntimeError, ValueError) as error:
        raise _no_slice(Path(file), name) from error
    size = reader.GetSize()
    if len(size) > 2 and size[2] > 1:
        raise refusal(name, "a multi-frame DICOM file", "convert it to .nii.gz with dcm2niix")
    if reader.GetNumberOfComponents() != 1:
        raise refusal(name, "colour DICOM images", "give the greyscale series")

    def text(tag: str) -> str:
        return str(reader.GetMetaData(tag)).strip() if reader.HasMetaDataKey(tag) else ""

    return Slice(
        path=file,
        position=position,
        directions=directions,
        spacing=(across, down),
        size=(int(size[0]), int(size[1])),
        modality=text(_MODALITY),
        localizer="LOCALIZER" in text(_IMAGE_TYPE).upper().split("\\"),
        lossy=text(_LOSSY) == "01",
    )


def _no_slice(file: Path, name: str) -> Exception:
    if is_dicom_file(file) and (syntax := describe_syntax(file)) is not None:
        return refusal(
            name,
            f"DICOM pixels compressed as {syntax}, which cannot be read here",
            "decompress them first, for example with gdcmconv --raw or dcmdjpeg, or convert with dcm2niix",
        )
    return refusal(
        name,
        f"{shown_name(file)} has no slice position, orientation or pixel spacing",
        "give the original slices of one series (no screenshots or reports), or convert with dcm2niix",
    )
