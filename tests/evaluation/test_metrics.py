"""Oracle: scikit-learn, with sample weights where it takes them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from neurofocus.evaluation.metrics import (
    Scores,
    compute_metrics,
    confusion_matrix,
    metric_names,
    roc_curve,
)


def draw_scores(seed: int, classes: int, count: int = 40, decimals: int = 1) -> Scores:
    """Every class occurs; rounding makes ties."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, count - classes)])
    # Distances from quarters keep the sums exactly 1 and make many ties.
    raw = rng.integers(0, 10**decimals, (count, classes)) + np.eye(classes)[labels] * 3
    probabilities = (raw + 1) / (raw + 1).sum(axis=1, keepdims=True)
    return Scores(labels, probabilities.argmax(axis=1), probabilities)


def expected(scores: Scores, weights: np.ndarray) -> dict[str, float]:
    labels, predicted, probabilities = scores.labels, scores.predicted, scores.probabilities
    values = {
        "accuracy": oracle.accuracy_score(labels, predicted, sample_weight=weights),
        "balanced_accuracy": oracle.balanced_accuracy_score(labels, predicted, sample_weight=weights),
    }
    if scores.num_classes > 2:
        areas = [
            oracle.roc_auc_score(labels == k, probabilities[:, k], sample_weight=weights)
            for k in range(scores.num_classes)
        ]
        names = list(range(scores.num_classes))
        loss = oracle.brier_score_loss(labels, probabilities, labels=names, sample_weight=weights)
        return {**values, "roc_auc": float(np.mean(areas)), "brier": loss}
    positive = probabilities[:, 1]
    return {
        **values,
        "roc_auc": oracle.roc_auc_score(labels, positive, sample_weight=weights),
        "sensitivity": oracle.recall_score(labels, predicted, sample_weight=weights),
        "specificity": oracle.recall_score(labels, predicted, pos_label=0, sample_weight=weights),
        "brier": oracle.brier_score_loss(labels, positive, sample_weight=weights),
    }


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_metrics_equal_scikit_learn(seed: int, classes: int) -> None:
    scores = draw_scores(seed, classes)
    rng = np.random.default_rng(seed + 1)
    weights = np.stack([np.ones(40), rng.integers(1, 5, 40).astype(float)])
    found = compute_metrics(scores, weights)
    assert list(found) == metric_names(classes)
    for row in range(2):
        for name, value in expected(scores, weights[row]).items():
            assert found[name][row] == pytest.approx(value, abs=1e-12), name


def test_macro_auc_without_weights_is_scikit_learns_one_against_the_rest() -> None:
    scores = draw_scores(5, 3)
    value = oracle.roc_auc_score(scores.labels, scores.probabilities, multi_class="ovr", average="macro")
    assert compute_metrics(scores)["roc_auc"][0] == pytest.approx(value, abs=1e-12)


def test_predictions_need_not_be_the_most_probable_class() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    labels = np.array([0, 0, 1, 1])
    found = compute_metrics(Scores(labels, (probabilities[:, 1] >= 0.25).astype(np.int64), probabilities))
    assert found["balanced_accuracy"][0] == 1.0
    assert found["sensitivity"][0] == 1.0
    assert found["roc_auc"][0] == 1.0
    # By hand: (0.01 + 0.04 + 0.49 + 0.36) / 4 and bins 0.1 | 0.2 | 0.3 | 0.4 alone.
    assert found["brier"][0] == pytest.approx(0.225)
    assert found["ece"][0] == pytest.approx((0.1 + 0.2 + 0.7 + 0.6) / 4)


def test_one_class_gives_nan_where_two_are_needed() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    found = compute_metrics(Scores(np.array([1, 1]), np.array([0, 1]), probabilities))
    assert np.isnan(found["balanced_accuracy"][0])
    assert np.isnan(found["roc_auc"][0])
    assert np.isnan(found["specificity"][0])
    assert found["accuracy"][0] == 0.5
    assert found["sensitivity"][0] == 0.5


def test_confusion_matrix_and_roc_curve() -> None:
    scores = draw_scores(3, 3)
    assert (confusion_matrix(scores) == oracle.confusion_matrix(scores.labels, scores.predicted)).all()
    two = draw_scores(4, 2)
    false, true, _ = oracle.roc_curve(two.labels, two.probabilities[:, 1], drop_intermediate=False)
    found = roc_curve(two.labels == 1, two.probabilities[:, 1])
    np.testing.assert_allclose(found[0], false)
    np.testing.assert_allclose(found[1], true)
    with pytest.raises(ValueError, match="positive and negative"):
        roc_curve(np.ones(3, dtype=bool), np.arange(3.0))


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([0, 1], [[0.5, 0.5], [float("nan"), 0.5]], "1 probabilities are NaN"),
        ([0, 1], [[0.5, 0.5], [0.7, 0.5]], "sum to 1"),
        ([0, 1], [[0.5, 0.5], [-0.5, 1.5]], r"0\.\.1"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], r"labels must lie in 0\.\.1"),
        ([0], [[0.5, 0.5], [0.5, 0.5]], "same scans"),
    ],
)
def test_bad_scores_are_refused(labels: list[int], probabilities: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scores(np.array(labels), np.zeros(len(labels), dtype=np.int64), np.array(probabilities))
