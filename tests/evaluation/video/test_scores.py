"""From logits to scores: softmax, crops, duplicates, and what is refused."""

import logging

import numpy as np
import pytest
from scipy.special import softmax as oracle

from neurofocus.evaluation.video.scores import VideoScores, score_videos, softmax

CASES = ["a", "b", "c", "d"]
LABELS = [(0,), (1, 2), (2,), (0,)]


def logits(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape) * 3


def test_softmax_is_scipys_and_survives_large_logits() -> None:
    values = logits(4, 2, 3)
    np.testing.assert_allclose(softmax(values), oracle(values, axis=-1), rtol=1e-12)
    np.testing.assert_allclose(softmax(values + 1e4), oracle(values, axis=-1), rtol=1e-9)
    assert softmax(values.astype(np.float32)).dtype == np.float64


def test_labels_become_targets() -> None:
    scores = score_videos(CASES, LABELS, logits(4, 2, 3))
    assert scores.targets.astype(int).tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 0, 0]]
    assert (scores.cases, scores.num_steps, scores.num_classes) == (tuple(CASES), 2, 3)
    np.testing.assert_allclose(scores.probabilities.sum(-1), 1)


def test_crops_are_averaged_as_probabilities_not_as_logits() -> None:
    values = logits(4, 3, 2, 3)
    found = score_videos(CASES, LABELS, values).probabilities
    np.testing.assert_allclose(found, sum(oracle(values[:, crop], axis=-1) for crop in range(3)) / 3)
    assert np.abs(found - oracle(values.mean(1), axis=-1)).max() > 0.01


def test_padding_is_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    values = logits(6, 1, 3)
    values[4:] = values[:2]
    with caplog.at_level(logging.WARNING, "neurofocus.evaluation"):
        scores = score_videos([*CASES, "a", "b"], [*LABELS, (0,), (2, 1)], values)
    assert "2 cases came twice" in caplog.text
    np.testing.assert_array_equal(scores.probabilities, score_videos(CASES, LABELS, values[:4]).probabilities)
    assert scores.cases == tuple(CASES)


def test_each_video_may_stop_at_its_own_step() -> None:
    scores = score_videos(CASES, LABELS, logits(4, 3, 3))
    stopped = scores.stopped(np.array([2, 0, 1, 2]))
    assert stopped.num_steps == 1
    for place, step in enumerate([2, 0, 1, 2]):
        np.testing.assert_array_equal(stopped.probabilities[place, 0], scores.probabilities[place, step])


def test_what_is_refused() -> None:
    bad = logits(4, 1, 3)
    bad[2, 0, 1] = np.nan
    with pytest.raises(ValueError, match=r"1 of 4 videos have logits that are not finite: c$"):
        score_videos(CASES, LABELS, bad)
    good = logits(4, 1, 3)
    with pytest.raises(ValueError, match=r"case 'a' comes twice, with labels \(0,\) and \(1,\)"):
        score_videos(["a", "b", "c", "a"], [(0,), (1,), (2,), (1,)], good)
    with pytest.raises(ValueError, match=r"labels \(3,\) do not all lie in 0..2"):
        score_videos(CASES, [(0,), (3,), (2,), (1,)], good)
    with pytest.raises(ValueError, match="1 of 4 videos have no label: b"):
        score_videos(CASES, [(0,), (), (2,), (1,)], good)
    with pytest.raises(ValueError, match="3 cases"):
        score_videos(CASES[:3], LABELS, good)
    with pytest.raises(ValueError, match="sum other than 1: b"):
        VideoScores(("a", "b"), np.eye(2, dtype=bool), np.array([[[0.5, 0.5]], [[0.5, 0.6]]]))
    with pytest.raises(ValueError, match="scored twice"):
        VideoScores(("a", "a"), np.eye(2, dtype=bool), np.full((2, 1, 2), 0.5))
