import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from neurofocus.evaluation.thresholds import choose_threshold, decide


def reached(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> float:
    return float(balanced_accuracy_score(labels, probabilities >= threshold))


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 40), st.sampled_from([1, 2, 16]))
def test_no_other_threshold_is_better(seed: int, count: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], rng.integers(0, 2, count - 2)])
    probabilities = np.round(rng.random(count), decimals)
    best = reached(labels, probabilities, choose_threshold(labels, probabilities))
    candidates = np.concatenate([[-1, 0, 0.5, 1, 2], probabilities, np.nextafter(probabilities, 2)])
    best_of_all = max(reached(labels, probabilities, t) for t in np.unique(candidates))
    assert best == pytest.approx(best_of_all, abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "probabilities", "threshold"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9], 0.4),  # the middle of the one perfect gap
        ([0, 1, 0, 1], [0.1, 0.2, 0.7, 0.9], 0.8),  # two equal gaps: 0.15 and 0.8; 0.8 is nearer 0.5
        ([0, 1], [0.3, 0.3], 0.65),  # nothing separates: of 0..0.3 and 0.3..1 the middle nearer 0.5
        ([1, 0], [0.0, 1.0], 0.0),  # the gap 0..1 is worse than calling all scans positive
    ],
)
def test_by_hand(labels: list[int], probabilities: list[float], threshold: float) -> None:
    assert choose_threshold(np.array(labels), np.array(probabilities)) == pytest.approx(threshold)


def test_neighbouring_floats_are_separated() -> None:
    low = 0.3
    high = float(np.nextafter(low, 1))
    threshold = choose_threshold(np.array([0, 1]), np.array([low, high]))
    assert low < threshold <= high


def test_refusals() -> None:
    with pytest.raises(ValueError, match="both classes"):
        choose_threshold(np.array([1, 1]), np.array([0.2, 0.4]))
    with pytest.raises(ValueError, match=r"0\.\.1"):
        choose_threshold(np.array([0, 1]), np.array([0.2, np.nan]))
    with pytest.raises(ValueError, match="two classes"):
        decide(np.full((2, 3), 1 / 3), 0.5)


def test_decide() -> None:
    probabilities = np.array([[0.8, 0.2], [0.7, 0.3], [0.1, 0.9]])
    assert decide(probabilities).tolist() == [0, 0, 1]
    assert decide(probabilities, 0.3).tolist() == [0, 1, 1]
    assert decide(np.array([[0.2, 0.5, 0.3]])).tolist() == [1]
