"""The clips that benchmarks/decoding.py reads: a camera moving over a textured scene, in H.264 with B-frames."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, RATE = 640, 360, 30


def scene(seed: int = 0) -> NDArray[np.uint8]:
    """Blocks of every size from 4 to 64 pixels in random colours [H, W, 3], larger than a frame."""
    rng = np.random.default_rng(seed)
    height, width = HEIGHT + 400, WIDTH + 1200
    total = np.zeros((height, width, 3), dtype=np.float32)
    for side in (4, 8, 16, 32, 64):
        blocks = rng.normal(0, 0.7 * side, (height // side + 1, width // side + 1, 3))
        total += np.kron(blocks, np.ones((side, side, 1)))[:height, :width].astype(np.float32)
    return np.clip(128 + total, 0, 255).astype(np.uint8)


def write_clip(path: Path, *, seconds: int, gop: int) -> None:
    """Write a clip whose key frames are ``gop`` frames apart."""
    background = scene()
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=RATE, options={"g": str(gop), "preset": "fast", "crf": "23"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(seconds * RATE):
            top = int(200 + 190 * np.sin(number / 70))
            left = int(500 + 490 * np.sin(number / 151))
            image = background[top : top + HEIGHT, left : left + WIDTH].copy()
            column = number % 500
            image[100:160, column : column + 60] = 255 - image[100:160, column : column + 60]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
