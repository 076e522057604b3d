"""The contact sheet, read again."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from explain.video.grey_clip import explained
from PIL import Image

from neurofocus.explain.video.sheet import write_clip_sheet


@pytest.mark.parametrize(("frames", "rows"), [(2, 1), (8, 1), (9, 2), (16, 2)])
def test_the_sheet(path: Path, tmp_path: Path, frames: int, rows: int) -> None:
    clip = explained(path, chosen=np.arange(frames), boxes=np.tile([16.0, 16.0, 16.0, 16.0], (frames, 1)))
    write_clip_sheet(tmp_path / "sheet.png", clip)
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.format == "PNG"
        columns = min(frames, 8)
        tile = 11.5 / columns * 90 / 120 + 0.22
        assert image.width == 2400
        assert image.height == pytest.approx(200 * (1.75 + rows * tile + 0.1), abs=2)
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert (pixels[0, 0] == 255).all()
    box = np.abs(pixels - (0x00, 0x72, 0xB2)).max(-1) < 10
    head = 350
    assert box[head:].sum() > 100 * frames  # a frame around every patch
    grey_columns = (np.abs(pixels[head:] - 160).max(-1) < 5).mean()
    assert grey_columns > 0.3


def test_the_sheet_says_that_a_model_is_synthetic(path: Path, tmp_path: Path) -> None:
    clip = explained(path)
    write_clip_sheet(tmp_path / "plain.png", clip)
    write_clip_sheet(tmp_path / "noted.png", replace(clip, notes=("SYNTHETIC",)))
    reds = []
    for name in ("plain", "noted"):
        with Image.open(tmp_path / f"{name}.png") as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        reds.append(int((np.abs(pixels - (0xB3, 0x26, 0x1E)).max(-1) < 20).sum()))
    assert reds[0] == 0
    assert reds[1] > 100


SENTENCES = (
    "Pretending or failing to wipe something off of something",
    "Putting something, something and something on the table",
    "Moving something across a surface without it falling down",
    "Throwing something in the air and catching it",
    "Pulling two ends of something so that it gets stretched",
)


def test_long_names_are_not_cut_at_the_edge(path: Path, tmp_path: Path) -> None:
    answers = tuple((name, 0.2) for name in SENTENCES)
    heights = []
    for name, changes in (("short", {}), ("long", {"answers": answers, "title": "a_long_file_name_" * 12})):
        write_clip_sheet(tmp_path / f"{name}.png", explained(path, **changes))
        with Image.open(tmp_path / f"{name}.png") as image:
            heights.append(image.height)
            head = np.asarray(image.convert("L"))[:200]
        assert (head[:, -40:] == 255).all()  # 0.2 inches of margin
        title = head[20:70]
        inked = np.flatnonzero((title < 128).any(axis=0))
        assert (np.diff(inked) > 100).any()  # white between the title and the cost
    assert heights[1] - heights[0] == pytest.approx(200 * 0.22 * 2, abs=2)  # three lines of answers


def test_letters_without_a_glyph_are_told_in_a_line(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "neurofocus"):
        write_clip_sheet(tmp_path / "sheet.png", explained(path, title="été"))
        assert not caplog.messages
        write_clip_sheet(tmp_path / "sheet.png", explained(path, title="漢字"))
    assert caplog.messages == [
        f"{tmp_path / 'sheet.png'}: letters that its font does not have are drawn as boxes"
    ]


def test_a_glance_that_was_enough(path: Path, tmp_path: Path) -> None:
    """The three frames that were glanced at, each with the part that the model sees: no patch, no weight."""
    clip = explained(path, chosen=np.zeros(0, np.int64), boxes=np.zeros((0, 4)), weights=None)
    write_clip_sheet(tmp_path / "sheet.png", clip)
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.height == pytest.approx(200 * (1.75 + 11.5 / 3 * 90 / 120 + 0.22 + 0.1), abs=2)
        pixels = np.asarray(image.convert("RGB")).astype(int)
    box = np.abs(pixels - (0x00, 0x72, 0xB2)).max(-1) < 10
    row = box[pixels.shape[0] - 300]  # a line across the tiles crosses two sides of every view
    sides = np.flatnonzero(np.diff(row.astype(int)) == 1)
    assert len(sides) == 6
    tile = (sides[2:] - sides[:-2]).mean()
    assert (sides[1::2] - sides[::2]).mean() / tile == pytest.approx(
        32 / 48 / 1.04, abs=0.02
    )  # of 48 columns read


def test_the_same_sheet_twice_is_the_same_file(path: Path, tmp_path: Path) -> None:
    for name in "ab":
        write_clip_sheet(tmp_path / f"{name}.png", explained(path))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
