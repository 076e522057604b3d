"""Frames become an MP4 file that every player shows."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from neurofocus.errors import VideoError
from neurofocus.files import atomic_write

__all__ = ["movie_encoder", "write_movie"]

# Both settings are visually lossless; the H.264 one is also among the fastest to decode.
_OPTIONS = {
    "libx264": {"preset": "ultrafast", "crf": "17"},
    "mpeg4": {"qmin": "2", "qmax": "2"},
}


def movie_encoder() -> str:
    """Return the encoder that this installation's PyAV has: H.264 if possible, else MPEG-4.

    Raises:
        VideoError: if it has neither.
    """
    for name in _OPTIONS:
        if name in av.codecs_available and _can_encode(name):
            return name
    raise VideoError(
        "PyAV has neither the encoder libx264 nor mpeg4; install PyAV from PyPI (pip install av)"
    )


def write_movie(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    *,
    fps: Fraction | int,
    title: str = "",
    encoder: str | None = None,
) -> None:
    """Write RGB frames [H, W, 3] to ``path`` atomically; one frame is in memory at a time.

    Args:
        path: ends in .mp4.
        frames: at least one, all of one size with even sides, in order.
        fps: frames shown a second.
        title: kept in the file.
        encoder: see `movie_encoder`; none: found here.

    Raises:
        NeurofocusError: if the disk is full or not writable.
        ValueError: if there is no frame.
    """
    name = encoder or movie_encoder()
    with atomic_write(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        if title:
            container.metadata["title"] = title
        stream = container.add_stream(name, rate=fps, options=_OPTIONS[name])
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt = "yuv420p"  # what every player and decoder knows
        stream.codec_context.thread_count = 1  # the same bytes on every machine
        count = 0
        for count, frame in enumerate(frames, start=1):
            if count == 1:
                stream.height, stream.width = frame.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        if not count:
            raise ValueError("a movie needs a frame")
        container.mux(stream.encode(None))


def _can_encode(name: str) -> bool:
    try:
        return av.Codec(name, "w").is_encoder
    except ValueError:  # av's own error for a codec that only decodes
        return False
