"""The grid of frames in template space, and which frames of a case are taken."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.geometry import Affine
from neurofocus.schema.run import PrepareConfig

__all__ = ["FrameGrid", "frame_grid", "sample_frame_indices"]

# Centre of the bounding box of the brain in nilearn's MNI152 template (x -72..72, y -107..73, z -72..82 mm), to
# the nearest even mm: scans on the template's 1 or 2 mm grid then fall on pixels and are not interpolated.
_CENTRE_MM = (0.0, -18.0, 4.0)
# World axis and sign along frames, rows and columns. Neurological display: the subject's left is on the left.
_AXES: dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "coronal": ((1, 1), (2, -1), (0, 1)),
    "axial": ((2, 1), (1, -1), (0, 1)),
    "sagittal": ((0, 1), (2, -1), (1, -1)),
}


@dataclass(frozen=True)
class FrameGrid:
    """Where every pixel of every frame lies in template space.

    Attributes:
        num_frames: Frames along the axis.
        frame_size: Rows and columns of a frame.
        affine: (frame, row, column) index to template world mm [4, 4].
    """

    num_frames: int
    frame_size: int
    affine: Affine

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size (T, H, W) of a case on this grid."""
        return self.num_frames, self.frame_size, self.frame_size


def frame_grid(prepare: PrepareConfig, frame_size: int) -> FrameGrid:
    """Lay frames over template space.

    Coronal: frames back to front, rows top to bottom, columns left to right of the subject. Axial: frames
    bottom to top, rows front to back, columns left to right. Sagittal: frames left to right, rows top to
    bottom, columns front to back. Frames run from ``range_mm[0]`` to ``range_mm[1]`` (included if the
    spacing meets it) and are centred on the template brain's bounding box: pixel ``frame_size // 2`` of
    rows and columns is its centre.

    Args:
        prepare: Axis, range, slice spacing and pixel size in mm.
        frame_size: Rows and columns in pixels.
    """
    low, high = prepare.range_mm
    num_frames = int(np.floor((high - low) / prepare.slice_spacing_mm + 1e-6)) + 1
    along, rows, columns = _AXES[prepare.axis]
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    affine[along[0], 0] = along[1] * prepare.slice_spacing_mm
    affine[rows[0], 1] = rows[1] * prepare.pixel_mm
    affine[columns[0], 2] = columns[1] * prepare.pixel_mm
    origin = np.array(_CENTRE_MM)
    origin[along[0]] = low
    origin -= affine[:3, 1:3] @ np.full(2, frame_size // 2)
    affine[:3, 3] = origin
    return FrameGrid(num_frames=num_frames, frame_size=frame_size, affine=affine)


def sample_frame_indices(
    available: int, num_frames: int, rng: np.random.Generator | None
) -> NDArray[np.int64]:
    """Choose frames by segments: one from each of ``num_frames`` equal parts (as temporal segment networks do).

    Args:
        available: Frames at hand.
        num_frames: Frames wanted; if there are fewer, some are taken twice.
        rng: Draws one frame of each segment; None takes the middle one.

    Returns:
        Indices [num_frames], never decreasing, strictly increasing if ``available >= num_frames``.
    """
    if available < 1 or num_frames < 1:
        raise ValueError(f"cannot choose {num_frames} of {available} frames")
    edges = np.arange(num_frames + 1, dtype=np.int64) * available // num_frames
    low, high = edges[:-1], np.maximum(edges[1:], edges[:-1] + 1)
    if rng is None:
        return np.asarray((low + high - 1) // 2, dtype=np.int64)
    return rng.integers(low, high, dtype=np.int64)
