"""Segment sampling: the rule by hand and with exact fractions, and its properties."""

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofocus.data.video.sampling import sample_segments, sample_streams


class Fixed(np.random.Generator):
    """A generator whose random() gives the chosen numbers."""

    def __init__(self, values: list[float]) -> None:
        super().__init__(np.random.PCG64(0))
        self.values = values

    def random(self, size: int) -> np.ndarray:  # type: ignore[override]  # one call is all that is used
        assert size == len(self.values)
        return np.array(self.values)


def test_test_frames_by_hand() -> None:
    assert sample_segments(10, 4, None).tolist() == [1, 3, 6, 8]  # floor of 1.25, 3.75, 6.25, 8.75
    assert sample_segments(48, 16, None).tolist() == list(range(1, 48, 3))  # the released [1::3]
    assert sample_segments(3, 8, None).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert sample_segments(1, 4, None).tolist() == [0, 0, 0, 0]


def test_training_frames_by_hand() -> None:
    # (i + u) 10 / 4: 0, 4.9975, 6.25, 9.75.
    assert sample_segments(10, 4, Fixed([0.0, 0.999, 0.5, 0.9])).tolist() == [0, 4, 6, 9]
    # A u next to 1 that is lost in i + u means the last frame of the segment, not the one after it.
    nearly = float(np.nextafter(1, 0))
    assert sample_segments(8, 8, Fixed([nearly] * 8)).tolist() == list(range(8))
    assert sample_segments(7, 48, Fixed([nearly] * 48)).max() == 6


@settings(max_examples=300)
@given(available=st.integers(1, 5000), wanted=st.integers(1, 96), seed=st.none() | st.integers(0, 2**32))
def test_every_segment_gives_a_frame_that_touches_it(available: int, wanted: int, seed: int | None) -> None:
    def choose() -> list[int]:
        rng = None if seed is None else np.random.default_rng(seed)
        return sample_segments(available, wanted, rng).tolist()

    chosen = choose()
    assert chosen == choose()
    assert chosen == sorted(chosen)
    for i, frame in enumerate(chosen):
        low, high = Fraction(i * available, wanted), Fraction((i + 1) * available, wanted)
        assert floor(low) <= frame <= ceil(high) - 1
        if seed is None:
            assert frame == floor((i + Fraction(1, 2)) * available / wanted)
    assert chosen[0] >= 0 and chosen[-1] < available
    if available >= wanted and available % wanted == 0:
        assert len(set(chosen)) == wanted
    if seed is None and available <= wanted:
        assert set(chosen) == set(range(available))


def test_every_frame_of_a_segment_is_drawn_equally_often() -> None:
    rng = np.random.default_rng(0)
    draws = np.stack([sample_segments(10, 4, rng) for _ in range(4000)])
    # The first segment covers frames 0, 1 and half of 2.
    shares = np.bincount(draws[:, 0], minlength=3) / 4000
    np.testing.assert_allclose(shares, [0.4, 0.4, 0.2], atol=0.03)


def test_separate_streams_cover_the_clip_independently() -> None:
    both = sample_streams(320, 20, 8, None)
    assert both.glance is not None
    assert both.frames.tolist() == sample_segments(320, 20, None).tolist()
    assert both.glance.tolist() == sample_segments(320, 8, None).tolist()
    rng = np.random.default_rng(0)
    outside, positions = 0, []
    for _ in range(200):
        drawn = sample_streams(320, 20, 8, rng)
        assert drawn.glance is not None
        assert (drawn.glance // 40).tolist() == list(range(8))
        outside += len(set(drawn.glance.tolist()) - set(drawn.frames.tolist()))
        positions.append((drawn.frames[0] / 16, drawn.glance[0] / 40))
    assert outside > 0.8 * 200 * 8  # most glance frames are not among the candidates
    assert abs(np.corrcoef(np.array(positions).T)[0, 1]) < 0.2


def test_the_shared_stream_leaves_the_glance_to_the_model() -> None:
    shared = sample_streams(300, 48, None, np.random.default_rng(7))
    assert shared.glance is None
    assert shared.frames.tolist() == sample_segments(300, 48, np.random.default_rng(7)).tolist()


@pytest.mark.parametrize(("available", "wanted"), [(0, 3), (5, 0)])
def test_nothing_to_choose(available: int, wanted: int) -> None:
    with pytest.raises(ValueError, match=f"cannot choose {wanted} of {available} frames"):
        sample_segments(available, wanted, None)
