"""The frame grid: direction of frames, rows and columns on a real brain, and which frames are taken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofocus.data.frames import frame_grid, sample_frame_indices
from neurofocus.data.geometry import apply_affine
from neurofocus.schema.run import PrepareConfig


def test_coronal_frames_run_back_to_front_rows_down_columns_to_the_right() -> None:
    grid = frame_grid(PrepareConfig(), 192)
    assert grid.num_frames == 56  # y -70 to 40 mm, every 2 mm
    assert grid.shape == (56, 192, 192)
    centre = apply_affine(grid.affine, np.array([0.0, 96, 96]))
    np.testing.assert_allclose(centre, (0, -70, 4))
    np.testing.assert_allclose(apply_affine(grid.affine, np.array([55.0, 96, 96])), (0, 40, 4))
    np.testing.assert_allclose(grid.affine[:3, :3], [[0, 0, 1], [2, 0, 0], [0, -1, 0]])


@pytest.mark.parametrize(
    ("axis", "columns"),
    [
        ("coronal", [[0, 0, 1.5], [3, 0, 0], [0, -1.5, 0]]),
        ("axial", [[0, 0, 1.5], [0, -1.5, 0], [3, 0, 0]]),
        ("sagittal", [[3, 0, 0], [0, 0, -1.5], [0, -1.5, 0]]),
    ],
)
def test_every_axis(axis: str, columns: list[list[float]]) -> None:
    prepare = PrepareConfig(axis=axis, range_mm=(-31.0, 30.0), slice_spacing_mm=3.0, pixel_mm=1.5)
    grid = frame_grid(prepare, 101)
    assert grid.num_frames == 21  # 30 is not met by steps of 3 from -31
    np.testing.assert_allclose(grid.affine[:3, :3], columns)
    world = {"coronal": 1, "axial": 2, "sagittal": 0}[axis]
    assert apply_affine(grid.affine, np.zeros(3))[world] == pytest.approx(-31)
    middle = np.delete(apply_affine(grid.affine, np.array([0.0, 50, 50])), world)
    np.testing.assert_allclose(middle, np.delete([0.0, -18, 4], world))


def test_brain_fits_into_a_frame_of_192_mm() -> None:
    from neurofocus.data.template import template_on_frames

    mask = template_on_frames(frame_grid(PrepareConfig(), 192))[1]
    assert mask.any(axis=(1, 2)).all()
    assert not mask[:, [0, -1]].any()
    assert not mask[:, :, [0, -1]].any()


def test_rows_are_upright() -> None:
    """The brain stem is at the bottom of its coronal frame, the eyes' side at the top of an axial one."""
    from neurofocus.data.template import template_on_frames

    coronal = frame_grid(PrepareConfig(range_mm=(-30.0, -20.0)), 192)
    widths = template_on_frames(coronal)[1][0].sum(axis=1)
    rows = np.flatnonzero(widths)
    assert widths[rows[-10:]].mean() < widths[rows[:60]].mean() / 2
    axial = frame_grid(PrepareConfig(axis="axial", range_mm=(0.0, 10.0)), 224)
    occupied = np.flatnonzero(template_on_frames(axial)[1][0].any(axis=1))
    front = apply_affine(axial.affine, np.array([0.0, occupied[0], 112]))
    assert front[1] > 60


@given(available=st.integers(1, 300), wanted=st.integers(1, 64), seed=st.none() | st.integers(0, 2**31))
@settings(max_examples=200)
def test_one_frame_of_each_segment(available: int, wanted: int, seed: int | None) -> None:
    rng = None if seed is None else np.random.default_rng(seed)
    chosen = sample_frame_indices(available, wanted, rng)
    assert chosen.shape == (wanted,)
    assert chosen.min() >= 0
    assert chosen.max() < available
    assert (np.diff(chosen) >= 0).all()
    if available >= wanted:
        assert (np.diff(chosen) > 0).all()
        low = np.arange(wanted) * available // wanted
        high = np.arange(1, wanted + 1) * available // wanted
        assert ((chosen >= low) & (chosen < high)).all()


def test_middle_frames_by_hand() -> None:
    assert sample_frame_indices(9, 3, None).tolist() == [1, 4, 7]
    assert sample_frame_indices(8, 8, None).tolist() == list(range(8))
    assert sample_frame_indices(2, 4, None).tolist() == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="cannot choose 3 of 0 frames"):
        sample_frame_indices(0, 3, None)


def test_every_frame_of_a_segment_is_drawn_about_equally_often() -> None:
    rng = np.random.default_rng(0)
    counts = np.bincount(
        np.concatenate([sample_frame_indices(12, 3, rng) for _ in range(3000)]), minlength=12
    )
    assert counts.min() > 650
    assert counts.max() < 850
