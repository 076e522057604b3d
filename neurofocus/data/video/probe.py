"""Facts about a video for ``video check``: cheap by default, everything decoded on request."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.video.file import VideoFile
from neurofocus.data.video.reader import open_video
from neurofocus.data.video.source import FrameSource, FullSize
from neurofocus.data.video.window import ClipPart, part_of
from neurofocus.errors import VideoError

__all__ = ["VideoFacts", "probe"]

# Containers round time stamps to milliseconds: 33 and 34 ms are one frame rate.
_UNEVEN = 0.05


@dataclass(frozen=True)
class VideoFacts:
    """What is known about one video.

    Attributes:
        num_frames: Frames that can be asked for.
        height: Of a frame as seen, in pixels.
        width: Of a frame as seen, in pixels.
        codec: The decoder's name; ``frames`` for a folder of pictures.
        fps: Mean frames a second; NaN where nothing tells.
        duration: Seconds, the last frame included; NaN where nothing tells.
        even: Whether frames are equally far apart, to one part in 20; true where nothing tells.
        corrupt_frames: Damaged frames and packets that were met.
        unreadable: Names of frames that cannot be decoded, among those tried.
        thorough: Whether every frame was tried; otherwise the first and the last were.
        flaws: What is damaged or lacking, one line each.
        warnings: What the user should know, one line each.
    """

    num_frames: int
    height: int
    width: int
    codec: str
    fps: float
    duration: float
    even: bool
    corrupt_frames: int
    unreadable: tuple[str, ...]
    thorough: bool
    flaws: tuple[str, ...]
    warnings: tuple[str, ...]


def probe(
    path: Path,
    *,
    templates: Sequence[str] = (),
    fps: float | None = None,
    part: ClipPart | None = None,
    thorough: bool = False,
) -> VideoFacts:
    """Look at a video without training on it.

    Args:
        path: A video file, or a folder with one picture a frame.
        templates: For folders: how frames are likely to be named.
        fps: For folders: frames a second.
        part: Which part of it is the clip; facts are about the whole, but for the flaws and the last frame.
        thorough: Decode every frame; otherwise only the packets are read, and the first and last frame decoded.

    Raises:
        VideoError: if it cannot be opened at all, or does not have the part.
    """
    with open_video(path, templates=templates, fps=fps) as source:
        clip = source if part is None else part_of(source, part)
        unreadable = source.unreadable() if thorough else _try_last(clip)
        codec = source.codec if isinstance(source, VideoFile) else "frames"
        timed = isinstance(source, VideoFile) or fps is not None
        seconds = source.timestamps(range(source.num_frames)) if timed else np.empty(0)
        rate, duration, even = _clock(seconds)
        return VideoFacts(
            num_frames=source.num_frames,
            height=source.frame_size[0],
            width=source.frame_size[1],
            codec=codec,
            fps=rate,
            duration=duration,
            even=even,
            corrupt_frames=source.corrupt_frames,
            unreadable=unreadable,
            thorough=thorough,
            flaws=clip.flaws,
            warnings=clip.warnings,
        )


def _try_last(source: FrameSource) -> tuple[str, ...]:
    """Decode the last frame; return what is wrong with it."""
    try:
        source.read([source.num_frames - 1], size=FullSize())
    except VideoError as error:
        return (str(error),)
    return ()


def _clock(seconds: NDArray[np.float64]) -> tuple[float, float, bool]:
    """Return the mean frame rate, the duration and whether frames are evenly spaced."""
    if len(seconds) < 2:
        return math.nan, math.nan, True
    steps = np.diff(seconds)
    usual = float(np.median(steps))
    even = bool(np.all(np.abs(steps - usual) <= _UNEVEN * usual))
    return (len(seconds) - 1) / float(seconds[-1]), float(seconds[-1]) + usual, even
