"""A part of a video as a clip: the same frames under other numbers, from zero seconds on."""

import math
from pathlib import Path

import numpy as np
import pytest
from data.video.clips import number_of, write_folder, write_video
from hypothesis import given
from hypothesis import strategies as st

from neurofocus.data.video.file import VideoFile
from neurofocus.data.video.folder import FrameFolder
from neurofocus.data.video.reader import open_video
from neurofocus.data.video.source import FullSize
from neurofocus.data.video.window import ClipPart, FrameWindow, part_of
from neurofocus.errors import VideoError

NAN = math.nan


def of_frames(start: int, stop: int) -> ClipPart:
    return ClipPart(start, stop, NAN, NAN)


def of_seconds(start: float, end: float) -> ClipPart:
    return ClipPart(NAN, NAN, start, end)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("window") / "clip.mp4", frames=40)


@given(st.data())
def test_it_shows_the_frames_of_its_part(path: Path, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, 39))
    stop = data.draw(st.integers(start + 1, 40))
    wanted = data.draw(st.lists(st.integers(0, stop - start - 1), min_size=1, max_size=4))
    with FrameWindow(VideoFile(path, threads=1), start, stop) as window:
        assert (window.num_frames, window.frame_size, window.path) == (stop - start, (48, 64), path)
        shown = [number_of(image) for image in window.read(wanted, size=FullSize())]
        assert shown == [start + number for number in wanted]
        np.testing.assert_allclose(window.timestamps(wanted), np.array(wanted) / 25, atol=1e-9)


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 5), (6, 5), (0, 41), (40, 41)])
def test_a_part_that_is_not_there(path: Path, start: int, stop: int) -> None:
    message = rf"clip\.mp4: frames {start} to {stop - 1} are wanted, it has 40; correct the list"
    with VideoFile(path) as source, pytest.raises(VideoError, match=message):
        FrameWindow(source, start, stop)


def test_only_its_own_frames_can_be_asked_for(path: Path) -> None:
    with FrameWindow(VideoFile(path), 10, 20) as window:
        for number in (-1, 10):
            with pytest.raises(IndexError, match=f"no frame {number}: there are 10"):
                window.read([number], size=FullSize())
            with pytest.raises(IndexError):
                window.timestamps([number])


def test_closing_it_closes_the_source(path: Path) -> None:
    class Counting(FrameFolder):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    folder = write_folder(path.parent / "frames", "%d.png", range(3))
    source = Counting(folder)
    with FrameWindow(source, 0, 2):
        assert not source.closed
    assert source.closed == 1


def test_damage_is_told_of_the_whole_source(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "frames", "img_%05d.jpg", [1, 2, 3, 5, 6])
    (folder / "img_00003.jpg").write_bytes(b"")
    with FrameWindow(open_video(folder), 1, 4) as window:
        assert window.warnings == ("1 of the numbers 1 to 6 are missing, the first is img_00004.jpg",)
        with pytest.raises(VideoError, match="img_00003"):
            window.read([1], size=FullSize())
        assert window.corrupt_frames == 1
        assert window.unreadable() == ("img_00003.jpg",)


def test_a_file_that_is_its_clip_stays_what_it_is(path: Path) -> None:
    with VideoFile(path) as source:
        assert part_of(source, ClipPart(NAN, NAN, NAN, NAN), strict=True) is source


@pytest.mark.parametrize(("start", "stop", "there"), [(0, 40, 40), (0, 41, 40), (3, 77, 40), (0, 80, 40)])
def test_a_part_is_used_as_far_as_it_is_there(path: Path, start: int, stop: int, there: int) -> None:
    with part_of(VideoFile(path, threads=1), of_frames(start, stop)) as clip:
        assert clip.num_frames == there - start
        assert number_of(clip.read([clip.num_frames - 1], size=FullSize())[0]) == there - 1
        lacking = (f"frames {start} to {stop - 1} are listed, it has 40",) if stop > there else ()
        assert clip.flaws == clip.warnings == lacking


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (of_frames(40, 60), "frames 40 to 59 are wanted, it has 40"),
        (of_frames(0, 81), "frames 0 to 80 are wanted, it has 40"),
        (of_frames(10, 71), "frames 10 to 70 are wanted, it has 40"),
        (of_frames(5, 5), "frames 5 to 4 are wanted, it has 40"),
        (of_seconds(1.0, 2.4), r"less than half between 1 and 2\.4 s is there, it ends at 1\.60 s"),
        (of_seconds(2.0, 3.0), r"no frame between 2 and 3 s is there, it ends at 1\.60 s"),
        (of_seconds(0.81, 0.83), r"no frame between 0\.81 and 0\.83 s is there"),
        (of_seconds(0.5, 0.5), r"no frame between 0\.5 and 0\.5 s is there"),
    ],
)
def test_a_part_that_is_mostly_not_there_is_refused(path: Path, part: ClipPart, message: str) -> None:
    with (
        VideoFile(path) as source,
        pytest.raises(VideoError, match=rf"clip\.mp4: {message}.*; correct the list"),
    ):
        part_of(source, part)


@pytest.mark.parametrize(
    ("part", "lacking"),
    [
        (of_frames(0, 41), "frames 0 to 40 are listed, it has 40"),
        (of_seconds(0, 2), "0 to 2 s are listed, it ends at 1.60 s"),
    ],
)
def test_strict_reading_refuses_what_a_part_lacks(path: Path, part: ClipPart, lacking: str) -> None:
    with VideoFile(path) as source:
        assert part_of(source, part).flaws == (lacking,)
        with pytest.raises(VideoError, match=lacking):
            part_of(source, part, strict=True)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, 1.0, range(25)),
        (0.4, 0.8, range(10, 20)),
        (0.41, 0.79, range(11, 20)),
        (-1.0, 0.04, range(1)),
        (1.5, 1.63, range(38, 40)),  # 1.5 s is frame 37.5; a part of a frame is not missed
    ],
)
def test_seconds(path: Path, start: float, end: float, expected: range) -> None:
    with part_of(VideoFile(path, threads=1), of_seconds(start, end), strict=True) as clip:
        shown = clip.read(range(clip.num_frames), size=FullSize())
        assert [number_of(image) for image in shown] == list(expected)


def test_seconds_of_uneven_frames(tmp_path: Path) -> None:
    stamps = [0, 1, 2, 10, 11, 30, 50]  # of 1/25 s
    path = write_video(tmp_path / "uneven.mp4", frames=7, stamps=stamps)
    for start, end, count in ((0.08, 1.0, 3), (0.39, 0.41, 1)):
        with part_of(VideoFile(path), of_seconds(start, end)) as clip:
            assert clip.num_frames == count


def test_pictures_have_no_seconds(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "frames", "img_%05d.jpg", range(1, 5))
    with pytest.raises(VideoError, match="pictures without a frame rate have no times"):
        part_of(open_video(folder), of_seconds(0, 1))
