"""Training augmentation: reproducible, in millimetres, background untouched."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from neurofocus.data.augment import Augmenter
from neurofocus.schema.run import AugmentConfig, PrepareConfig

SHAPE = (12, 24, 20)
# Frames 3 mm apart, pixels of 1.5 mm; columns run from left to right.
AFFINE = np.array(
    [[0, 0, 1.5, -14.25], [3, 0, 0, -16.5], [0, -1.5, 0, 17.25], [0, 0, 0, 1]], dtype=np.float64
)
STILL = AugmentConfig(rotate_degrees=0, translate_mm=0, scale_fraction=0, probability=0)


@pytest.fixture(scope="module")
def frames() -> npt.NDArray[np.float32]:
    position = np.indices(SHAPE).astype(np.float64)
    centre = (np.array(SHAPE) - 1) / 2
    inside = sum(((position[i] - centre[i]) / (0.4 * SHAPE[i])) ** 2 for i in range(3)) < 1
    texture = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 1.5)
    texture = (texture - texture[inside].mean()) / texture[inside].std()
    return np.where(inside, texture, 0).astype(np.float32)


def all_of(frames: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    return np.arange(len(frames))


def test_nothing_switched_on_changes_nothing(frames: npt.NDArray[np.float32]) -> None:
    chosen = np.array([1, 4, 7])
    result = Augmenter(STILL, AFFINE)(frames, chosen, seed=3)
    np.testing.assert_allclose(result, frames[chosen], atol=1e-5)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**63 - 1))
def test_background_is_zero_and_moments_stay(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = np.zeros(SHAPE, dtype=np.float32)
    frames[2:10, 5:20, 4:16] = 5 + 3 * rng.normal(size=(8, 15, 12))
    config = AugmentConfig(rotate_degrees=0, translate_mm=0, scale_fraction=0, probability=1, noise_sd=0)
    result = Augmenter(config, AFFINE)(frames, all_of(frames), seed)
    inside = frames != 0
    assert (result[~inside] == 0).all()
    assert result[inside].mean() == pytest.approx(frames[inside].mean(), abs=1e-3)
    assert result[inside].std() == pytest.approx(frames[inside].std(), rel=1e-3)
    assert not np.allclose(result[inside], frames[inside], atol=1e-3)


def test_result_depends_on_the_seed_only(frames: npt.NDArray[np.float32]) -> None:
    augment, chosen = Augmenter(AugmentConfig(probability=1), AFFINE), all_of(frames)
    np.random.seed(1)
    first = augment(frames, chosen, 7)
    np.random.seed(2)
    state = np.random.get_state()[1]
    again = Augmenter(AugmentConfig(probability=1), AFFINE)(frames, chosen, 7)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(state, np.random.get_state()[1])
    assert not np.array_equal(first, augment(frames, chosen, 8))


def test_the_case_itself_is_not_touched(frames: npt.NDArray[np.float32]) -> None:
    before = frames.copy()
    frozen = frames.copy()
    frozen.flags.writeable = False
    config = AugmentConfig(probability=1, flip_left_right=True)
    for seed in range(4):
        Augmenter(config, AFFINE)(frozen, all_of(frames), seed)
    np.testing.assert_array_equal(frozen, before)


def test_chosen_frames_are_those_of_the_whole_stack(frames: npt.NDArray[np.float32]) -> None:
    config = AugmentConfig(probability=0)
    augment = Augmenter(config, AFFINE)
    whole = augment(frames, all_of(frames), 5)
    part = augment(frames, np.array([2, 3, 9]), 5)
    inside = (part != 0) & (whole[[2, 3, 9]] != 0)
    # Mean and spread are those of the chosen frames, so compare up to an affine change of intensity.
    assert np.corrcoef(part[inside], whole[[2, 3, 9]][inside])[0, 1] > 0.999999


def test_move_agrees_with_scipy(frames: npt.NDArray[np.float32]) -> None:
    augment = Augmenter(AugmentConfig(probability=0), AFFINE)
    affine = augment._draw_affine(np.random.RandomState(11))
    moved, mask = augment._move(frames, all_of(frames), np.random.RandomState(11))
    centre = (np.array(SHAPE) - 1) / 2
    offset = affine[:, :3] @ -centre + affine[:, 3] + centre
    sums = ndimage.affine_transform(frames.astype(np.float64), affine[:, :3], offset, order=1)
    weights = ndimage.affine_transform((frames != 0).astype(np.float64), affine[:, :3], offset, order=1)
    sure = np.abs(weights - 0.5) > 1e-3
    np.testing.assert_array_equal(mask[sure], (weights >= 0.5)[sure])
    both = mask & (weights >= 0.5)
    np.testing.assert_allclose(moved[both], (sums[both] / weights[both]), atol=2e-4)
    assert both.sum() > 100


def test_affine_is_rigid_in_millimetres() -> None:
    augment = Augmenter(AugmentConfig(scale_fraction=0, rotate_degrees=20), AFFINE)
    for seed in range(5):
        affine = augment._draw_affine(np.random.RandomState(seed))
        spacing = np.diag(augment.spacing_mm)
        in_mm = spacing @ affine[:, :3] @ np.linalg.inv(spacing)
        np.testing.assert_allclose(in_mm @ in_mm.T, np.eye(3), atol=1e-6)
        shift_mm = spacing @ affine[:, 3]
        assert np.abs(shift_mm).max() <= 4 * np.sqrt(3)
    np.testing.assert_allclose(augment.spacing_mm, [3, 1.5, 1.5])


def test_edge_is_not_diluted_by_the_background() -> None:
    frames = np.zeros(SHAPE, dtype=np.float32)
    frames[2:10, 5:20, 4:16] = 7.0
    moved, mask = Augmenter(AugmentConfig(), AFFINE)._move(frames, all_of(frames), np.random.RandomState(0))
    np.testing.assert_allclose(moved[mask], 7.0, atol=1e-4)
    assert (moved[~mask] == 0).all()


@pytest.mark.parametrize(("axis", "expected"), [("coronal", 2), ("axial", 2), ("sagittal", 0)])
def test_flip_is_along_left_and_right(axis: str, expected: int) -> None:
    from neurofocus.data.frames import frame_grid

    grid = frame_grid(PrepareConfig.model_validate({"axis": axis}), 32)
    augment = Augmenter(STILL.model_copy(update={"flip_left_right": True}), grid.affine)
    assert augment.left_right_axis == expected
    frames = np.random.default_rng(0).normal(size=(6, 8, 8)).astype(np.float32)
    flipped = np.flip(frames, axis=expected)
    results = [augment(frames, all_of(frames), seed) for seed in range(12)]
    kinds = [np.allclose(r, flipped, atol=1e-5) - np.allclose(r, frames, atol=1e-5) for r in results]
    assert set(kinds) == {1, -1}


def test_flip_is_off_by_default(frames: npt.NDArray[np.float32]) -> None:
    for seed in range(8):
        np.testing.assert_allclose(Augmenter(STILL, AFFINE)(frames, all_of(frames), seed), frames, atol=1e-5)


def test_empty_case_stays_empty() -> None:
    frames = np.zeros(SHAPE, dtype=np.float32)
    assert not Augmenter(AugmentConfig(probability=1), AFFINE)(frames, all_of(frames), 0).any()


def test_constant_case_stays_finite() -> None:
    frames = np.zeros(SHAPE, dtype=np.float32)
    frames[3:9, 5:20, 4:16] = 2.0
    result = Augmenter(AugmentConfig(probability=1), AFFINE)(frames, all_of(frames), 0)
    assert np.isfinite(result).all()


def test_noise_has_the_asked_size() -> None:
    rng = np.random.default_rng(0)
    frames = (3 * rng.normal(size=(20, 40, 40))).astype(np.float32)
    config = STILL.model_copy(
        update={"probability": 1.0, "bias_field": 0.0, "gamma": (1.0, 1.0), "noise_sd": 0.1}
    )
    spreads = [
        float((Augmenter(config, AFFINE)(frames, all_of(frames), s) - frames).std()) for s in range(20)
    ]
    # MONAI draws the spread uniformly from 0 to the asked one.
    assert 0.2 < max(spreads) < 0.31
