"""A part of a video as a clip of its own: a list may name seconds or frames of an untrimmed file."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.video.source import Frames, FrameSource, refusal

__all__ = ["FrameWindow", "frames_between"]


class FrameWindow(FrameSource):
    """Frames ``start`` to ``stop - 1`` of a source, numbered from 0; closing it closes the source.

    Args:
        source: the whole video.
        start: first frame.
        stop: the frame after the last one.

    Raises:
        VideoError: if the source does not have these frames.
    """

    def __init__(self, source: FrameSource, start: int, stop: int) -> None:
        if not 0 <= start < stop <= source.num_frames:
            raise refusal(
                source.path,
                f"frames {start} to {stop - 1} are wanted, it has {source.num_frames}",
                "correct the list, or copy the video again",
            )
        self._source, self._start = source, start
        self.path, self.frame_size = source.path, source.frame_size
        self.num_frames = stop - start

    @property
    def corrupt_frames(self) -> int:
        """How many different frames of the whole source were found damaged so far."""
        return self._source.corrupt_frames

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know about the source so far, one line each."""
        return self._source.warnings

    def timestamps(self, indices: Sequence[int]) -> NDArray[np.float64]:
        """Return when these frames are shown, in seconds after the window's first frame [n]."""
        seconds = self._source.timestamps([self._start, *(self._start + index for index in self._checked(indices))])
        return seconds[1:] - seconds[0]

    def unreadable(self) -> tuple[str, ...]:
        """Decode the whole source and name each frame that cannot be decoded."""
        return self._source.unreadable()

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    def _read_sorted(self, numbers: list[int], out: list[list[Frames]]) -> None:
        self._source._read_sorted([self._start + number for number in numbers], out)


def frames_between(source: FrameSource, start: float, end: float) -> tuple[int, int]:
    """Return the first frame and the one after the last that are shown from ``start`` to before ``end``, in seconds.

    Raises:
        VideoError: if there is none.
    """
    seconds = source.timestamps(range(source.num_frames))
    first, last = (int(np.searchsorted(seconds, moment)) for moment in (start, end))
    if first == last:
        raise refusal(
            source.path,
            f"no frame between {start:g} and {end:g} s, it ends at {seconds[-1]:g} s",
            "correct the list, or copy the video again",
        )
    return first, last
