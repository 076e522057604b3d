"""Frames of a file are those that a plain decode of the whole file gives, whatever is jumped over or left out."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.video.clips import RATE, Pixels, decoded, number_of, write_video
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofocus.data.video import packets
from neurofocus.data.video.file import VideoFile
from neurofocus.data.video.source import ExactSize, FullSize, ShortSide

FRAMES = 60
# name -> (codec, key frame distance, encoder options)
CLIPS: dict[str, tuple[str, int, dict[str, str]]] = {
    "short.mp4": ("libx264", 6, {}),
    "long.mp4": ("libx264", 250, {}),
    "open.mp4": ("libx264", 8, {"x264-params": "open-gop=1:b-adapt=0:scenecut=0:b-pyramid=normal"}),
    "refresh.mp4": ("libx264", 12, {"bf": "0", "x264-params": "intra-refresh=1"}),
    "short.mkv": ("libx264", 6, {}),
    "short.ts": ("libx264", 6, {}),
    "bare.h264": ("libx264", 12, {}),
    "h264.avi": ("libx264", 12, {}),
    "hevc.mp4": ("libx265", 12, {}),
    "mpeg4.mp4": ("mpeg4", 12, {}),
    "mpeg4.avi": ("mpeg4", 12, {}),
    "mpeg2.mpg": ("mpeg2video", 12, {}),
    "short.webm": ("libvpx-vp9", 6, {}),
    "long.webm": ("libvpx-vp9", 250, {}),
    "vp8.webm": ("libvpx", 20, {}),
    "all-key.avi": ("mjpeg", 1, {}),
    "one-key.gif": ("gif", 1, {}),
}


@dataclass(frozen=True)
class Clip:
    """A file and what a plain decode of it gives, which no failing test should print."""

    path: Path
    reference: list[Pixels] = field(repr=False)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clip]:
    folder = tmp_path_factory.mktemp("clips")
    made = {}
    for name, (codec, gop, options) in CLIPS.items():
        path = write_video(folder / name, frames=FRAMES, codec=codec, gop=gop, options=options)
        made[name] = Clip(path, decoded(path))
    return made


def check_reads(clip: Clip, reads: list[list[int]], threads: int) -> None:
    path, reference = clip.path, clip.reference
    with VideoFile(path, threads=threads) as video:
        assert video.num_frames == len(reference)
        for indices in reads:
            frames = video.read(indices, size=FullSize())
            assert len(frames) == len(indices)
            for index, frame in zip(indices, frames, strict=True):
                assert np.array_equal(frame, reference[index]), (path.name, indices, index)
        assert video.corrupt_frames == 0
        # Only where packets have no usable time stamps a sound file is read the slow way.
        assert video._plain == (path.name in ("bare.h264", "h264.avi"))


READS = st.lists(st.lists(st.integers(0, FRAMES - 1), max_size=8), min_size=1, max_size=4)


@pytest.mark.parametrize("name", CLIPS)
@settings(max_examples=12, derandomize=True)
@given(reads=READS, threads=st.sampled_from([1, 2]))
def test_any_read_equals_a_plain_decode(
    clips: dict[str, Clip], name: str, reads: list[list[int]], threads: int
) -> None:
    check_reads(clips[name], reads, threads)


@pytest.mark.parametrize("name", CLIPS)
@settings(max_examples=12, derandomize=True)
@given(reads=READS)
def test_seeking_changes_no_frame(clips: dict[str, Clip], name: str, reads: list[list[int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packets, "_SEEK_FROM", 0)
        check_reads(clips[name], reads, threads=1)


@pytest.mark.parametrize("name", CLIPS)
def test_frames_come_in_the_order_they_are_shown(clips: dict[str, Clip], name: str) -> None:
    """The oracle is what the pictures say of themselves, not another decode."""
    with VideoFile(clips[name].path) as video:
        numbers = [number_of(frame) for frame in video.read(range(FRAMES), size=FullSize())]
        assert numbers == list(range(FRAMES))
        backwards = [
            number_of(video.read([index], size=FullSize())[0]) for index in range(FRAMES - 1, -1, -9)
        ]
        assert backwards == list(range(FRAMES - 1, -1, -9))
        assert video.timestamps([0, 1, FRAMES - 1]) == pytest.approx(
            np.array([0, 1, FRAMES - 1]) / RATE, abs=6e-4
        )


def test_order_and_repeats_are_those_asked_for(clips: dict[str, Clip]) -> None:
    with VideoFile(clips["short.mp4"].path) as video:
        frames = video.read([40, 3, 40, 7, 3], size=ShortSide(24))
        assert [number_of(frame) for frame in frames] == [40, 3, 40, 7, 3]
        assert frames.shape == (5, 24, 32, 3) and frames.dtype == np.uint8
        assert video.read([], size=ExactSize(5, 7)).shape == (0, 5, 7, 3)


def packets_decoded(video: VideoFile, monkeypatch: pytest.MonkeyPatch, indices: list[int]) -> int:
    """Count the packets that a read hands to the decoder."""
    decoder = video._decoder
    count = 0
    decode = decoder._decode

    def counted(packet: object) -> int:
        nonlocal count
        count += packet is not None
        return decode(packet)  # type: ignore[arg-type]

    monkeypatch.setattr(decoder, "_decode", counted)
    video.read(indices, size=FullSize())
    return count


def test_only_what_is_needed_is_decoded(clips: dict[str, Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    """Frame 48 of a clip with key frames every 6 is one itself; its neighbours in the decoder are its delay."""
    with VideoFile(clips["short.mp4"].path, threads=1) as video:
        assert packets_decoded(video, monkeypatch, [48]) <= 6
    with VideoFile(clips["all-key.avi"].path, threads=1) as video:
        assert packets_decoded(video, monkeypatch, [10, 20, 59]) == 3


def test_reading_one_by_one_decodes_once(clips: dict[str, Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    with VideoFile(clips["long.mp4"].path, threads=1) as video:
        total = 0
        decode = video._decoder._decode

        def counted(packet: object) -> int:
            nonlocal total
            total += packet is not None
            return decode(packet)  # type: ignore[arg-type]

        monkeypatch.setattr(video._decoder, "_decode", counted)
        for index in range(FRAMES):
            video.read([index], size=FullSize())
        assert total <= FRAMES


class SeeksTooFar:
    """A container whose index points two seconds too far."""

    def __init__(self, container: Any) -> None:
        self.container = container
        self.seeks = 0

    def seek(self, offset: int, *, stream: Any) -> None:
        self.seeks += 1
        self.container.seek(offset + int(2 / stream.time_base), stream=stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.container, name)


def test_a_container_that_seeks_wrongly_is_read_from_the_start(
    clips: dict[str, Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, reference = clips["short.mp4"].path, clips["short.mp4"].reference
    monkeypatch.setattr(packets, "_SEEK_FROM", 0)
    with VideoFile(path, threads=1) as video:
        wrong = SeeksTooFar(video._reader._container)
        monkeypatch.setattr(video._reader, "_container", wrong)
        assert np.array_equal(video.read([50, 14], size=FullSize()), [reference[50], reference[14]])
        assert wrong.seeks == 1 and not video._plain


def test_uneven_time_stamps_are_honest(tmp_path: Path) -> None:
    stamps = [0, 1, 2, 10, 11, 12, 40, 41, 42, 90]
    with VideoFile(write_video(tmp_path / "v.mp4", frames=10, stamps=stamps)) as video:
        assert video.timestamps(range(10)) == pytest.approx(np.array(stamps) / RATE)
        assert [number_of(frame) for frame in video.read([9, 3, 6], size=FullSize())] == [9, 3, 6]


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts"])
def test_the_clock_starts_at_the_first_frame(tmp_path: Path, name: str) -> None:
    late = write_video(tmp_path / name, frames=10, stamps=range(100, 110))
    with VideoFile(late) as video:
        assert video.timestamps([0, 9]) == pytest.approx([0, 9 / RATE], abs=1e-3)
        assert [number_of(frame) for frame in video.read(range(10), size=FullSize())] == list(range(10))


def test_frames_before_the_edit_list_are_not_shown(tmp_path: Path) -> None:
    """An MP4 whose first four frames have negative times keeps them, hidden, for decoding."""
    path = write_video(tmp_path / "v.mp4", frames=10, stamps=range(-4, 6))
    assert len(decoded(path)) == 6
    with VideoFile(path) as video:
        assert [number_of(frame) for frame in video.read(range(6), size=FullSize())] == [4, 5, 6, 7, 8, 9]
        assert video.num_frames == 6 and video.warnings == ()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_short_clips(tmp_path: Path, count: int) -> None:
    with VideoFile(write_video(tmp_path / "v.mp4", frames=count)) as video:
        assert [number_of(frame) for frame in video.read(range(count), size=FullSize())] == list(range(count))
        assert video.warnings == ()


MEMORY = """
import sys
from pathlib import Path
from neurofocus.data.video.reader import open_video
from neurofocus.data.video.source import ShortSide

def peak():  # of this process alone: ru_maxrss begins at the parent's
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024

with open_video(Path(sys.argv[1])) as video:
    video.read([0], size=ShortSide(8))
    before = peak()
    video.read(range(video.num_frames), size=ShortSide(8))
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    """All 250 decoded frames together would take 124 MiB."""
    path = write_video(tmp_path / "v.mp4", frames=250, size=(480, 720), gop=100)
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True
    )
    assert float(run.stdout) < 40
