"""Headers of NIfTI, Analyze and FreeSurfer files, parsed by nibabel and believed in nothing.

nibabel's own repairs (check=True) are off: it would turn a zero spacing into 1 mm and an unknown size into a
guess. Sources: NIfTI-1 and NIfTI-2 standards; Analyze 7.5 format description; FreeSurfer wiki "MghFormat".
"""

import math

import numpy as np
from nibabel.analyze import AnalyzeHeader
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.nifti1 import Nifti1Header, Nifti1PairHeader
from nibabel.nifti2 import Nifti2Header, Nifti2PairHeader
from nibabel.spatialimages import HeaderDataError
from nibabel.spm99analyze import Spm99AnalyzeHeader

from neurofocus.data.geometry import Affine, corners, largest_shift, voxel_sizes
from neurofocus.data.voxels import VoxelLayout, refusal

__all__ = ["HEADER_BYTES", "is_plain_analyze", "parse_analyze", "parse_mgh", "parse_nifti"]

HEADER_BYTES = 1024
_CONFLICT_MM = 1.0
_MAX_OFFSET = 2**26
# Analyze 7.5 orient byte -> for each file axis the world axis it runs along, with its sign; the file's first
# axis runs to the patient's left in transverse and coronal storage (radiological convention).
_ANALYZE_ORIENT: dict[int, tuple[tuple[int, int], ...]] = {
    0: ((0, -1), (1, 1), (2, 1)),
    1: ((0, -1), (2, 1), (1, 1)),
    2: ((1, 1), (2, 1), (0, -1)),
}
_ANALYZE_NAMES = {0: "transverse", 1: "coronal", 2: "sagittal"}


def parse_nifti(head: bytes, name: str, *, pair: bool) -> VoxelLayout:
    """Parse a NIfTI-1 or NIfTI-2 header.

    Args:
        head: The file's first bytes.
        name: Shown in errors.
        pair: True for a .hdr with its .img beside it, False for a single .nii.

    Raises:
        VolumeError: if this is no NIfTI header or it contradicts itself.
    """
    header = _nifti_header(head, name, pair=pair)
    dimensions = [int(size) for size in header["dim"]]
    if not 1 <= dimensions[0] <= 7:
        raise refusal(
            name, f"the header announces {dimensions[0]} axes", "the file is damaged: export it again"
        )
    shape = tuple(dimensions[1 : dimensions[0] + 1])
    offset = float(header["vox_offset"])
    if not (0 if pair else 348) <= offset <= _MAX_OFFSET:
        raise refusal(
            name, f"voxels announced to start at byte {offset}", "the file is damaged: export it again"
        )
    slope, intercept = _nifti_scaling(header, name)
    affine, warnings = _nifti_affine(header, shape, name)
    return VoxelLayout(
        shape=shape,
        dtype=_number_type(header, name),
        offset=int(offset),
        affine=affine,
        slope=slope,
        intercept=intercept,
        warnings=warnings,
    )


def is_plain_analyze(head: bytes) -> bool:
    """Say whether a .hdr file is Analyze 7.5 rather than NIfTI."""
    return head[344:348] != b"ni1\0" and head[4:12] != b"ni2\0\r\n\032\n"


def parse_analyze(head: bytes, name: str) -> VoxelLayout:
    """Parse an Analyze 7.5 header (SPM's origin and scale are used where present).

    The format stores no left and right: the rule is its own convention, radiological storage, with the
    ``orient`` byte choosing transverse, coronal or sagittal slices.
    """
    if len(head) < 348 or 348 not in (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")):
        raise refusal(
            name,
            "no Analyze or NIfTI header",
            "give a real scan; accepted: .nii .nii.gz .mgz .nrrd .hdr/.img DICOM",
        )
    header = Spm99AnalyzeHeader(head[:348], check=False)
    dimensions = [int(size) for size in header["dim"]]
    if not 1 <= dimensions[0] <= 7:
        raise refusal(
            name, f"the header announces {dimensions[0]} axes", "the file is damaged: export it again"
        )
    shape = tuple(dimensions[1 : dimensions[0] + 1])
    slope = header.get_slope_inter()[0] or 1.0
    orient = head[252]
    rule = orient if orient in _ANALYZE_ORIENT else 0
    note = (
        f"Analyze files do not say left from right: read as {_ANALYZE_NAMES[rule]} slices, radiological order"
    )
    return VoxelLayout(
        shape=shape,
        dtype=_number_type(header, name),
        offset=max(0, int(header["vox_offset"])) if math.isfinite(header["vox_offset"]) else 0,
        affine=_analyze_affine(header, rule),
        slope=float(slope),
        warnings=(note,),
    )


def parse_mgh(head: bytes, name: str) -> VoxelLayout:
    """Parse a FreeSurfer .mgh/.mgz header (big-endian, 284 bytes)."""
    if len(head) < 284 or int.from_bytes(head[:4], "big") & 0xFF != 1:
        raise refusal(
            name, "no FreeSurfer header", "give a file that mri_convert reads, or convert it to .nii.gz"
        )
    header = MGHHeader(head[:284], check=False)
    shape = tuple(int(size) for size in header["dims"])
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    warnings = (
        ()
        if header["goodRASFlag"]
        else ("the header stores no orientation: FreeSurfer's default (coronal) is used",)
    )
    return VoxelLayout(
        shape=shape,
        dtype=_number_type(header, name),
        offset=284,
        affine=np.asarray(header.get_affine(), dtype=np.float64),
        warnings=warnings,
    )


def _nifti_header(head: bytes, name: str, *, pair: bool) -> Nifti1Header:
    """Choose the header class by the magic bytes."""
    if not pair and head[344:347] == b"n+1":
        return Nifti1Header(head[:348], check=False)
    if pair and head[344:347] == b"ni1":
        return Nifti1PairHeader(head[:348], check=False)
    if head[4:7] == (b"ni2" if pair else b"n+2") and len(head) >= 540:
        return (Nifti2PairHeader if pair else Nifti2Header)(head[:540], check=False)
    if head[344:347] == b"ni1":
        raise refusal(
            name, "the header half of a NIfTI pair", "name it .hdr beside its .img, or convert it to .nii.gz"
        )
    seen = (
        "text, not a scan"
        if head[:64].isascii() and head[:64].decode("ascii").isprintable()
        else "no NIfTI header"
    )
    raise refusal(
        name, seen, "give a NIfTI file (.nii, .nii.gz), .mgz, .nrrd, .hdr/.img pair or DICOM folder"
    )


def _number_type(header: AnalyzeHeader | MGHHeader, name: str) -> np.dtype[np.generic]:
    """Return the file's number type with its byte order."""
    try:
        dtype = np.dtype(header.get_data_dtype())
    except (HeaderDataError, KeyError) as error:
        raise refusal(
            name, "an unknown number type in the header", "export it as int16 or float32"
        ) from error
    ordered: np.dtype[np.generic] = dtype.newbyteorder(header.endianness)
    return ordered


def _nifti_scaling(header: Nifti1Header, name: str) -> tuple[float, float]:
    """Return slope and intercept; a slope of 0 or NaN means unscaled (NIfTI-1 standard)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or math.isnan(slope):
        return 1.0, 0.0
    if not math.isfinite(slope) or not math.isfinite(intercept):
        raise refusal(
            name, f"scl_slope {slope} and scl_inter {intercept}", "export the scan again with finite scaling"
        )
    return slope, intercept


def _nifti_affine(header: Nifti1Header, shape: tuple[int, ...], name: str) -> tuple[Affine, tuple[str, ...]]:
    """Choose sform, else qform, else voxel sizes alone; name every conflict."""
    zooms = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    grid = (*shape, 1, 1, 1)[:3]
    qform = _qform(header)
    if int(header["sform_code"]) > 0:
        sform = np.asarray(header.get_sform(), dtype=np.float64)
        return sform, _conflicts(sform, qform, zooms, grid)
    if int(header["qform_code"]) > 0:
        if qform is None:
            raise refusal(name, "a qform with an impossible rotation and no sform", "export the scan again")
        return qform, ()
    affine = np.diag([-zooms[0], zooms[1], zooms[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (corners(grid)[-1] / 2)
    return affine, (
        "no orientation in the header (sform and qform code 0): guessed as LAS, left and right may be swapped",
    )


def _qform(header: Nifti1Header) -> Affine | None:
    """Return the qform affine if it is set and possible."""
    if int(header["qform_code"]) <= 0:
        return None
    try:
        return np.asarray(header.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError, np.linalg.LinAlgError):
        return None


def _conflicts(sform: Affine, qform: Affine | None, zooms: Affine, grid: tuple[int, ...]) -> tuple[str, ...]:
    """Say where qform or voxel sizes disagree with the sform, which is used."""
    if not np.isfinite(sform).all():
        return ()
    if qform is not None and np.isfinite(qform).all():
        shift = largest_shift(sform, qform, grid)
        if shift > _CONFLICT_MM:
            return (f"sform and qform disagree by up to {shift:.1f} mm: the sform is used",)
        return ()
    sizes = voxel_sizes(sform)
    if np.isfinite(zooms).all() and np.abs(sizes - np.abs(zooms)).max() > 0.05 * sizes.max():
        seen, said = (" x ".join(f"{size:.3g}" for size in values) for values in (sizes, np.abs(zooms)))
        return (f"the sform says voxels of {seen} mm, the header's voxel size {said} mm: the sform is used",)
    return ()


def _analyze_affine(header: Spm99AnalyzeHeader, rule: int) -> Affine:
    """Build the affine of an Analyze file; the origin is SPM's, else the grid's centre."""
    if rule == 0:
        return np.asarray(header.get_origin_affine(), dtype=np.float64)
    zooms = np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64))
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    for axis, (world, sign) in enumerate(_ANALYZE_ORIENT[rule]):
        affine[world, axis] = sign * zooms[axis]
    centre = (np.asarray(header["dim"][1:4], dtype=np.float64) - 1) / 2
    affine[:3, 3] = -affine[:3, :3] @ centre
    return affine
