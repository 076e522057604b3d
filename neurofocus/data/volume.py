"""Reading and writing volumes: untrusted files in, checked float32 arrays with world coordinates out."""

import gzip
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.dicom import is_dicom_file, read_dicom
from neurofocus.data.geometry import (
    Affine,
    Array,
    affine_of_storage,
    canonical,
    problem_of_grid,
    voxel_sizes,
)
from neurofocus.data.readers import FILE_READERS, pair_of, read_file
from neurofocus.data.voxels import refusal, shown_name
from neurofocus.files import write_bytes
from neurofocus.schema.cohort import ORIENTATIONS

__all__ = ["Volume", "read_volume", "stem_of", "to_canonical", "volume_files", "write_volume"]

_ACCEPTED = "accepted are .nii .nii.gz .mgz .nrrd, Analyze .hdr/.img and a DICOM folder"
_TABLE = "this is a table, not a scan: `neurofocus cohort check` reads tables; give the scans that it lists"
_ADVICE = {
    ".csv": _TABLE,
    ".tsv": _TABLE,
    ".zip": "unpack it first",
    ".nhdr": "save it as one attached .nrrd file",
    ".gz": "accepted is gzip only as .nii.gz: unpack or rename it",
}
_DICOM_SUFFIXES = (".dcm", ".ima")
_PACKED_SUFFIXES = (".nii.gz", ".mgz")
_SPACING_MM = (0.3, 4.0)
_EXTENT_MM = (100.0, 450.0)


@dataclass(frozen=True)
class Volume:
    """One scan on its own grid.

    Attributes:
        array: Voxels [X, Y, Z], float32, scaled as the file says, in Fortran order.
        affine: Voxel to RAS+ world mm [4, 4].
        stem: The file's name without its suffixes, for naming outputs.
        warnings: What the user should know about the file, one line each.
    """

    array: Array
    affine: Affine
    stem: str
    warnings: tuple[str, ...] = ()


def read_volume(path: Path, orientation: str = "header") -> Volume:
    """Read one 3-D scan with every check that an untrusted file needs.

    Args:
        path: .nii, .nii.gz, .mgz, .nrrd, either half of an Analyze or NIfTI .hdr/.img pair, a folder with
            one DICOM series, or one file of the wanted DICOM series.
        orientation: Where the voxel axes run to (``ASL``: to the front, the top and the left), for files whose
            header does not know; it overrides the header, of which only the voxel size is then believed.

    Returns:
        The scan on its own grid, not reoriented.

    Raises:
        VolumeError: in one line, if the file is missing, damaged, too large, not 3-D, not real-valued, not
            finite, constant, or has no usable geometry, or if the orientation is none.
    """
    name = shown_name(path)
    if orientation != "header" and orientation not in ORIENTATIONS:
        raise refusal(
            name, f"orientation {orientation!r}", "accepted are 'header' and three letters such as LAS or ASL"
        )
    try:
        suffix = _suffix_of(path, name)
        array, affine, warnings = read_dicom(path) if suffix == "dicom" else read_file(path, suffix, name)
    except PermissionError as error:
        raise refusal(name, "no permission to read it", "change its permissions or copy it") from error
    except OSError as error:
        raise refusal(name, f"cannot be read ({error.strerror})", "check the path and the disk") from error
    if orientation != "header":
        affine = affine_of_storage(orientation, voxel_sizes(affine), array.shape)
        # Whatever the header's reader remarked on its orientation is void.
        warnings = (f"stored as {orientation} by a rule, not by its header: left and right are unverified",)
    if problem := problem_of_grid(affine, array.shape):
        raise refusal(name, problem, "the geometry is damaged: export the scan again")
    low, high = float(array.min()), float(array.max())
    if not np.isfinite(low) or not np.isfinite(high):
        raise refusal(name, "voxels that are NaN or infinite", "mend the scan where it was made")
    if low == high:
        raise refusal(name, f"every voxel is {low:g}", "the scan is empty: export it again")
    return Volume(array, affine, stem_of(path), (*warnings, *_implausible(affine, array.shape)))


def to_canonical(volume: Volume) -> Volume:
    """Reorder axes so that they point closest to right, front and top; no value is interpolated."""
    array, affine = canonical(volume.array, volume.affine)
    return replace(volume, array=array, affine=affine)


def volume_files(path: Path) -> list[Path]:
    """List every file that decides what ``read_volume(path)`` returns, sorted by name."""
    if path.is_dir():
        return sorted(entry for entry in path.iterdir() if entry.is_file())
    suffix = path.suffix.lower()
    if suffix in (".hdr", ".img"):
        return [half for half in pair_of(path) if half.is_file()]
    if suffix in _DICOM_SUFFIXES or not suffix:
        return [path, *volume_files(path.parent)]
    return [path]


def write_volume(path: Path, array: NDArray[np.generic], affine: Affine, *, level: int = 6) -> None:
    """Write a NIfTI file atomically; the same input gives the same bytes.

    Booleans become uint8, floats become int16 with a scale (an error of at most 1/65000 of the range).

    Args:
        path: Ends in .nii or .nii.gz.
        array: Finite voxels [X, Y, Z].
        affine: Voxel to RAS+ world mm [4, 4].
        level: Of gzip; 3 takes half the time of 6 for a tenth more bytes.
    """
    import nibabel as nib

    stored = array.astype(np.uint8) if array.dtype == np.bool_ else array
    image = nib.Nifti1Image(stored, affine, dtype=np.int16 if stored.dtype.kind == "f" else stored.dtype)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    # A qform cannot hold shear: keep it only where it says the same as the sform.
    if not np.allclose(image.get_qform(), affine, atol=1e-3):
        image.set_qform(None, code=0)
    data = image.to_bytes()
    write_bytes(path, gzip.compress(data, level, mtime=0) if path.name.endswith(".gz") else data)


def _suffix_of(path: Path, name: str) -> str:
    """Return the accepted suffix, or ``dicom``; refuse what cannot be a scan before parsing it."""
    if path.is_dir():
        return "dicom"
    if not path.exists():
        raise refusal(name, "no such file", "check the path")
    if not path.is_file():
        raise refusal(name, "not a regular file", _ACCEPTED)
    if path.stat().st_size == 0:
        raise refusal(name, "an empty file", "copy it again")
    suffix = next((known for known in FILE_READERS if path.name.lower().endswith(known)), path.suffix.lower())
    if suffix in _DICOM_SUFFIXES or (not suffix and is_dicom_file(path)):
        return "dicom"
    if suffix not in FILE_READERS:
        raise refusal(name, f"{suffix or 'no suffix'} is no scan format", _ADVICE.get(suffix, _ACCEPTED))
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    if suffix in _PACKED_SUFFIXES and not packed:
        plain = {".nii.gz": ".nii", ".mgz": ".mgh"}[suffix]
        raise refusal(
            name, "not gzip-compressed although its name says so", f"copy it again, or name it {plain}"
        )
    if suffix not in _PACKED_SUFFIXES and packed:
        raise refusal(
            name, "gzip-compressed although its name does not say so", "name it .nii.gz or unpack it"
        )
    return suffix


def stem_of(path: Path) -> str:
    """Return the file name without the suffixes of a scan."""
    if path.is_dir():
        return path.resolve().name
    lower = path.name.lower()
    for suffix in (".nii.gz", *FILE_READERS, *_DICOM_SUFFIXES):
        if lower.endswith(suffix) and len(lower) > len(suffix):
            return path.name[: -len(suffix)]
    return path.name


def _implausible(affine: Affine, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Warn about voxel sizes and extents that no head scan has."""
    sizes = voxel_sizes(affine)
    extents = sizes * np.array(shape)
    found = []
    if sizes.min() < _SPACING_MM[0] or sizes.max() > _SPACING_MM[1]:
        text = " x ".join(f"{size:.3g}" for size in sizes)
        found.append(
            f"voxels of {text} mm are unusual for a head scan ({_SPACING_MM[0]:g} to {_SPACING_MM[1]:g} mm)"
        )
    if extents.min() < _EXTENT_MM[0] or extents.max() > _EXTENT_MM[1]:
        text = " x ".join(f"{extent:.0f}" for extent in extents)
        low, high = _EXTENT_MM
        found.append(f"a field of view of {text} mm is unusual for a head scan ({low:g} to {high:g} mm)")
    return tuple(found)
