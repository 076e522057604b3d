"""From the frame grid back to the scan: saliency on the scan's own voxels, boxes in scan millimetres."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.frames import FrameGrid
from neurofocus.data.geometry import apply_affine, corners

__all__ = ["FocusBox", "axis_aligned", "frame_to_world", "sample_plane", "to_scan_grid", "world_bounds"]


@dataclass(frozen=True)
class FocusBox:
    """One focus box in world millimetres (RAS+).

    Attributes:
        center: [3].
        corners: [4, 3], in order around the box, on the outer edges of its pixels.
    """

    center: NDArray[np.float64]
    corners: NDArray[np.float64]


def to_scan_grid(
    saliency: NDArray[np.float32],
    grid: FrameGrid,
    world_to_template: NDArray[np.float64],
    scan_shape: Sequence[int],
    scan_affine: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Resample frame-grid saliency onto the scan's own voxels, trilinearly.

    Only the part of the scan that the saliency reaches is computed, and no coordinate array is built: memory
    is the result plus one block of its size at most.

    Args:
        saliency: [T, H, W] on ``grid``.
        grid: its affine takes (frame, row, column) to template millimetres.
        world_to_template: [4, 4] scan world mm -> template world mm.
        scan_shape: (X, Y, Z).
        scan_affine: [4, 4] voxel -> scan world mm.

    Returns:
        float32 [X, Y, Z], 0 where no frame lies.
    """
    voxel_to_grid = _inverse(grid.affine) @ world_to_template @ scan_affine
    shape = (int(scan_shape[0]), int(scan_shape[1]), int(scan_shape[2]))
    return _resample(np.asarray(saliency, dtype=np.float32), voxel_to_grid, shape)


def axis_aligned(
    array: NDArray[np.float32], affine: NDArray[np.float64], spacing_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Resample a volume to an isotropic grid along the world axes (RAS+) that holds all of it.

    Args:
        array: [X, Y, Z].
        affine: [4, 4] voxel -> world mm.
        spacing_mm: of the new grid.

    Returns:
        The resampled array and its affine [4, 4] (diagonal, plus the origin).
    """
    low, high = world_bounds(array.shape, affine)
    shape = np.ceil((high - low) / spacing_mm - 1e-6).astype(int) + 1
    target = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    target[:3, 3] = low
    source = _inverse(affine) @ target
    return _resample(array, source, (int(shape[0]), int(shape[1]), int(shape[2]))), target


def world_bounds(
    shape: Sequence[int], affine: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the smallest and largest world mm [3] that the voxel centres of a grid reach."""
    reached = apply_affine(affine, corners(tuple(shape)))
    return reached.min(axis=0), reached.max(axis=0)


def sample_plane(
    array: NDArray[np.float32],
    affine: NDArray[np.float64],
    plane: tuple[int, float, float],
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float32]:
    """Return a world-aligned plane of a volume, trilinearly, 0 outside.

    Args:
        array: [X, Y, Z].
        affine: [4, 4] voxel -> world mm.
        plane: (world axis it is perpendicular to, position along it in mm, pixel size in mm).
        bounds: world mm (low [3], high [3]) of the plane's extent.

    Returns:
        [U, V]: the two other world axes, in their order, both increasing.
    """
    from scipy.ndimage import map_coordinates

    axis, position, spacing = plane
    ticks = [np.arange(low, high + spacing / 2, spacing) for low, high in zip(*bounds, strict=True)]
    ticks[axis] = np.array([position])
    world = np.stack([part.ravel() for part in np.meshgrid(*ticks, indexing="ij")], axis=1)
    index = apply_affine(_inverse(affine), world).T
    values = map_coordinates(array, index, order=1, mode="grid-constant", cval=0.0)
    shape = [len(part) for other, part in enumerate(ticks) if other != axis]
    return np.asarray(values, dtype=np.float32).reshape(shape)


def frame_to_world(
    frames: NDArray[np.int64],
    boxes: NDArray[np.float64],
    grid: FrameGrid,
    world_to_template: NDArray[np.float64] | None = None,
) -> tuple[FocusBox, ...]:
    """Return focus boxes in world millimetres.

    Args:
        frames: [F] positions on the grid.
        boxes: [F, 4] (x_c, y_c, height, width) in pixels of the frame; (0, 0) is the frame's outer corner, so
            the centre of pixel (row i, column j) is at (j + 0.5, i + 0.5).
        grid: the frame grid.
        world_to_template: [4, 4] scan world mm -> template world mm; none: answer in template millimetres.
    """
    to_world = grid.affine if world_to_template is None else _inverse(world_to_template) @ grid.affine
    found = []
    for frame, (x, y, height, width) in zip(frames, boxes, strict=True):
        rows = y - 0.5 + height * np.array([0.0, -0.5, -0.5, 0.5, 0.5])
        cols = x - 0.5 + width * np.array([0.0, -0.5, 0.5, 0.5, -0.5])
        index = np.stack([np.full(5, float(frame)), rows, cols], axis=1)
        world = apply_affine(to_world, index)
        found.append(FocusBox(world[0], world[1:]))
    return tuple(found)


def _resample(
    source: NDArray[np.float32], target_to_source: NDArray[np.float64], shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Trilinear resampling of the part of the target that the non-zero source reaches."""
    from scipy.ndimage import affine_transform

    result = np.zeros(shape, dtype=np.float32)
    bounds = _nonzero_bounds(source)
    if bounds is None:
        return result
    low, high = bounds
    # One voxel of margin on each side: trilinear weights reach that far.
    ends = corners(tuple(high - low + 3)) + low - 1
    reached = apply_affine(_inverse(target_to_source), ends)
    start = np.clip(np.floor(reached.min(axis=0)).astype(int), 0, shape)
    stop = np.clip(np.ceil(reached.max(axis=0)).astype(int) + 1, start, shape)
    if np.any(stop == start):
        return result
    matrix = target_to_source[:3, :3]
    block = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    affine_transform(
        source,
        matrix,
        offset=target_to_source[:3, 3] + matrix @ start,
        output_shape=tuple(int(n) for n in stop - start),
        output=result[block],
        order=1,
        mode="grid-constant",
        cval=0.0,
    )
    return result


def _nonzero_bounds(array: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return the first and last index with a non-zero value along each axis, or None if there is none."""
    low, high = [], []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        found = np.flatnonzero(np.any(array != 0, axis=others))
        if found.size == 0:
            return None
        low.append(found[0])
        high.append(found[-1])
    return np.array(low), np.array(high)


def _inverse(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(affine), dtype=np.float64)
