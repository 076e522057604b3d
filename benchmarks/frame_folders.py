"""Reduced JPEG decoding of frame folders against full decoding: `python benchmarks/frame_folders.py [--rounds 7]`.

Sixteen pictures of a textured scene are read at several sizes in three ways, alternating: full decode and Pillow's
bilinear filter; reduced decode to at least the size asked for; reduced decode to at least twice that (ours). Printed
are medians and the mean and largest distance from the full decode in grey levels of 255.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from decoding_clips import scene
from numpy.typing import NDArray
from PIL import Image

from neurofocus.data.video.folder import FrameFolder
from neurofocus.data.video.source import ShortSide

FRAMES = 16
Frames = NDArray[np.uint8]


def write_frames(folder: Path, height: int, width: int) -> None:
    folder.mkdir()
    image = Image.fromarray(scene()).resize((width + 40, height + 40), Image.Resampling.BICUBIC)
    for number in range(FRAMES):
        moved = image.crop((2 * number, number, 2 * number + width, number + height))
        moved.save(folder / f"img_{number + 1:05d}.jpg", quality=90)


def with_pillow(folder: Path, size: tuple[int, int], gap: int | None) -> Frames:
    frames = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            if gap is not None:
                image.draft("RGB", (gap * size[1], gap * size[0]))
            frames.append(np.asarray(image.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR)))
    return np.stack(frames)


def ours(folder: Path, side: int) -> Frames:
    with FrameFolder(folder) as source:
        return source.read(range(FRAMES), size=ShortSide(side))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as parent:
        for height, width in ((360, 640), (720, 1280), (1080, 1920)):
            folder = Path(parent) / str(height)
            write_frames(folder, height, width)
            for side in (128, 160, 256):
                size = ShortSide(side).resolve(height, width)
                ways = {
                    "full": lambda folder=folder, size=size: with_pillow(folder, size, None),
                    "reduced to 1x": lambda folder=folder, size=size: with_pillow(folder, size, 1),
                    "ours, to 2x": lambda folder=folder, side=side: ours(folder, side),
                }
                times: dict[str, list[float]] = {name: [] for name in ways}
                out: dict[str, Frames] = {}
                for _ in range(rounds):
                    for name, read in ways.items():
                        started = time.process_time()
                        out[name] = read()
                        times[name].append(1e3 * (time.process_time() - started) / FRAMES)
                full = statistics.median(times["full"])
                for name, frames in out.items():
                    middle = statistics.median(times[name])
                    error = np.abs(frames.astype(int) - out["full"])
                    print(
                        f"{width:4} x {height:<4} to short {side:3}  {name:14} {middle:6.2f} ms a frame  "
                        f"{middle / full:.2f} x full  error mean {error.mean():.2f} largest {error.max()}"
                    )


if __name__ == "__main__":
    main()
