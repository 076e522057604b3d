"""Reading a few frames of a video: ours against PyAV and OpenCV, in one run, rounds interleaved.

python benchmarks/decoding.py [--rounds 5] [--threads 1] [--seconds 10,120] [--json FILE]

Clips of 640 x 360 pixels are made first (about 80 s). Every party opens the file, reads the same frames, decodes with
the same number of threads, and returns RGB arrays of the same size. OpenCV scales by INTER_AREA, its anti-aliased
filter. ``ratio`` is ours over the best of PyAV sequential, PyAV from key frames and OpenCV sequential, by medians.
"""

import argparse
import importlib.util
import json
import os
import statistics
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from decoding_clips import HEIGHT, RATE, WIDTH, write_clip
from numpy.typing import NDArray

from neurofocus.data.video.reader import open_video
from neurofocus.data.video.source import ExactSize

Size = tuple[int, int]
Frames = NDArray[np.uint8]
Party = Callable[[Path, list[int], Size, int], Frames]
SIZES: dict[str, Size] = {"full": (HEIGHT, WIDTH), "short 256": (256, 455)}
OURS = "ours"
SEEKERS = ("PyAV seek each", "OpenCV seek each")


@dataclass(frozen=True)
class Row:
    """One case: medians in milliseconds, and ours over the best rival that does not seek each frame.

    ``difference`` is each party's mean absolute distance to PyAV sequential, in grey levels.
    """

    seconds: int
    gop: int
    frames: int
    size: str
    wall_ms: dict[str, float]
    cpu_ms: dict[str, float]
    best: str
    wall_ratio: float
    cpu_ratio: float
    difference: dict[str, float]


def opened(path: Path, threads: int) -> tuple[Any, Any]:
    container = av.open(str(path))
    stream = container.streams.video[0]
    stream.codec_context.thread_count = threads
    stream.codec_context.thread_type = "AUTO" if threads > 1 else "SLICE"
    return container, stream


def array(frame: av.VideoFrame, size: Size) -> Frames:
    return frame.to_ndarray(format="rgb24", height=size[0], width=size[1], threads=1)  # type: ignore[return-value]  # any dtype by its stubs; rgb24 is uint8


def ours(path: Path, wanted: list[int], size: Size, threads: int) -> Frames:
    with open_video(path, threads=threads) as source:
        return source.read(wanted, size=ExactSize(*size))


def pyav_sequential(path: Path, wanted: list[int], size: Size, threads: int) -> Frames:
    container, stream = opened(path, threads)
    chosen, last = set(wanted), max(wanted)
    frames = []
    with container:
        for number, frame in enumerate(container.decode(stream)):
            if number in chosen:
                frames.append(array(frame, size))
            if number == last:
                break
    return np.stack(frames)


def pyav_key_frames(path: Path, wanted: list[int], size: Size, threads: int) -> Frames:
    """Demux once for stamps and key frames; seek where a key frame lies ahead of the frame decoded last."""
    container, stream = opened(path, threads)
    frames = []
    with container:
        packets = [(p.pts, p.is_keyframe) for p in container.demux(stream) if p.size]
        stamps = sorted(pts for pts, _ in packets)
        keys = sorted(pts for pts, is_key in packets if is_key)
        position, decoded = None, iter(())
        for stamp in (stamps[number] for number in wanted):
            key = keys[bisect_right(keys, stamp) - 1]
            if position is None or key > position:
                container.seek(key, stream=stream)
                decoded = container.decode(stream)
            frame = next(frame for frame in decoded if frame.pts == stamp)
            position = stamp
            frames.append(array(frame, size))
    return np.stack(frames)


def pyav_seek(path: Path, wanted: list[int], size: Size, threads: int) -> Frames:
    container, stream = opened(path, threads)
    frames = []
    with container:
        for number in wanted:
            stamp = int(Fraction(number, RATE) / stream.time_base)
            container.seek(stamp, stream=stream)
            frame = next(frame for frame in container.decode(stream) if frame.pts == stamp)
            frames.append(array(frame, size))
    return np.stack(frames)


def opencv(seek: bool) -> Party:
    """Return a party that reads with OpenCV: grabbing every frame, or setting the position of each."""
    import cv2

    def read(path: Path, wanted: list[int], size: Size, threads: int) -> Frames:
        cv2.setNumThreads(threads)
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
        frames, position = [], 0
        for number in wanted:
            if seek:
                capture.set(cv2.CAP_PROP_POS_FRAMES, number)
            else:
                for _ in range(number - position):
                    capture.grab()
            position = number + 1
            image = cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB)
            if image.shape[:2] != size:
                image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
            frames.append(image)
        capture.release()
        return np.stack(frames)

    return read


def parties() -> dict[str, Party]:
    found: dict[str, Party] = {
        "PyAV sequential": pyav_sequential,
        "PyAV key frames": pyav_key_frames,
        "PyAV seek each": pyav_seek,
        OURS: ours,
    }
    if importlib.util.find_spec("cv2") is None:
        print("OpenCV is not installed: left out")
    else:
        found |= {"OpenCV sequential": opencv(False), "OpenCV seek each": opencv(True)}
    return found


def measure(
    readers: dict[str, Party], path: Path, case: tuple[int, int, int, str], *, rounds: int, threads: int
) -> Row:
    seconds, _, count, size_name = case
    total, size = seconds * RATE, SIZES[size_name]
    wanted = [(2 * place + 1) * total // (2 * count) for place in range(count)]
    wall: dict[str, list[float]] = {name: [] for name in readers}
    cpu: dict[str, list[float]] = {name: [] for name in readers}
    outputs: dict[str, Frames] = {}
    for turn in range(rounds):
        names = list(readers)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            started, worked = time.perf_counter(), time.process_time()
            outputs[name] = readers[name](path, wanted, size, threads)
            wall[name].append(1e3 * (time.perf_counter() - started))
            cpu[name].append(1e3 * (time.process_time() - worked))
    reference = outputs["PyAV sequential"].astype(np.int16)
    walls = {name: statistics.median(times) for name, times in wall.items()}
    cpus = {name: statistics.median(times) for name, times in cpu.items()}
    rivals = [name for name in readers if name != OURS and name not in SEEKERS]
    best = min(rivals, key=lambda name: walls[name])
    return Row(
        *case,
        wall_ms=walls,
        cpu_ms=cpus,
        best=best,
        wall_ratio=walls[OURS] / walls[best],
        cpu_ratio=cpus[OURS] / min(cpus[name] for name in rivals),
        difference={name: float(np.abs(out - reference).mean()) for name, out in outputs.items()},
    )


def show(row: Row) -> str:
    times = "  ".join(f"{name} {row.wall_ms[name]:.0f} ({row.cpu_ms[name]:.0f})" for name in row.wall_ms)
    return (
        f"{row.seconds:4} s  GOP {row.gop:3}  {row.frames:2} frames  {row.size:9}  {times}  "
        f"ratio {row.wall_ratio:.2f} ({row.cpu_ratio:.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", default="10,120")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    readers = parties()
    rows = []
    print(
        f"wall (processor) milliseconds, medians of {options.rounds}, {options.threads} thread(s), {os.cpu_count()} cores"
    )
    with tempfile.TemporaryDirectory() as folder:
        for seconds in map(int, options.seconds.split(",")):
            for gop in (12, 250):
                path = Path(folder) / f"{seconds}-{gop}.mp4"
                write_clip(path, seconds=seconds, gop=gop)
                for count in (8, 16, 48):
                    for size in SIZES:
                        case = (seconds, gop, count, size)
                        row = measure(readers, path, case, rounds=options.rounds, threads=options.threads)
                        rows.append(row)
                        print(show(row), flush=True)
                path.unlink()
    worst = max(rows, key=lambda row: row.wall_ratio)
    print(
        f"largest ratio: {worst.wall_ratio:.2f} wall, {max(row.cpu_ratio for row in rows):.2f} processor time"
    )
    for name in readers:
        print(
            f"{name}: largest mean difference from PyAV sequential {max(row.difference[name] for row in rows):.3f}"
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
