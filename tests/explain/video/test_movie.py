"""The movie of one clip, decoded again: the box on the chosen frames only, the strip below."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from data.video.clips import decoded, write_video
from explain.video.grey_clip import Pixels, explained, grey

from neurofocus.data.video.augment import Crop
from neurofocus.explain.video.movie import write_clip_movie

BLUE, STRIP = (0x3D, 0x8B, 0xFF), 64


@pytest.fixture(scope="module")
def shown(path: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Pixels]:
    out = tmp_path_factory.mktemp("movie") / "movie.mp4"
    with explained(path).source:
        assert write_clip_movie(out, explained(path)) == 0
    return decoded(out)


def blue(image: Pixels) -> Any:
    """Where a picture above the strip has the colour of the box."""
    return np.abs(image[:-STRIP].astype(int) - BLUE).max(-1) < 60


def test_every_frame_once_and_chosen_ones_for_a_moment(shown: list[Pixels]) -> None:
    """25 frames a second stand still for 0.4 s: ten more of each."""
    assert len(shown) == 30 + 2 * 10
    assert all(image.shape == (360 + STRIP, 480, 3) for image in shown)
    with_box = [place for place, image in enumerate(shown) if blue(image).sum() > 100]
    assert with_box == [*range(4, 15), *range(30, 41)]


def test_a_glance_that_was_enough(path: Path, tmp_path: Path) -> None:
    """No frame stands still or has a box; each frame that was glanced at has a line in the strip."""
    clip = explained(path, chosen=np.zeros(0, np.int64), boxes=np.zeros((0, 4)), weights=None)
    with clip.source:
        write_clip_movie(tmp_path / "movie.mp4", clip)
    shown = decoded(tmp_path / "movie.mp4")
    assert len(shown) == 30
    assert not any((blue(image).sum() > 100) for image in shown)
    strip = shown[0][-STRIP:].astype(int).max(-1)
    columns = np.flatnonzero(strip[20:40].mean(0) > 60)
    for number in clip.glance:
        assert np.abs(columns - (6 + (number + 0.5) / 30 * 468)).min() < 2
    far = [column for column in columns if np.abs(clip.glance + 0.5 - (column - 6) / 468 * 30).min() > 0.3]
    assert max(far, default=0) < 20  # the line of the time, which starts at the left


@pytest.mark.parametrize(
    ("place", "box"),
    [
        # The frame is shown four times as large as stored, ten times as large as read.
        (4, (120, 180, 240, 260)),  # x 4..16 + 8, y 16..24 + 2
        (30, (220, 40, 380, 200)),  # x 14..30 + 8, y 2..18 + 2
    ],
)
def test_where_the_box_is(shown: list[Pixels], place: int, box: tuple[int, int, int, int]) -> None:
    rows, columns = np.nonzero(blue(shown[place]))
    found = (columns.min(), rows.min(), columns.max(), rows.max())
    np.testing.assert_allclose(found, box, atol=2)


def test_around_the_patch_it_is_dark(shown: list[Pixels]) -> None:
    image = shown[4].astype(int)
    assert abs(image[220, 180] - 160).max() < 8  # inside the patch
    assert abs(image[300, 180] - 72).max() < 8  # 0.45 of it
    assert abs(shown[20].astype(int)[300, 180] - 160).max() < 8


def test_a_line_shows_what_the_model_sees(shown: list[Pixels]) -> None:
    """Columns 8 to 40 and rows 2 to 34 of 48 x 36."""
    image = shown[20].astype(int).mean(-1)
    for column in (80, 400):
        assert image[200, column - 1 : column + 2].max() > 200
    for row in (20, 340):
        assert image[row - 1 : row + 2, 300].max() > 200
    assert image[200, 90:390].max() < 180


def test_the_strip(shown: list[Pixels]) -> None:
    """Three bars as tall as the weights, marks below the chosen frames, a line that runs."""
    strip = shown[0][-STRIP:].astype(int)
    part = (480 - 12) / 3
    heights = []
    for place in range(3):
        column = round(6 + (place + 0.5) * part)
        heights.append((strip[: STRIP - 13, column].mean(-1) > 80).sum())
    np.testing.assert_allclose(np.array(heights) / heights[1], [0.4, 1, 0.6], atol=0.05)
    marks = np.abs(strip[STRIP - 8] - BLUE).max(-1) < 90
    columns = np.flatnonzero(marks)
    for number in (4, 20):
        x = 6 + (number + 0.5) / 30 * 468
        assert np.abs(columns - x).min() <= 2
    assert len(columns) <= 10
    lines = [int(image[-STRIP + 4, :].mean(-1).argmax()) for image in shown]
    assert lines == sorted(lines)
    assert lines[0] < 20
    assert lines[-1] > 460


def test_numbers_of_frames_and_rate(path: Path, tmp_path: Path) -> None:
    for changes, rate in (
        ({}, Fraction(25)),
        ({"seconds": None}, Fraction(12)),
        ({"seconds": np.arange(30) / 60}, Fraction(30)),  # at most 30 frames a second
        ({"seconds": np.arange(30) / 2}, Fraction(8)),  # at least 8
    ):
        write_clip_movie(tmp_path / "a.mp4", explained(path, **changes))
        with av.open(str(tmp_path / "a.mp4")) as container:
            stream = container.streams.video[0]
            assert stream.average_rate == rate
            assert stream.frames == 30 + 2 * round(float(rate) * 0.4)


@pytest.mark.slow
def test_a_long_clip_keeps_its_chosen_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", images=[grey(16, 16)] * 1000, size=(16, 16), gop=50)
    clip = explained(path, chosen=np.array([3, 501]), crop=Crop((36, 36), 2, 2, 32, 32))
    write_clip_movie(tmp_path / "a.mp4", clip)
    shown = decoded(tmp_path / "a.mp4")
    # 451 or 452 frames in 40 s would be 11 a second; both chosen ones stand still for 5 more.
    assert 450 + 8 <= len(shown) <= 452 + 10
    with_box = np.array([blue(image).sum() > 100 for image in shown]).astype(int)
    assert np.abs(np.diff(with_box)).sum() == 4  # two runs


def test_notes_are_in_the_movie_and_its_title(path: Path, tmp_path: Path) -> None:
    plain, noted = explained(path), explained(path, notes=("SYNTHETIC: not real",))
    for name, clip in (("plain", plain), ("noted", noted)):
        write_clip_movie(tmp_path / f"{name}.mp4", clip)
    with av.open(str(tmp_path / "noted.mp4")) as container:
        assert container.metadata["title"] == "clip; SYNTHETIC: not real"
    one, two = (decoded(tmp_path / f"{name}.mp4")[0].astype(int) for name in ("plain", "noted"))
    assert np.abs(one - two)[20:50, :200].max() > 60


def test_long_lines_of_text_are_broken(path: Path, tmp_path: Path) -> None:
    sentence = (
        "Pretending or failing to wipe something off of something and to put it back on the table again"
    )
    write_clip_movie(tmp_path / "a.mp4", explained(path, answers=((sentence, 0.5),), notes=(sentence,)))
    first = decoded(tmp_path / "a.mp4")[0].astype(int)
    assert (first[:100, -3:] < 190).all()  # no letter at the edge
    assert (first[48:64, 6:200] > 215).any()  # a third line


def test_a_box_at_the_edge_is_drawn_whole(path: Path, tmp_path: Path) -> None:
    clip = explained(path, boxes=np.array([[16.0, 16.0, 36.0, 48.0], [0.0, 0.0, 8.0, 8.0]]))
    write_clip_movie(tmp_path / "a.mp4", clip)
    rows, columns = np.nonzero(blue(decoded(tmp_path / "a.mp4")[4]))
    assert (columns.min(), rows.min()) <= (1, 1)
    assert columns.max() >= 477
    assert rows.max() >= 357
