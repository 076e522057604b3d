import numpy as np
import pytest
from scipy.stats import bootstrap, norm

from neurofocus.evaluation.intervals import bootstrap_weights, percentile_interval
from neurofocus.evaluation.metrics import Scores, compute_metrics


def test_whole_subjects_are_drawn_within_their_label() -> None:
    people = ["b", "a", "b", "c", "d", "e"]
    labels = [0, 0, 0, 1, 1, 1]
    weights = bootstrap_weights(people, labels, seed=0, num_draws=500)
    assert weights.shape == (500, 6)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 0] + weights[:, 1] == 2).all()
    assert (weights[:, 3:].sum(axis=1) == 3).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(6), abs=0.15)


def test_draws_depend_on_the_seed_but_not_on_the_row_order() -> None:
    people = [f"sub-{i}" for i in range(20)]
    labels = [i % 2 for i in range(20)]
    weights = bootstrap_weights(people, labels, seed=3, num_draws=10)
    order = np.random.default_rng(0).permutation(20)
    again = bootstrap_weights([people[i] for i in order], [labels[i] for i in order], seed=3, num_draws=10)
    assert (again == weights[:, order]).all()
    assert not (bootstrap_weights(people, labels, seed=4, num_draws=10) == weights).all()


def test_interval_of_a_mean_equals_scipy() -> None:
    values = np.random.default_rng(1).normal(size=60)
    weights = bootstrap_weights([str(i) for i in range(60)], [0] * 60, seed=0, num_draws=20000)
    low, high = percentile_interval(weights @ values / 60)
    known = bootstrap((values,), np.mean, n_resamples=20000, method="percentile", rng=5).confidence_interval
    assert (low, high) == pytest.approx((known.low, known.high), abs=0.01)


def test_repeated_scans_of_a_subject_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(2).normal(size=40)
    people = [str(i) for i in range(40)]
    once = bootstrap_weights(people, [0] * 40, seed=0, num_draws=4000) @ values / 40
    five = bootstrap_weights(people * 5, [0] * 200, seed=0, num_draws=4000) @ np.tile(values, 5) / 200
    assert percentile_interval(once) == pytest.approx(percentile_interval(five), abs=1e-9)


def test_coverage_of_the_auc_and_the_balanced_accuracy() -> None:
    """Two normal classes one apart: AUC = Phi(1/sqrt 2), balanced accuracy at the middle = Phi(1/2)."""
    truth = {"roc_auc": norm.cdf(np.sqrt(0.5)), "balanced_accuracy": norm.cdf(0.5)}
    labels = np.repeat([0, 1], 60)
    people = [str(i) for i in range(120)]
    hits = dict.fromkeys(truth, 0)
    for repeat in range(200):
        score = np.random.default_rng(repeat).normal(size=120) + labels
        positive = 1 / (1 + np.exp(-(score - 0.5)))
        scores = Scores(
            labels, (positive >= 0.5).astype(np.int64), np.stack([1 - positive, positive], axis=1)
        )
        draws = compute_metrics(
            scores, bootstrap_weights(people, labels.tolist(), seed=repeat, num_draws=300)
        )
        for name, value in truth.items():
            low, high = percentile_interval(draws[name])
            hits[name] += low <= value <= high
    for (
        name,
        count,
    ) in hits.items():  # 95 % of 200 is 190; binomial sd 3, percentile intervals run a little short
        assert 178 <= count <= 199, name


def test_nan_draws_give_no_interval() -> None:
    assert np.isnan(percentile_interval(np.array([0.1, np.nan]))).all()
