"""A part of a video as a clip of its own: a list may name seconds or frames of an untrimmed file."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.video.source import Frames, FrameSource, refusal

__all__ = ["ClipPart", "FrameWindow", "part_of"]

_ADVICE = "correct the list, or copy the video again"


class ClipPart(NamedTuple):
    """Which part of a file is the clip, end excluded: frames from 0, or seconds after the first; NaN: not said."""

    start_frame: float
    end_frame: float
    start_seconds: float
    end_seconds: float


class FrameWindow(FrameSource):
    """Frames ``start`` to ``stop - 1`` of a source, numbered from 0; closing it closes the source.

    Attributes:
        lacking: as given.

    Args:
        source: the whole video.
        start: first frame.
        stop: the frame after the last one.
        lacking: what the list promises beyond them, or nothing.

    Raises:
        VideoError: if the source does not have these frames.
    """

    def __init__(self, source: FrameSource, start: int, stop: int, *, lacking: str = "") -> None:
        if not 0 <= start < stop <= source.num_frames:
            raise refusal(
                source.path,
                f"frames {start} to {stop - 1} are wanted, it has {source.num_frames}",
                _ADVICE,
            )
        self._source, self._start, self.lacking = source, start, lacking
        self.path, self.frame_size = source.path, source.frame_size
        self.num_frames = stop - start

    @property
    def corrupt_frames(self) -> int:
        """How many different frames of the whole source were found damaged so far."""
        return self._source.corrupt_frames

    @property
    def flaws(self) -> tuple[str, ...]:
        """What the part lacks, and what is damaged or lacking in the whole source, one line each."""
        return (*([self.lacking] if self.lacking else []), *self._source.flaws)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know about the part and the whole source so far, one line each."""
        return (*([self.lacking] if self.lacking else []), *self._source.warnings)

    def timestamps(self, indices: Sequence[int]) -> NDArray[np.float64]:
        """Return when these frames are shown, in seconds after the window's first frame [n]."""
        seconds = self._source.timestamps(
            [self._start, *(self._start + index for index in self._checked(indices))]
        )
        return np.asarray(seconds[1:] - seconds[0])

    def unreadable(self) -> tuple[str, ...]:
        """Decode the whole source and name each frame that cannot be decoded."""
        return self._source.unreadable()

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    def _read_sorted(self, numbers: list[int], out: list[list[Frames]]) -> None:
        self._source._read_sorted([self._start + number for number in numbers], out)


def part_of(source: FrameSource, part: ClipPart, *, strict: bool = False) -> FrameSource:
    """Return a part of a source as a clip, the source itself if none is named.

    Lists promise a frame or a second more than a file has; then the clip is what is there of its part, and says what
    it lacks. Of a part of which less than half is there, nobody knows whether it still shows what its label says.

    Args:
        source: the whole video; closing the clip closes it.
        part: frames or seconds.
        strict: refuse a part that is not there to its end.

    Raises:
        VideoError: if less than half of the part is there.
    """
    if not np.isnan(part.start_seconds):
        window = _seconds(source, part.start_seconds, part.end_seconds)
    elif not np.isnan(part.start_frame):
        window = _frames(source, int(part.start_frame), int(part.end_frame))
    else:
        return source
    if strict and window.lacking:
        raise refusal(source.path, window.lacking, _ADVICE)
    return window


def _frames(source: FrameSource, start: int, stop: int) -> FrameWindow:
    """Return frames ``start`` to ``stop - 1``, as far as they are there."""
    there = min(stop, source.num_frames)
    if there == stop or 2 * (there - start) < stop - start:
        return FrameWindow(source, start, stop)
    lacking = f"frames {start} to {stop - 1} are listed, it has {source.num_frames}"
    return FrameWindow(source, start, there, lacking=lacking)


def _seconds(source: FrameSource, start: float, end: float) -> FrameWindow:
    """Return the frames shown from ``start`` to before ``end``, in seconds, as far as they are there."""
    seconds = source.timestamps(range(source.num_frames))
    first, stop = (int(np.searchsorted(seconds, moment)) for moment in (start, end))
    shown = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
    ends = float(seconds[-1]) + shown
    if first == stop or 2 * (min(end, ends) - start) < end - start:
        raise refusal(
            source.path,
            f"{'no frame' if first == stop else 'less than half'} between {start:g} and {end:g} s is there, it ends at "
            f"{ends:.2f} s",
            _ADVICE,
        )
    # Times are rounded: a frame more or less is none that is missing.
    short = end - ends > shown
    lacking = f"{start:g} to {end:g} s are listed, it ends at {ends:.2f} s" if short else ""
    return FrameWindow(source, first, stop, lacking=lacking)
