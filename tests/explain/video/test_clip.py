"""Where a box of the model's view lies in a frame of any size, and what a moment is called."""

from pathlib import Path

import numpy as np
import pytest
from explain.video.grey_clip import explained
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.04 s"), (59.994, "59.99 s"), (59.999, "1:00.00"), (83.5, "1:23.50")]
)
def test_moments(path: Path, seconds: float, text: str) -> None:
    assert explained(path, seconds=np.array([0.0, seconds])).moment(1) == text
    assert explained(path, seconds=None).moment(1) == "frame 2"


@given(
    x=st.floats(0, 32),
    y=st.floats(0, 32),
    side=st.floats(1, 32),
    height=st.integers(10, 2000),
    width=st.integers(10, 2000),
)
def test_corners_and_view_agree(path: Path, x: float, y: float, side: float, height: int, width: int) -> None:
    """A box over the whole view is the view; any box scales and moves with it."""
    clip = explained(path, boxes=np.array([[16.0, 16.0, 32.0, 32.0], [x, y, side, side]]))
    whole, other = clip.corners(height, width)
    left, top, right, bottom = clip.view(height, width)
    np.testing.assert_allclose(whole, (left, top, right, bottom))
    assert (right - left) / width == pytest.approx(32 / 48)
    assert (bottom - top) / height == pytest.approx(32 / 36)
    assert (other[0] + other[2]) / 2 == pytest.approx(left + x / 32 * (right - left))
    assert (other[1] + other[3]) / 2 == pytest.approx(top + y / 32 * (bottom - top))
