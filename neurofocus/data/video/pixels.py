"""A decoded frame becomes RGB: scaled by swscale while its colours are converted, then turned upright."""

from dataclasses import dataclass

import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from neurofocus.data.video.source import Frames

__all__ = ["Orientation", "Upright", "orientation_of"]


@dataclass(frozen=True)
class Orientation:
    """How stored rows and columns become seen ones: transposed first, then mirrored.

    Attributes:
        transpose: Rows become columns.
        flip_rows: Up becomes down, after transposing.
        flip_columns: Left becomes right, after transposing.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def apply(self, image: Frames) -> Frames:
        """Turn an image [h, w, 3] as stored into one as seen, without copying."""
        if self.transpose:
            image = image.transpose(1, 0, 2)
        return image[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


def orientation_of(frame: VideoFrame) -> Orientation:
    """Read the display matrix (ISO/IEC 14496-12, 8.5.2; 16.16 fixed point), to the nearest quarter turn.

    With its first two rows (a, b) and (c, d), a stored pixel (x, y) is seen at (a x + c y, b x + d y), up to a
    shift.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, SideData):
        return Orientation()
    a, b, _, c, d = (int(value) for value in np.frombuffer(memoryview(matrix), dtype=np.int32)[:5])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transpose=True, flip_rows=b < 0, flip_columns=c < 0)
    return Orientation(flip_rows=d < 0, flip_columns=a < 0)


class Upright:
    """Converts frames of one video; colour matrix and range are the frame's own, BT.601 where it names none.

    Shrinking and enlarging use swscale's bilinear filter, which widens when it shrinks, as Pillow's does. Alpha is
    dropped, grey is repeated, more than 8 bits are rounded.
    """

    def __init__(self, orientation: Orientation) -> None:
        self._orientation = orientation
        self._reformatter = VideoReformatter()

    def write(self, frame: VideoFrame, out: Frames) -> None:
        """Write the frame, scaled to the array's size and turned upright, into ``out`` [H, W, 3]."""
        height, width = out.shape[:2]
        if self._orientation.transpose:
            height, width = width, height
        # One thread: loader workers are parallel already, and two threads change no byte.
        rgb = self._reformatter.reformat(
            frame, width, height, "rgb24", interpolation=Interpolation.BILINEAR, threads=1
        )
        plane = rgb.planes[0]
        rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(-1, plane.line_size)[
            :height, : 3 * width
        ]
        out[...] = self._orientation.apply(rows.reshape(height, width, 3))
