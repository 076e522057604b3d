"""A part of a video as a clip: the same frames under other numbers, from zero seconds on."""

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
from neurofocus.data.video.window import FrameWindow, frames_between
from neurofocus.errors import VideoError


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


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, 1.0, (0, 25)),
        (0.4, 0.8, (10, 20)),
        (0.41, 0.79, (11, 20)),
        (-1.0, 0.04, (0, 1)),
        (1.5, 99.0, (38, 40)),  # 1.5 s is frame 37.5
    ],
)
def test_seconds(path: Path, start: float, end: float, expected: tuple[int, int]) -> None:
    with VideoFile(path) as source:
        assert frames_between(source, start, end) == expected


def test_seconds_of_uneven_frames(tmp_path: Path) -> None:
    stamps = [0, 1, 2, 10, 11, 30, 50]  # of 1/25 s
    path = write_video(tmp_path / "uneven.mp4", frames=7, stamps=stamps)
    with VideoFile(path) as source:
        assert frames_between(source, 0.08, 1.0) == (2, 5)
        assert frames_between(source, 0.39, 0.41) == (3, 4)


@pytest.mark.parametrize(("start", "end"), [(2.0, 3.0), (0.81, 0.83), (0.5, 0.5)])
def test_seconds_without_a_frame(path: Path, start: float, end: float) -> None:
    message = rf"clip\.mp4: no frame between {start:g} and {end:g} s, it ends at 1\.56 s"
    with VideoFile(path) as source, pytest.raises(VideoError, match=message):
        frames_between(source, start, end)


def test_pictures_have_no_seconds(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "frames", "img_%05d.jpg", range(1, 5))
    with pytest.raises(VideoError, match="pictures without a frame rate have no times"):
        frames_between(open_video(folder), 0, 1)
