"""A drifting-digit video as an MP4 file."""

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from neurofocus.errors import VideoError
from neurofocus.files import atomic_write

__all__ = ["WARNING", "encoder_name", "write_mp4"]

WARNING = "SYNTHETIC: videos composed from handwritten digits; no camera recorded them."
_RATE = 12  # frames a second
# Both settings are visually lossless; the H.264 one is also among the fastest to decode.
_OPTIONS = {
    "libx264": {"preset": "ultrafast", "crf": "17"},
    "mpeg4": {"qmin": "2", "qmax": "2"},
}


def encoder_name() -> str:
    """Return the encoder that this installation's PyAV has: H.264 if possible.

    Raises:
        VideoError: if it has neither.
    """
    for name in _OPTIONS:
        if name in av.codecs_available and _can_encode(name):
            return name
    raise VideoError(
        "PyAV has neither the encoder libx264 nor mpeg4; install PyAV from PyPI (pip install av)"
    )


def write_mp4(path: Path, frames: NDArray[np.uint8], *, encoder: str) -> None:
    """Write RGB frames [T, H, W, 3] of even sides to ``path`` atomically.

    Args:
        path: ends in .mp4.
        frames: in order; 12 are shown a second.
        encoder: see `encoder_name`.

    Raises:
        NeurofocusError: if the disk is full or not writable.
    """
    with atomic_write(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        container.metadata["title"] = WARNING
        stream = container.add_stream(encoder, rate=_RATE, options=_OPTIONS[encoder])
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"  # what every player and decoder knows
        stream.codec_context.thread_count = 1  # the same bytes on every machine
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def _can_encode(name: str) -> bool:
    try:
        return av.Codec(name, "w").is_encoder
    except ValueError:  # av's own error for a codec that only decodes
        return False
