import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.image import imread
from numpy.typing import NDArray

from neurofocus.explain.overlay import edge_letters, write_overlay
from neurofocus.explain.summary import ExplainedCase

_BOX = np.array([0x3D, 0x8B, 0xFF]) / 255
_ALARM = np.array([0xB3, 0x26, 0x1E]) / 255


def _drawn(case: ExplainedCase, path: Path) -> NDArray[np.float32]:
    write_overlay(path, case)
    return np.asarray(imread(path))[..., :3]


def _near(picture: NDArray[np.float32], colour: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.abs(picture - colour).max(axis=-1) < 0.02


def _panels(width: int) -> dict[str, slice]:
    """Columns of the three planes, from the layout's shares."""
    starts = {"sagittal": 0.03, "coronal": 0.335, "axial": 0.63}
    return {name: slice(int(left * width), int((left + 0.28) * width)) for name, left in starts.items()}


def test_the_picture_is_small_quick_and_says_synthetic(case: ExplainedCase, tmp_path: Path) -> None:
    _drawn(case, tmp_path / "first.png")  # matplotlib reads its fonts once
    start = time.process_time()
    picture = _drawn(case, tmp_path / "a.png")
    assert time.process_time() - start < 3
    assert (tmp_path / "a.png").stat().st_size < 600_000
    assert picture.shape[1] == 1200
    assert _near(picture[:70], _ALARM).sum() > 2000
    plain = replace(case, summary=replace(case.summary, synthetic=False))
    assert _near(_drawn(plain, tmp_path / "b.png"), _ALARM).sum() == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png", "first.png"]


def test_the_same_case_gives_the_same_bytes(case: ExplainedCase, tmp_path: Path) -> None:
    write_overlay(tmp_path / "a.png", case)
    write_overlay(tmp_path / "b.png", case)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_boxes_are_drawn_in_blue_on_the_focus_frames(case: ExplainedCase, tmp_path: Path) -> None:
    picture = _drawn(case, tmp_path / "a.png")
    blue = _near(picture[560:], _BOX)
    assert blue.sum() > 500
    # Four frames were chosen, so the second half of the row is empty.
    assert blue[:, 640:].sum() == 0


def test_the_subjects_right_is_on_the_right(case: ExplainedCase, tmp_path: Path) -> None:
    """The spot lies at x = +30, y = -20, z = -10 mm: right of the middle, behind it, below it."""
    picture = _drawn(case, tmp_path / "a.png")[100:520]
    warm = (picture[..., 0] > picture[..., 2] + 0.25) & (picture[..., 0] > 0.5)
    width = picture.shape[1]
    for name, side in (("coronal", 1), ("axial", 1)):
        columns = _panels(width)[name]
        found = np.nonzero(warm[:, columns])[1]
        assert found.size > 50
        middle = (columns.stop - columns.start) / 2
        assert side * (found.mean() - middle) > 15, name


def test_letters_follow_the_geometry() -> None:
    coronal = np.array([[0.0, 0, 2, 0], [3, 0, 0, 0], [0, -2, 0, 0], [0, 0, 0, 1]])
    assert edge_letters(coronal, 0) == ("P", "A")
    assert edge_letters(coronal, 1) == ("S", "I")
    assert edge_letters(coronal, 2) == ("L", "R")
    assert edge_letters(np.diag([-1.0, -1, 1, 1]), 0) == ("R", "L")


def test_empty_saliency_and_a_long_name_are_drawn_too(case: ExplainedCase, tmp_path: Path) -> None:
    empty = replace(
        case,
        scan_saliency=np.zeros_like(case.scan_saliency),
        saliency=replace(case.saliency, volume=np.zeros_like(case.saliency.volume)),
        summary=replace(case.summary, title="x" * 300),
    )
    middle = case.scan.affine @ np.append((np.array(case.scan.array.shape) - 1) / 2, 1)
    np.testing.assert_allclose(empty.peak_mm(), middle[:3])
    assert _drawn(empty, tmp_path / "a.png").shape[1] == 1200


def test_the_peak_is_where_the_spot_is(case: ExplainedCase) -> None:
    assert np.linalg.norm(case.peak_mm() - [30.0, -20.0, -10.0]) < 4.0


def test_importing_does_not_load_pyplot_or_other_slow_packages() -> None:
    code = (
        "import sys, neurofocus.explain.viewer, neurofocus.explain.localization; "
        "print([m for m in ('matplotlib.pyplot', 'nilearn', 'sklearn') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_without_focus_frames_it_says_so(case: ExplainedCase, tmp_path: Path) -> None:
    model = case.saliency.per_model[0]
    none = replace(
        model,
        frames=model.frames[:0],
        boxes=model.boxes[:0],
        weights=model.weights[:0],
        relevance=model.relevance[:0],
    )
    glanced = replace(case, saliency=replace(case.saliency, per_model=(none,)))
    picture = _drawn(glanced, tmp_path / "a.png")
    assert picture.shape[0] < _drawn(case, tmp_path / "b.png").shape[0]
    assert _near(picture[560:], _BOX).sum() == 0
