"""Geometry in one place: affines, orientation, world coordinates.

World coordinates are RAS+ millimetres everywhere: x grows to the subject's right, y to the front, z to the
top. An affine [4, 4] maps voxel indices (i, j, k) to them (NIfTI-1 standard, section "orientation").
"""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Affine",
    "Array",
    "affine_of_storage",
    "apply_affine",
    "canonical",
    "corners",
    "flip_lps_ras",
    "inverse",
    "largest_shift",
    "orientation_name",
    "problem_of_grid",
    "voxel_sizes",
]

Array = NDArray[np.float32]
Affine = NDArray[np.float64]

_MAX_EXTENT_MM = 1000.0
_MAX_ORIGIN_MM = 1e5
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def voxel_sizes(affine: Affine) -> Affine:
    """Return the three voxel edge lengths in mm."""
    return np.asarray(np.sqrt((affine[:3, :3] ** 2).sum(axis=0)), dtype=np.float64)


def apply_affine(affine: Affine, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map points [..., 3] by an affine [4, 4]."""
    return np.asarray(points @ affine[:3, :3].T + affine[:3, 3], dtype=np.float64)


def flip_lps_ras(affine: Affine) -> Affine:
    """Turn an affine into LPS+ world (DICOM, ITK, NRRD) into one into RAS+ world (NIfTI), or back."""
    return np.asarray(_LPS @ affine, dtype=np.float64)


def inverse(affine: Affine) -> Affine:
    """Return the inverse of an affine [4, 4]."""
    return np.asarray(np.linalg.inv(affine), dtype=np.float64)


def corners(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the voxel indices [8, 3] of a grid's corner voxels."""
    ends = [(0, size - 1) for size in shape]
    return np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float64)


def largest_shift(first: Affine, second: Affine, shape: tuple[int, ...]) -> float:
    """Return in mm how far two affines disagree at most over a grid (reached at a corner)."""
    points = corners(shape)
    return float(np.linalg.norm(apply_affine(first, points) - apply_affine(second, points), axis=1).max())


def problem_of_grid(affine: Affine, shape: tuple[int, ...]) -> str | None:
    """Say what makes a grid unusable, or None: not finite, singular, absurd voxels, extent or place."""
    if not np.isfinite(affine).all():
        return "an affine with NaN or infinite numbers"
    with np.errstate(over="ignore"):
        sizes = voxel_sizes(affine)
        direction = affine[:3, :3] / np.where(sizes > 0, sizes, 1.0)
        extents = sizes * np.array(shape[:3])
    if not np.isfinite(sizes).all() or sizes.min() < 0.01 or sizes.max() > 100.0:
        return f"voxels of {_millimetres(sizes)}"
    if extents.max() > _MAX_EXTENT_MM:
        return f"a field of view of {_millimetres(extents)}"
    if abs(np.linalg.det(direction)) < 0.05:
        return "an affine whose axes lie in one plane"
    if np.abs(affine[:3, 3]).max() > _MAX_ORIGIN_MM:
        return f"a first voxel at {_millimetres(affine[:3, 3])}"
    return None


def _millimetres(values: NDArray[np.float64]) -> str:
    """Write three lengths."""
    return " x ".join(f"{value:.4g}" for value in values) + " mm"


def canonical(array: Array, affine: Affine) -> tuple[Array, Affine]:
    """Reorder axes and signs so that voxel axes point closest to right, front and top.

    No voxel value is interpolated. The result lies in memory in Fortran order whatever came in, so that every
    axis permutation or flip of one scan gives bit-identical arrays and sums.

    Args:
        array: Voxels [X, Y, Z].
        affine: Voxel to RAS+ world mm [4, 4].
    """
    order, signs = _closest_axes(affine)
    moved = np.transpose(array, order)
    turned = affine.copy()
    turned[:, :3] = affine[:, list(order)]
    for axis, sign in enumerate(signs):
        if sign < 0:
            moved = np.flip(moved, axis)
            turned[:3, 3] += turned[:3, axis] * (moved.shape[axis] - 1)
            turned[:3, axis] *= -1
    return np.asfortranarray(moved), turned


def affine_of_storage(orientation: str, sizes: Affine, shape: tuple[int, ...]) -> Affine:
    """Return the affine of a volume of which only the storage is known; the world's origin is its centre.

    Args:
        orientation: Where each voxel axis runs to, for example ``ASL``; see ``orientation_name``.
        sizes: Voxel edges [3] in mm.
        shape: Voxels along each axis.
    """
    affine = np.zeros((4, 4), dtype=np.float64)
    affine[3, 3] = 1.0
    for axis, letter in enumerate(orientation):
        forward = letter in "RAS"
        world = ("RAS" if forward else "LPI").index(letter)
        affine[world, axis] = sizes[axis] if forward else -sizes[axis]
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape[:3], dtype=np.float64) - 1) / 2)
    return affine


def orientation_name(affine: Affine) -> str:
    """Return the three-letter orientation, for example ``LAS``: where each voxel axis points."""
    order, signs = _closest_axes(affine)
    letters = [""] * 3
    for world, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        letters[axis] = ("RAS" if sign > 0 else "LPI")[world]
    return "".join(letters)


def _closest_axes(affine: Affine) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return for each world axis the voxel axis closest to it, and its sign.

    The assignment with the largest total cosine wins, so that two voxel axes never claim one world axis,
    and storing the scan in another axis order cannot change the answer.
    """
    cosines = affine[:3, :3] / voxel_sizes(affine)
    orders = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    totals = [sum(abs(cosines[world, axis]) for world, axis in enumerate(order)) for order in orders]
    best = orders[int(np.argmax(np.round(totals, 6)))]
    signs = [1 if cosines[world, axis] >= 0 else -1 for world, axis in enumerate(best)]
    return best, (signs[0], signs[1], signs[2])
