"""Videos and folders of frames for tests: every picture carries its own number in large black and white fields."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from PIL import Image

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

RATE = 25
BITS = 8
PIX_FMT = {"mjpeg": "yuvj420p", "gif": "rgb8", "qtrle": "argb", "prores": "yuv422p10le"}
OPTIONS = {
    "libx264": {"bf": "3", "preset": "ultrafast", "x264-params": "b-pyramid=normal:b-adapt=0:scenecut=0"},
    "libx265": {"x265-params": "log-level=none:bframes=3"},
    "mpeg4": {"bf": "2", "b": "2000000"},
    "mpeg2video": {"bf": "2", "b": "2000000"},
    "libvpx": {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good", "cpu-used": "5"},
    "libvpx-vp9": {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good", "cpu-used": "8"},
}


def picture(number: int, height: int = 48, width: int = 64) -> Pixels:
    """Draw ``number`` in binary over the upper half; below, a colour ramp that moves."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        image[: height // 2, left:right] = 230 if number >> bit & 1 else 25
    ramp = (np.arange(width) * 255 // width + 3 * number) % 256
    image[height // 2 :, :, 0], image[height // 2 :, :, 2] = ramp, 255 - ramp
    return image


def number_of(image: Pixels) -> int:
    """Read the number from a picture of any size."""
    height, width = image.shape[:2]
    bits = [image[height // 4, (2 * bit + 1) * width // (2 * BITS)].mean() > 128 for bit in range(BITS)]
    return sum(int(on) << bit for bit, on in enumerate(bits))


def write_video(
    path: Path,
    *,
    frames: int = 30,
    codec: str = "libx264",
    size: tuple[int, int] = (48, 64),
    gop: int = 12,
    options: dict[str, str] | None = None,
    pix_fmt: str | None = None,
    stamps: Sequence[int] | None = None,
    rotation: float | None = None,
    hflip: bool = False,
    mux: dict[str, str] | None = None,
    images: Sequence[Pixels] | None = None,
    yuv: Sequence[Pixels] | None = None,
    matrix: str = "",
    full: bool = False,
) -> Path:
    """Write a video of numbered pictures; ``stamps`` are in frames of 1/25 s.

    ``images`` are other pictures, ``yuv`` planes in yuv420p with a colour ``matrix`` named in the file.
    """
    height, width = size
    if yuv is None:
        pictures = images or [picture(number, height, width) for number in range(frames)]
        content = [VideoFrame.from_ndarray(image, format="rgb24") for image in pictures]
    else:
        content = [VideoFrame.from_ndarray(planes, format="yuv420p") for planes in yuv]
    with av.open(str(path), "w", container_options=mux or {}) as container:
        stream = container.add_stream(
            codec, rate=RATE, options={"g": str(gop)} | OPTIONS.get(codec, {}) | (options or {})
        )
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt or PIX_FMT.get(codec, "yuv420p")
        if rotation is not None:
            stream.set_display_rotation(rotation, hflip=hflip)
        if matrix:
            stream.codec_context.colorspace = {"bt709": 1, "smpte170m": 6}[matrix]
            stream.codec_context.color_range = 2 if full else 1
        for number, frame in enumerate(content):
            frame.pts = number if stamps is None else stamps[number]
            frame.time_base = Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_audio(path: Path) -> Path:
    """Write a second of silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        for start in range(0, 44100, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_folder(
    path: Path, template: str, numbers: Sequence[int], *, size: tuple[int, int] = (48, 64)
) -> Path:
    """Write one picture a number; the i-th carries i."""
    path.mkdir()
    for index, number in enumerate(numbers):
        Image.fromarray(picture(index, *size)).save(path / (template % number), quality=95)
    return path


def decoded(path: Path) -> list[Pixels]:
    """Decode everything from the start, in the plainest way there is."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(container.streams.video[0])]


def write_without_frames(path: Path) -> Path:
    """Write an MP4 with a video stream that holds no packet."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    return path
