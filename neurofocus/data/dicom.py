"""One DICOM series becomes one volume; geometry from each slice's own position, never from a count.

SimpleITK's GDCM decodes the pixels. Everything else is checked here, because readers merge two series or
stretch the volume over missing slices without a word. Sources: DICOM PS3.3 C.7.6.2 (image plane module).
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.geometry import Affine, Array, flip_lps_ras
from neurofocus.data.itk import quiet
from neurofocus.data.voxels import MAX_BYTES, check_shape, refusal, shown_name

__all__ = ["is_dicom_file", "read_dicom"]

_MAX_FILES = 20_000
_ORIENTATION = "0020|0037"
_POSITION = "0020|0032"
_SPACING = "0028|0030"
_MODALITY = "0008|0060"


@dataclass(frozen=True)
class _Slice:
    """One file: where its first pixel lies (LPS mm), how its rows and columns run, its size."""

    path: str
    position: NDArray[np.float64]
    directions: NDArray[np.float64]
    spacing: tuple[float, float]
    size: tuple[int, int]
    modality: str


def is_dicom_file(path: Path) -> bool:
    """Say whether a file carries the DICOM preamble (PS3.10 section 7.1)."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def read_dicom(path: Path) -> tuple[Array, Affine, tuple[str, ...]]:
    """Read the one series of a folder, or the series to which one given file belongs.

    Returns:
        Array [X, Y, Z] in Fortran order, affine voxel to RAS+ mm [4, 4], and warnings.

    Raises:
        VolumeError: if there is no series or several, slices are missing or doubled, or the data are damaged.
    """
    name = shown_name(path)
    with quiet():
        return _read(path, name)


def _read(path: Path, name: str) -> tuple[Array, Affine, tuple[str, ...]]:
    """Choose, check, order and decode the slices."""
    files = _series_files(path, name)
    slices = [_read_slice(file, name) for file in files]
    if len(slices) == 1:
        raise refusal(
            name,
            "one DICOM slice (or a multi-frame file)",
            "give a folder with the slices, or convert with dcm2niix",
        )
    ordered, step = _ordered(slices, name)
    shape = check_shape((*ordered[0].size, len(ordered)), name)
    if math.prod(shape) * 4 > MAX_BYTES:
        raise refusal(name, f"{shape} voxels", f"at most {MAX_BYTES // 4} are accepted: check the folder")
    array = _pixels([item.path for item in ordered], shape, name)
    notes = (
        () if ordered[0].modality in ("MR", "") else (f"the DICOM modality is {ordered[0].modality}, not MR",)
    )
    return array, _affine(ordered[0], step), notes


def _series_files(path: Path, name: str) -> list[str]:
    """Choose the files of one series; several are refused with their sizes."""
    from SimpleITK import ImageSeriesReader

    folder = path if path.is_dir() else path.parent
    if sum(1 for _ in folder.iterdir()) > _MAX_FILES:
        raise refusal(name, f"more than {_MAX_FILES} files", "give the folder of one series")
    uids = ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    series = {uid: list(ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)) for uid in uids}
    if not series:
        raise refusal(
            name, "a folder without DICOM images", "give the folder that holds the slices of one series"
        )
    if path.is_file():
        chosen = [files for files in series.values() if path.name in map(_name_of, files)]
        if len(chosen) != 1:
            raise refusal(
                name, "no readable DICOM slice", "give the folder that holds the slices of one series"
            )
        return chosen[0]
    if len(series) > 1:
        counts = ", ".join(str(count) for count in sorted(map(len, series.values()), reverse=True))
        raise refusal(
            name,
            f"{len(series)} DICOM series in one folder ({counts} images)",
            "give one file of the wanted series, or a folder with that series alone",
        )
    return next(iter(series.values()))


def _name_of(file: str) -> str:
    """Return the last part of a path."""
    return Path(file).name


def _read_slice(file: str, name: str) -> _Slice:
    """Read one file's geometry without its pixels."""
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
        raise refusal(
            name,
            f"{shown_name(Path(file))} has no slice position, orientation or pixel spacing",
            "give the original slices of one series (no screenshots or reports), or convert with dcm2niix",
        ) from error
    size = reader.GetSize()
    if len(size) > 2 and size[2] > 1:
        raise refusal(name, "a multi-frame DICOM file", "convert it to .nii.gz with dcm2niix")
    if reader.GetNumberOfComponents() != 1:
        raise refusal(name, "colour DICOM images", "give the greyscale series")
    modality = reader.GetMetaData(_MODALITY).strip() if reader.HasMetaDataKey(_MODALITY) else ""
    return _Slice(file, position, directions, (across, down), (int(size[0]), int(size[1])), modality)


def _ordered(slices: list[_Slice], name: str) -> tuple[list[_Slice], NDArray[np.float64]]:
    """Sort slices along their normal and return the step between them (LPS mm).

    Raises:
        VolumeError: if slices differ in size or direction, lie on one place, or are missing.
    """
    first = slices[0]
    for item in slices:
        same = item.size == first.size and np.allclose(item.spacing, first.spacing, rtol=1e-3)
        if not same or not np.allclose(item.directions, first.directions, atol=1e-3):
            raise refusal(
                name, "slices of different size or direction (a localiser?)", "give one 3-D series alone"
            )
    normal = np.cross(first.directions[0], first.directions[1])
    ordered = sorted(slices, key=lambda item: float(item.position @ normal))
    gaps = np.diff([float(item.position @ normal) for item in ordered])
    usual = float(np.median(gaps))
    if usual < 0.01 or gaps.min() < 0.5 * usual:
        raise refusal(
            name, f"{len(slices)} slices, several at one position (a 4-D series?)", "give one 3-D volume"
        )
    if gaps.max() > 1.5 * usual:
        missing = int(np.round(gaps / usual - 1).sum())
        where = int(np.argmax(gaps)) + 1
        raise refusal(
            name,
            f"{missing} slice(s) missing, the first gap after slice {where} of {len(slices)}",
            "copy the whole series again",
        )
    step = (ordered[-1].position - ordered[0].position) / (len(ordered) - 1)
    return ordered, step


def _pixels(files: list[str], shape: tuple[int, int, int], name: str) -> Array:
    """Decode all slices as float32 [X, Y, Z]."""
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames(files)
    reader.SetOutputPixelType(sitk.sitkFloat32)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise refusal(
            name, "DICOM pixels that cannot be decoded", "the files are damaged: copy them again"
        ) from error
    array: Array = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    if array.shape != shape:
        raise refusal(name, f"{array.shape} voxels where {shape} were announced", "copy the files again")
    return array


def _affine(first: _Slice, step: NDArray[np.float64]) -> Affine:
    """Build voxel to RAS+ mm from the first slice and the step (PS3.3 equation C.7.6.2.1-1)."""
    affine = np.eye(4)
    affine[:3, 0] = first.directions[0] * first.spacing[0]
    affine[:3, 1] = first.directions[1] * first.spacing[1]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    return flip_lps_ras(affine)
