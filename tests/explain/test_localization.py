import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from neurofocus.data.frames import FrameGrid
from neurofocus.explain.localization import LocalizationScores, localization_scores, region_on_grid
from neurofocus.explain.saliency import CaseSaliency, ModelSaliency


def _grid() -> FrameGrid:
    """Ten coronal frames 4 mm apart from y = -20, 8 x 8 pixels of 2 mm, x from 0, z down from 14."""
    affine = np.array([[0.0, 0, 2, 0], [4, 0, 0, -20], [0, -2, 0, 14], [0, 0, 0, 1]])
    return FrameGrid(num_frames=10, frame_size=8, affine=affine)


def _saliency(
    volume: np.ndarray, *, frames: tuple[int, ...] = (2, 3), centers: tuple[float, float] = (4.5, 4.5)
) -> CaseSaliency:
    count = len(frames)
    model = ModelSaliency(
        frames=np.array(frames),
        boxes=np.tile([centers[0], centers[1], 4.0, 4.0], (count, 1)),
        weights=np.ones(count),
        relevance=np.full(count, 0.5 / count),
        probabilities=np.array([0.5, 0.5]),
    )
    return CaseSaliency(volume.astype(np.float32), (model,), 1)


def _region() -> np.ndarray:
    region = np.zeros((10, 8, 8), dtype=bool)
    region[2:4, 3:5, 3:5] = True
    return region


def _score(saliency: CaseSaliency, brain: np.ndarray, tolerance: float = 0.0) -> LocalizationScores:
    return localization_scores(
        saliency, _region(), brain, grid=_grid(), slice_range_mm=(-12.0, -5.0), tolerance_mm=tolerance
    )


def test_scores_by_hand() -> None:
    volume = np.zeros((10, 8, 8))
    volume[2, 3, 3] = 1.0  # inside
    volume[3, 4, 4] = 0.5  # inside
    volume[7, 0, 0] = 0.5  # outside
    scores = _score(_saliency(volume), np.ones((10, 8, 8), dtype=bool))
    assert scores.energy_share == pytest.approx(0.75)
    assert scores.volume_share == pytest.approx(8 / 640)
    assert scores.energy_ratio == pytest.approx(60.0)
    assert scores.pointing_hit
    assert scores.peak_distance_mm == 0
    assert scores.chance_auprc == pytest.approx(8 / 640)
    # Ranked: 1 hit; then a tie of one hit and one miss; then the other 6 hits among all 637 zeros.
    expected = 1 / 8 * 1 + 1 / 8 * 2 / 3 + 6 / 8 * 8 / 640
    assert scores.auprc == pytest.approx(expected)
    # Box centres at pixel (row 4, column 4) of frames 2 and 3: inside the region.
    assert scores.patch_distance_mm == 0
    # y of frames 2 and 3 is -12 and -8; of all ten frames, -12 and -8 lie in the range.
    assert scores.slice_recall == 1.0
    assert scores.uniform_slice_recall == pytest.approx(0.2)


def test_distances_are_in_millimetres() -> None:
    volume = np.zeros((10, 8, 8))
    volume[6, 4, 7] = 1.0  # three frames (12 mm) and three columns (6 mm) from the region's nearest voxel
    saliency = _saliency(volume, frames=(2, 5), centers=(4.5, 7.5))
    scores = _score(saliency, np.ones((10, 8, 8), dtype=bool))
    assert scores.peak_distance_mm == pytest.approx(np.hypot(12, 6))
    assert not scores.pointing_hit
    assert _score(saliency, np.ones((10, 8, 8), dtype=bool), tolerance=14).pointing_hit
    # Centres at (row 7, column 4): 3 rows (6 mm) below the region, in frame 2, and 2 frames (8 mm) beyond in frame 5.
    assert scores.patch_distance_mm == pytest.approx((6 + 10) / 2)
    assert scores.slice_recall == 0.5


def test_only_the_brain_counts_as_volume() -> None:
    brain = np.zeros((10, 8, 8), dtype=bool)
    brain[2:4] = True
    brain[2, 3, 3] = False
    scores = _score(_saliency(np.ones((10, 8, 8))), brain)
    assert scores.volume_share == pytest.approx(7 / 127)
    assert scores.energy_share == pytest.approx(7 / 640)


def test_average_precision_agrees_with_scikit_learn_and_uniform_saliency_is_at_chance() -> None:
    brain = np.ones((10, 8, 8), dtype=bool)
    volume = np.random.default_rng(0).random((10, 8, 8))
    scores = _score(_saliency(volume), brain)
    assert scores.auprc == pytest.approx(
        average_precision_score(_region().ravel(), volume.astype(np.float32).ravel())
    )
    flat = _score(_saliency(np.ones((10, 8, 8))), brain)
    assert flat.energy_ratio == pytest.approx(1.0)
    assert flat.auprc == pytest.approx(flat.chance_auprc)


def test_no_saliency_scores_nothing() -> None:
    scores = _score(_saliency(np.zeros((10, 8, 8))), np.ones((10, 8, 8), dtype=bool))
    assert scores.energy_share == 0
    assert not scores.pointing_hit
    assert set(scores.as_dict()) == set(LocalizationScores.__dataclass_fields__)


def test_unusable_regions_are_refused() -> None:
    brain = np.ones((10, 8, 8), dtype=bool)
    saliency = _saliency(np.ones((10, 8, 8)))
    with pytest.raises(ValueError, match="proper part"):
        localization_scores(saliency, ~brain, brain, grid=_grid())
    with pytest.raises(ValueError, match="proper part"):
        localization_scores(saliency, brain, brain, grid=_grid())
    with pytest.raises(ValueError, match="must agree"):
        localization_scores(saliency, brain[:5], brain, grid=_grid())


def test_a_template_map_lands_on_the_right_pixels() -> None:
    truth = np.zeros((16, 40, 16), dtype=np.float32)
    affine = np.eye(4)
    affine[:3, 3] = [0, -20, 0]
    # x = 6, y = -8, z = 10: column 3, frame 3, row 2.
    truth[5:8, 11:14, 9:12] = 1.0
    region = region_on_grid(truth, affine, _grid(), threshold=0.5)
    assert np.argwhere(region).tolist() == [[3, 2, 3]]
