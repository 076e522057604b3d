"""From a scan's grid to the frame grid in one linear interpolation."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from neurofocus.data.frames import FrameGrid
from neurofocus.data.geometry import Affine, Array, apply_affine, inverse

__all__ = ["coverage", "frames_to_voxels", "inside", "on_frames", "resample"]

Beyond = Literal["grid-constant", "nearest"]


def resample(array: Array, matrix: Affine, shape: tuple[int, ...], beyond: Beyond = "grid-constant") -> Array:
    """Interpolate an array [X, Y, Z] linearly on another grid.

    Args:
        array: Voxels.
        matrix: Index of the new grid to index of ``array`` [4, 4].
        shape: Size of the new grid.
        beyond: Outside the array: 0 (``grid-constant``), or its nearest voxel.
    """
    found = ndimage.affine_transform(
        array,
        matrix[:3, :3],
        offset=matrix[:3, 3],
        output_shape=shape,
        output=np.float32,
        order=1,
        mode=beyond,
    )
    return np.asarray(found, dtype=np.float32)


def frames_to_voxels(grid: FrameGrid, affine: Affine, world_to_template: Affine) -> Affine:
    """Return the affine [4, 4] from (frame, row, column) to a scan's voxel indices."""
    return inverse(world_to_template @ affine) @ grid.affine


def on_frames(array: Array, affine: Affine, grid: FrameGrid) -> Array:
    """Interpolate an array whose affine leads to template mm at every pixel [T, H, W]."""
    return resample(array, inverse(affine) @ grid.affine, grid.shape)


def inside(matrix: Affine, shape: tuple[int, ...], wanted: tuple[int, ...]) -> NDArray[np.bool_]:
    """Say which points of a grid of size ``wanted`` lie inside a scan's field of view.

    Args:
        matrix: Index of the grid to voxel index of the scan [4, 4].
        shape: The scan's size.
        wanted: The grid's size.
    """
    found = np.ones(wanted, dtype=np.bool_)
    index = [np.arange(size, dtype=np.float64) for size in found.shape]
    for axis, size in enumerate(shape):
        row = matrix[axis]
        position = row[0] * index[0][:, None, None] + row[1] * index[1][:, None] + row[2] * index[2] + row[3]
        found &= (position >= -0.5) & (position <= size - 0.5)
    return found


def coverage(
    mask: NDArray[np.bool_], mask_affine: Affine, scan_affine: Affine, shape: tuple[int, ...]
) -> float:
    """Return the share of a template mask that a scan's field of view holds (every fourth voxel is asked).

    Args:
        mask: Template brain [X, Y, Z].
        mask_affine: Its voxels to template mm.
        scan_affine: Scan voxels to template mm.
        shape: The scan's grid.
    """
    points = np.argwhere(mask[::4, ::4, ::4]).astype(np.float64) * 4.0
    voxels = apply_affine(inverse(scan_affine) @ mask_affine, points)
    held = ((voxels >= -0.5) & (voxels <= np.array(shape) - 0.5)).all(axis=1)
    return float(held.mean())
