"""Which scans are fine and large enough, by their headers alone: slices, voxel edges, field of view."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, SpatialImage

from neurofocus.schema.cohort import SeriesRule

if TYPE_CHECKING:
    import SimpleITK as sitk

__all__ = ["Geometry", "read_geometry", "unusable_geometry"]

_THREADS = 8  # they wait for the disk; a header takes no computing
_NIBABEL = (".nii", ".nii.gz", ".hdr", ".img", ".mgz", ".mgh")
_MILLIMETRES = {"meter": 1000.0, "micron": 0.001}
_SPACING_BETWEEN_SLICES = "0018|0088"
_SLICE_THICKNESS = "0018|0050"
_TOLERANCE = 1e-3  # 1.2000001 mm is not longer than 1.2 mm


@dataclass(frozen=True)
class Geometry:
    """Size of a scan.

    Attributes:
        shape: voxels along the three axes, as stored.
        voxel_mm: voxel edges along the same axes, mm.
    """

    shape: tuple[int, int, int]
    voxel_mm: tuple[float, float, float]

    @property
    def slices(self) -> int:
        """Number of slices along the axis with the longest voxel edge (the fewest if several are as long)."""
        longest = max(self.voxel_mm) * (1 - _TOLERANCE)
        return min(size for size, edge in zip(self.shape, self.voxel_mm, strict=True) if edge >= longest)

    @property
    def extent_mm(self) -> float:
        """Shortest edge of the field of view, mm."""
        return min(size * edge for size, edge in zip(self.shape, self.voxel_mm, strict=True))


def unusable_geometry(paths: Sequence[str], rule: SeriesRule) -> list[str]:
    """Return why each scan is left out by its geometry, "" if it may be used.

    Headers are read only if the rule sets a limit; one that cannot be read is a reason too.

    Args:
        paths: files, or folders of DICOM series.
        rule: of the cohort definition.
    """
    if not (rule.min_slices or rule.max_voxel_mm or rule.min_extent_mm):
        return [""] * len(paths)
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda path: _reason(read_geometry(Path(path)), rule), paths))


def read_geometry(path: Path) -> Geometry | None:
    """Return a scan's size from its header; None if that cannot be read or makes no sense.

    For a DICOM folder: as many slices as files, and the rest from the first of them.
    """
    try:
        found = _nibabel(path) if path.name.lower().endswith(_NIBABEL) else _simpleitk(path)
    except (OSError, EOFError, ValueError, RuntimeError, ImageFileError, HeaderDataError):
        return None
    sound = all(size >= 1 for size in found.shape) and all(
        np.isfinite(edge) and edge > 0 for edge in found.voxel_mm
    )
    return found if sound else None


def _reason(geometry: Geometry | None, rule: SeriesRule) -> str:
    if geometry is None:
        return "header cannot be read"
    if geometry.slices < rule.min_slices:
        return f"fewer than {rule.min_slices} slices"
    if rule.max_voxel_mm and max(geometry.voxel_mm) > rule.max_voxel_mm * (1 + _TOLERANCE):
        return f"voxels longer than {rule.max_voxel_mm:g} mm"
    if geometry.extent_mm < rule.min_extent_mm * (1 - _TOLERANCE):
        return f"field of view below {rule.min_extent_mm:g} mm"
    return ""


def _nibabel(path: Path) -> Geometry:
    image = nib.load(path)
    if not isinstance(image, SpatialImage) or len(image.shape) < 3:
        raise ValueError("not a volume")
    header = image.header
    unit = header.get_xyzt_units()[0] if hasattr(header, "get_xyzt_units") else "mm"
    factor = _MILLIMETRES.get(unit, 1.0)
    shape = [int(size) for size in image.shape[:3]]
    edges = [abs(float(edge)) * factor for edge in header.get_zooms()[:3]]
    return Geometry((shape[0], shape[1], shape[2]), (edges[0], edges[1], edges[2]))


def _simpleitk(path: Path) -> Geometry:
    """Read NRRD and other files by SimpleITK, and a DICOM folder by its first file."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    count = 1
    if path.is_dir():
        files = sorted(entry.name for entry in os.scandir(path) if not entry.name.startswith("."))
        images = [name for name in files if name.lower().endswith(".dcm")] or files
        count = len(images)
        reader.SetImageIO("GDCMImageIO")
        path = path / next(iter(images), "")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size, spacing = reader.GetSize(), reader.GetSpacing()
    if len(size) < 3:
        raise ValueError("not a volume")
    # A file of several frames holds all slices; GDCM knows the distance of single slices less well than their tags.
    slices, depth = (size[2], spacing[2]) if size[2] > 1 else (count, _slice_mm(reader) or spacing[2])
    return Geometry((size[0], size[1], slices), (spacing[0], spacing[1], abs(depth)))


def _slice_mm(reader: "sitk.ImageFileReader") -> float:
    """Return the distance of neighbouring slices by the DICOM tags; 0 if they have none."""
    for tag in (_SPACING_BETWEEN_SLICES, _SLICE_THICKNESS):
        if reader.HasMetaDataKey(tag):
            value = abs(float(reader.GetMetaData(tag)))
            if value > 0:
                return value
    return 0.0
