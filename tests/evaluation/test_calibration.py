import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve

from neurofocus.evaluation.calibration import (
    calibration_pairs,
    expected_calibration_error,
    reliability_curve,
    wilson_interval,
)


def test_reliability_curve_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    probabilities = np.concatenate([rng.random(200), np.linspace(0, 1, 11)])
    outcomes = (rng.random(211) < probabilities).astype(float)
    curve = reliability_curve(probabilities, outcomes)
    observed, mean = calibration_curve(outcomes, probabilities, n_bins=10)
    np.testing.assert_allclose([item.mean_probability for item in curve], mean)
    np.testing.assert_allclose([item.observed for item in curve], observed)
    assert sum(item.count for item in curve) == 211
    by_hand = sum(item.count / 211 * abs(item.mean_probability - item.observed) for item in curve)
    assert expected_calibration_error(probabilities, outcomes)[0] == pytest.approx(by_hand)


def test_weights_repeat_scans() -> None:
    rng = np.random.default_rng(1)
    probabilities, outcomes = rng.random(30), rng.integers(0, 2, 30).astype(float)
    weights = rng.integers(0, 4, (1, 30))
    repeated = np.repeat(np.arange(30), weights[0])
    assert expected_calibration_error(probabilities, outcomes, weights.astype(float))[0] == pytest.approx(
        expected_calibration_error(probabilities[repeated], outcomes[repeated])[0]
    )


def test_overconfidence_is_seen() -> None:
    probabilities = np.tile([0.05, 0.95], 500)
    outcomes = np.random.default_rng(2).permuted(np.tile([0.0, 1.0], 500))
    assert expected_calibration_error(probabilities, outcomes)[0] == pytest.approx(0.45, abs=0.05)


def test_pairs_for_two_and_more_classes() -> None:
    probabilities, outcomes = calibration_pairs(np.array([1, 0]), np.array([[0.3, 0.7], [0.6, 0.4]]))
    assert probabilities.tolist() == [0.7, 0.4]
    assert outcomes.tolist() == [1, 0]
    probabilities, outcomes = calibration_pairs(
        np.array([1, 0]), np.array([[0.2, 0.5, 0.3], [0.3, 0.3, 0.4]])
    )
    assert probabilities.tolist() == [0.5, 0.4]
    assert outcomes.tolist() == [1, 0]


@pytest.mark.parametrize(("hits", "count"), [(0, 5), (3, 7), (50, 80), (9, 9)])
def test_wilson_interval_equals_scipy(hits: int, count: int) -> None:
    interval = binomtest(hits, count).proportion_ci(method="wilson")
    assert wilson_interval(hits / count, count) == pytest.approx((interval.low, interval.high), abs=1e-12)
