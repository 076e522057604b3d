"""Measures of shares against those of decisions, and against deals that are really made."""

import numpy as np
import pytest

from neurofocus.evaluation.exits import share_figures, share_measures
from neurofocus.evaluation.intervals import bootstrap_weights, percentile_interval
from neurofocus.evaluation.metrics import Scores, compute_metrics

COUNT = 60


def scores(classes: int, seed: int = 0) -> Scores:
    rng = np.random.default_rng(seed)
    labels, predicted = rng.integers(classes, size=(2, COUNT))
    return Scores(labels, predicted, rng.dirichlet(np.ones(classes), COUNT))


@pytest.mark.parametrize("classes", [2, 3])
def test_of_decisions_they_are_the_metrics(classes: int) -> None:
    given = scores(classes)
    weights = bootstrap_weights([f"p{i // 2}" for i in range(COUNT)], given.labels.tolist(), seed=1)
    right = (given.predicted == given.labels).astype(np.float64)
    found, expected = share_measures(right, given.labels, weights), compute_metrics(given, weights)
    for name in ("balanced_accuracy", "accuracy"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-12)
        figures = share_figures(right, given.labels, weights)[name]
        assert figures["value"] == pytest.approx(float(compute_metrics(given)[name][0]))
        assert (figures["low"], figures["high"]) == pytest.approx(percentile_interval(expected[name]))


def test_the_share_is_the_mean_of_all_deals() -> None:
    given, rng = scores(2), np.random.default_rng(3)
    right = rng.random((COUNT, 3)) < [0.2, 0.6, 0.9]
    steps = rng.integers(3, size=COUNT)
    shares = right @ (np.bincount(steps, minlength=3) / COUNT)
    deals = [right[np.arange(COUNT), rng.permutation(steps)] for _ in range(4000)]
    measured = [share_measures(deal, given.labels)["balanced_accuracy"][0] for deal in deals]
    assert share_measures(shares, given.labels)["balanced_accuracy"][0] == pytest.approx(
        np.mean(measured), abs=4 * np.std(measured) / np.sqrt(len(measured))
    )


def test_one_class_has_no_balanced_accuracy() -> None:
    labels, weights = np.zeros(5, np.int64), np.ones((7, 5))
    figures = share_figures(np.array([1.0, 1, 0, 1, 0]), labels, weights)
    assert figures["balanced_accuracy"] == {"value": None, "low": None, "high": None}
    assert figures["accuracy"] == pytest.approx({"value": 0.6, "low": 0.6, "high": 0.6})
