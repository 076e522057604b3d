"""What the model did with one clip, in terms that pictures need."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurofocus.data.video.augment import Crop
from neurofocus.data.video.source import FrameSource

__all__ = ["ExplainedClip"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ExplainedClip:
    """One clip and the model's look at it.

    Attributes:
        title: shown above the pictures.
        answers: the likeliest classes with their probabilities, best first.
        gflops: what the answer cost, 1e9 multiply-adds.
        notes: lines that every picture shows, such as SYNTHETIC.
        source: the opened clip.
        seconds: when each of its frames is shown [N]; None where nothing tells.
        crop: the part of a frame that the model sees.
        view_size: side of that part as the model sees it, pixels.
        glance: numbers of the frames that were glanced at [T].
        weights: of the T equal parts of the clip that they stand for [T]; None: they were not weighed.
        chosen: numbers of the frames that were looked at closely [F], increasing; none where a glance was enough.
        boxes: (x_c, y_c, height, width) of the patches in the model's view, pixels [F, 4].
    """

    title: str
    answers: tuple[tuple[str, float], ...]
    gflops: float
    notes: tuple[str, ...]
    source: FrameSource
    seconds: Floats | None
    crop: Crop
    view_size: int
    glance: Ints
    weights: Floats | None
    chosen: Ints
    boxes: Floats

    def corners(self, height: int, width: int) -> Floats:
        """Return the patches as (left, top, right, bottom) in a whole frame of this size, pixels [F, 4]."""
        x, y, tall, wide = self.boxes.T
        view = np.stack([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2], axis=-1)
        return self._placed(view, height, width)

    def view(self, height: int, width: int) -> Floats:
        """Return what the model sees as (left, top, right, bottom) in a whole frame of this size [4]."""
        whole = np.array([[0.0, 0.0, self.view_size, self.view_size]])
        return np.asarray(self._placed(whole, height, width)[0])

    def moment(self, frame: int) -> str:
        """Return when a frame is shown, for a person: its time, or its number where nothing tells."""
        if self.seconds is None:
            return f"frame {frame + 1}"
        minutes, seconds = divmod(round(float(self.seconds[frame]), 2), 60)
        return f"{int(minutes)}:{seconds:05.2f}" if minutes else f"{seconds:.2f} s"

    def _placed(self, corners: Floats, height: int, width: int) -> Floats:
        crop = self.crop
        scale = np.array([crop.width, crop.height] * 2) / self.view_size
        start = np.array([crop.left, crop.top] * 2)
        rows, columns = crop.frame_size
        return np.asarray(
            (corners * scale + start) * (np.array([width, height] * 2) / [columns, rows, columns, rows])
        )
