"""Miniature OASIS downloads: names, depths, headers and table columns as delivered, volumes of a few voxels."""

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.analyze import AnalyzeHeader, AnalyzeImage

OASIS1_HEADER = "ID|M/F|Hand|Age|Educ|SES|MMSE|CDR|eTIV|nWBV|ASF|Delay"
OASIS2_HEADER = "Subject ID|MRI ID|Group|Visit|MR Delay|M/F|Hand|Age|EDUC|SES|MMSE|CDR|eTIV|nWBV|ASF"


def put_table(path: Path, *lines: str, sep: str = ",", ends: str = "\n") -> Path:
    """Write lines of cells divided by ``|``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(sep.join(line.split("|")) + ends for line in lines).encode())
    return path


def put_analyze(path: Path, shape: tuple[int, int, int], zooms: tuple[float, float, float]) -> Path:
    """Write a big-endian Analyze pair with a trailing axis of length one, as OASIS does; path ends in .img."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.arange(np.prod(shape), dtype=np.int16).reshape(*shape, 1)
    header = AnalyzeHeader(endianness=">")
    header.set_data_dtype(np.int16)
    image = AnalyzeImage(values, None, header)
    image.header.set_zooms((*zooms, 1.0))
    image.to_filename(path)
    return path


def put_session(folder: Path, *, average: int = 4, runs: Sequence[int] = (1, 2)) -> None:
    """Write what OASIS-1 holds of one session; the folder's name is the session."""
    name = folder.name
    for run in runs:
        put_analyze(folder / "RAW" / f"{name}_mpr-{run}_anon.img", (16, 16, 8), (16.0, 16.0, 20.0))
    processed = folder / "PROCESSED" / "MPRAGE"
    if average:
        start = f"{name}_mpr_n{average}_anon"
        put_analyze(processed / "SUBJ_111" / f"{start}_sbj_111.img", (16, 16, 10), (16.0, 16.0, 16.0))
        for kind in ("gfc", "masked_gfc"):
            put_analyze(
                processed / "T88_111" / f"{start}_111_t88_{kind}.img", (11, 13, 11), (16.0, 16.0, 16.0)
            )
        put_analyze(
            folder / "FSL_SEG" / f"{start}_111_t88_masked_gfc_fseg.img", (11, 13, 11), (16.0, 16.0, 16.0)
        )
        (processed / "SUBJ_111" / f"{start}_sbj_111_cor_110.gif").write_bytes(b"GIF89a")
    (folder / f"{name}.txt").write_text(f"SESSION ID: {name}\n")


def put_nifti(path: Path, *, codes: int = 1, shape: tuple[int, int, int] = (16, 16, 8)) -> Path:
    """Write a small NIfTI file (.nii, .nii.gz or the .img of a pair) whose header says its orientation or not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = nib.Nifti1Pair if path.suffix == ".img" else nib.Nifti1Image
    image = kind(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), np.diag([16.0, 16.0, 20.0, 1.0]))
    image.set_sform(image.affine, code=codes)
    image.set_qform(image.affine, code=codes)
    image.to_filename(path)
    return path
