"""One DICOM series becomes one volume; geometry from each slice's own position, never from a count.

SimpleITK's GDCM decodes the pixels. Everything else is checked here, because readers merge two series or
stretch the volume over missing slices without a word. Sources: DICOM PS3.3 C.7.6.2 (image plane module).
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.dicom_header import Slice, describe_syntax, is_dicom_file, read_slice
from neurofocus.data.geometry import Affine, Array, flip_lps_ras
from neurofocus.data.itk import quiet
from neurofocus.data.voxels import MAX_BYTES, check_shape, refusal, shown_name
from neurofocus.errors import VolumeError

__all__ = ["is_dicom_file", "read_dicom"]

_MAX_FILES = 20_000
_EVEN = 0.05


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
    slices, notes = _series(path, name)
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
    return array, _affine(ordered[0], step), (*notes, *_notes(ordered))


def _notes(ordered: list[Slice]) -> list[str]:
    """Return what the user should know about a series that can be read."""
    notes = []
    if ordered[0].modality not in ("MR", ""):
        notes.append(f"the DICOM modality is {ordered[0].modality}, not MR")
    if any(item.lossy for item in ordered):
        notes.append("the DICOM pixels went through lossy compression")
    normal = np.cross(ordered[0].directions[0], ordered[0].directions[1])
    gaps = np.diff([float(item.position @ normal) for item in ordered])
    if np.ptp(gaps) > 2 * _EVEN * float(np.median(gaps)):
        notes.append(
            f"slices lie unevenly, {gaps.min():.3g} to {gaps.max():.3g} mm apart: their mean is used"
        )
    return notes


def _series(path: Path, name: str) -> tuple[list[Slice], list[str]]:
    """Choose one series and read its slices; return them and notes. Several are refused, localisers set aside."""
    from SimpleITK import ImageSeriesReader

    folder = path if path.is_dir() else path.parent
    if sum(1 for _ in folder.iterdir()) > _MAX_FILES:
        raise refusal(name, f"more than {_MAX_FILES} files", "give the folder of one series")
    uids = ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    series = [list(ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)) for uid in uids]
    if not series:
        raise refusal(
            name, "a folder without DICOM images", "give the folder that holds the slices of one series"
        )
    if path.is_file():
        series = [files for files in series if path.name in map(_name_of, files)]
        if len(series) != 1:
            raise refusal(
                name, "no readable DICOM slice", "give the folder that holds the slices of one series"
            )
    aside = [files for files in series if len(series) > 1 and _is_localizer(files, name)]
    series = [files for files in series if files not in aside]
    if len(series) > 1:
        counts = ", ".join(str(count) for count in sorted(map(len, series), reverse=True))
        raise refusal(
            name,
            f"{len(series)} DICOM series in one folder ({counts} images)",
            "give one file of the wanted series, or a folder with that series alone",
        )
    images = ", ".join(str(len(files)) for files in aside)
    chosen = [read_slice(file, name) for files in series for file in files]
    if all(item.localizer for item in chosen):
        counts = images or str(len(chosen))
        raise refusal(name, f"only localisers ({counts} images)", "give the folder of the 3-D T1 series")
    return chosen, [f"a localiser beside the scan was set aside ({images} images)"] if aside else []


def _is_localizer(files: list[str], name: str) -> bool:
    """Say whether a series only shows where others lie: it is called so, or its slices cross."""
    try:
        slices = [read_slice(file, name) for file in files]
    except VolumeError:  # a screenshot, say: it is not set aside, so that the user hears of it
        return False
    first = slices[0].directions
    crossed = any(not np.allclose(item.directions, first, atol=0.1) for item in slices)
    return crossed or all(item.localizer for item in slices)


def _name_of(file: str) -> str:
    """Return the last part of a path."""
    return Path(file).name


def _ordered(slices: list[Slice], name: str) -> tuple[list[Slice], NDArray[np.float64]]:
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
        syntax = describe_syntax(Path(files[0]))
        raise refusal(
            name,
            "DICOM pixels that cannot be decoded" + (f", compressed as {syntax}" if syntax else ""),
            "the files are damaged: copy them again"
            + (", or decompress them with gdcmconv --raw" if syntax else ""),
        ) from error
    array: Array = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    if array.shape != shape:
        raise refusal(name, f"{array.shape} voxels where {shape} were announced", "copy the files again")
    return array


def _affine(first: Slice, step: NDArray[np.float64]) -> Affine:
    """Build voxel to RAS+ mm from the first slice and the step (PS3.3 equation C.7.6.2.1-1)."""
    affine = np.eye(4)
    affine[:3, 0] = first.directions[0] * first.spacing[0]
    affine[:3, 1] = first.directions[1] * first.spacing[1]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    return flip_lps_ras(affine)
