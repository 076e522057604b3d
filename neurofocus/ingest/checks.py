"""Leaks that make a cross-validation worthless are found before it starts, and refused without exception."""

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage

from neurofocus.errors import CohortError

__all__ = ["refuse_leaks", "voxel_hash", "voxel_hashes"]

_SHOWN = 5  # damaged scans that an error names
_MAX_VOXELS = 2**30  # a 0.25 mm whole-head scan has 8e8


def voxel_hash(path: Path) -> str:
    """Return the SHA-256 of a scan's decoded voxel values, in the order of its closest RAS axes.

    The same voxels give the same hash whatever the compression, number type, scaling or storage order.

    Raises:
        CohortError: if the file cannot be decoded or is absurdly large.
    """
    try:
        image = nib.load(path)
        if not isinstance(image, SpatialImage):
            raise CohortError(f"{path}: not a volume; remove the file or its row")
        if np.prod([float(size) for size in image.shape]) > _MAX_VOXELS:
            raise CohortError(f"{path}: its header claims {image.shape} voxels; the file is damaged")
        canonical = nib.as_closest_canonical(image) if image.ndim >= 3 else image
        # Adding zero turns -0.0 into 0.0: equal values must give equal bytes.
        voxels = np.ascontiguousarray(canonical.dataobj, dtype=np.float64) + 0.0
    except (OSError, EOFError, ValueError, TypeError, zlib.error, ImageFileError) as error:
        raise CohortError(
            f"{path}: cannot be decoded ({' '.join(str(error).split())}); replace the file or remove its row"
        ) from None
    shape = tuple(size for size in voxels.shape if size > 1)
    digest = hashlib.sha256(repr(shape).encode())
    digest.update(voxels.data)
    return digest.hexdigest()


def voxel_hashes(paths: Iterable[str], jobs: int = 2) -> dict[str, str]:
    """Return ``voxel_hash`` of every path, computed by ``jobs`` threads (unpacking and hashing free the lock).

    Raises:
        CohortError: naming the scans that cannot be decoded.
    """
    names = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        found = dict(zip(names, pool.map(_hash_or_error, names), strict=True))
    errors = [str(answer) for answer in found.values() if isinstance(answer, CohortError)]
    if errors:
        more = f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        raise CohortError("; ".join(errors[:_SHOWN]) + more)
    return {name: answer for name, answer in found.items() if isinstance(answer, str)}


def _hash_or_error(name: str) -> str | CohortError:
    try:
        return voxel_hash(Path(name))
    except CohortError as error:
        return error


def refuse_leaks(table: pd.DataFrame, folds: pd.DataFrame, hashes: Mapping[str, str]) -> None:
    """Refuse a cohort or folds by which a test subject could be seen in training.

    Args:
        table: the cohort table.
        folds: the folds table (``folds.tsv``).
        hashes: voxel hash of every path of the table.

    Raises:
        CohortError: if one subject is in two folds or has two roles in one, one file is listed twice, or
            two subjects (or one subject in two folds) share identical voxels. Names participants and file
            names only.
    """
    _refuse_split_subjects(folds)
    _refuse_repeated_files(table)
    _refuse_identical_voxels(table, folds, hashes)


def _refuse_split_subjects(folds: pd.DataFrame) -> None:
    columns = ["fold", *(name for name in folds.columns if name.startswith("role_"))]
    # A later session that is not scored, or a scan of a site that is tested, has no part.
    used = folds[columns].mask(folds[columns] == "unused")
    counts = used.groupby(folds["participant_id"]).nunique()
    for column in columns:
        split = counts.index[counts[column] > 1]
        if len(split):
            seen = folds.loc[folds["participant_id"] == split[0], column].unique()
            raise CohortError(
                f"leak: participant {split[0]!r} is in more than one part of the folds "
                f"(column {column!r}: {', '.join(str(value) for value in seen)}; {len(split)} such participants); "
                "all scans of a person belong into one part, remove folds.tsv and run again with --fresh"
            )


def _refuse_repeated_files(table: pd.DataFrame) -> None:
    real = table["path"].map(lambda path: str(Path(path).resolve()))
    repeated = real[real.duplicated(keep=False)]
    if len(repeated):
        pair = table[real == repeated.iloc[0]]
        raise CohortError(
            f"leak: one file is listed twice: {_name_pair(pair)}; keep one row a file ({len(repeated)} such rows)"
        )


def _refuse_identical_voxels(table: pd.DataFrame, folds: pd.DataFrame, hashes: Mapping[str, str]) -> None:
    keys = ["participant_id", "session_id"]
    rows = table.assign(hash=table["path"].map(dict(hashes))).merge(
        folds[[*keys, "fold"]], on=keys, how="left"
    )
    if rows["hash"].isna().any() or rows["fold"].isna().any():
        raise ValueError("every row of the table needs a voxel hash and a fold")
    for _, group in rows.groupby("hash", sort=False):
        if group["participant_id"].nunique() > 1 or group["fold"].nunique() > 1:
            raise CohortError(
                f"leak: identical voxels under two names: {_name_pair(group)}; they are one scan, "
                "find out whose it is and remove the others"
            )


def _name_pair(rows: pd.DataFrame) -> str:
    """Return the first two rows as ``'sub-01' (a.nii) and 'sub-02' (b.nii)``."""
    names = [
        f"{person!r} ({Path(path).name})"
        for person, path in zip(rows["participant_id"], rows["path"], strict=True)
    ]
    return " and ".join(names[:2])
