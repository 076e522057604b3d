"""Classification metrics, each a pure function of scores and resampling weights.

One implementation gives the point estimate (weights of one) and all bootstrap draws (``intervals.py``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurofocus.evaluation.calibration import calibration_pairs, expected_calibration_error

__all__ = ["METRICS", "Scores", "compute_metrics", "confusion_matrix", "metric_names", "roc_curve"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """What was predicted for N scans of K classes; with two classes the last one is positive.

    Attributes:
        labels: [N] class indices.
        predicted: [N] class indices as decided (argmax, or a threshold chosen on validation).
        probabilities: [N, K].

    Raises:
        ValueError: if shapes disagree, or probabilities are not finite or do not sum to 1.
    """

    labels: Ints
    predicted: Ints
    probabilities: Floats

    def __post_init__(self) -> None:
        count, classes = self.probabilities.shape
        if self.labels.shape != (count,) or self.predicted.shape != (count,) or count == 0:
            raise ValueError(
                f"labels {self.labels.shape}, predicted {self.predicted.shape} and probabilities "
                f"{self.probabilities.shape} must describe the same scans, at least one"
            )
        if not np.isfinite(self.probabilities).all():
            raise ValueError(
                f"{int((~np.isfinite(self.probabilities)).sum())} probabilities are NaN or infinite"
            )
        if (self.probabilities < 0).any() or np.abs(self.probabilities.sum(axis=1) - 1).max() > 1e-3:
            raise ValueError("probabilities must lie in 0..1 and sum to 1 for every scan")
        for name, values in (("labels", self.labels), ("predicted", self.predicted)):
            if values.min() < 0 or values.max() >= classes:
                raise ValueError(f"{name} must lie in 0..{classes - 1}")

    @property
    def num_classes(self) -> int:
        """K."""
        return int(self.probabilities.shape[1])


def accuracy(scores: Scores, weights: Floats) -> Floats:
    """Return the share of scans predicted right, [B]."""
    return _share(weights, scores.predicted == scores.labels, np.ones(len(scores.labels), dtype=bool))


def balanced_accuracy(scores: Scores, weights: Floats) -> Floats:
    """Return the mean recall over the classes that occur, [B]; NaN if only one class does."""
    recalls = np.stack([_recall(scores, weights, k) for k in range(scores.num_classes)])
    present = ~np.isnan(recalls)
    total = np.where(present, recalls, 0.0).sum(axis=0)
    count = present.sum(axis=0)
    return np.where(count > 1, total / np.maximum(count, 1), np.nan)


def roc_auc(scores: Scores, weights: Floats) -> Floats:
    """Return the area under the ROC curve, [B]: of the positive class, or the mean of one against the rest.

    Weighted Mann-Whitney statistic, ties count half. NaN if a class does not occur.
    """
    if scores.num_classes == 2:
        return _binary_auc(scores.probabilities[:, 1], scores.labels == 1, weights)
    areas = [
        _binary_auc(scores.probabilities[:, k], scores.labels == k, weights)
        for k in range(scores.num_classes)
    ]
    return np.asarray(np.mean(areas, axis=0), dtype=np.float64)


def sensitivity(scores: Scores, weights: Floats) -> Floats:
    """Return the recall of the positive class, [B]; two classes only."""
    return _recall(scores, weights, 1)


def specificity(scores: Scores, weights: Floats) -> Floats:
    """Return the recall of the negative class, [B]; two classes only."""
    return _recall(scores, weights, 0)


def brier(scores: Scores, weights: Floats) -> Floats:
    """Return the Brier score, [B] (Brier 1950; lower is better).

    Two classes: the mean squared error of the positive class's probability, 0..1. More: the sum over
    classes, 0..2, as scikit-learn's default.
    """
    squared = (scores.probabilities - np.eye(scores.num_classes)[scores.labels]) ** 2
    loss = squared[:, 1] if scores.num_classes == 2 else squared.sum(axis=1)
    return np.asarray(weights @ loss / weights.sum(axis=1), dtype=np.float64)


def ece(scores: Scores, weights: Floats) -> Floats:
    """Return the expected calibration error, [B]; see ``calibration.py``."""
    probabilities, outcomes = calibration_pairs(scores.labels, scores.probabilities)
    return expected_calibration_error(probabilities, outcomes, weights)


Metric = Callable[[Scores, Floats], Floats]
METRICS: Mapping[str, Metric] = {
    "balanced_accuracy": balanced_accuracy,
    "accuracy": accuracy,
    "roc_auc": roc_auc,
    "sensitivity": sensitivity,
    "specificity": specificity,
    "brier": brier,
    "ece": ece,
}
_TWO_CLASSES_ONLY = ("sensitivity", "specificity")


def metric_names(num_classes: int) -> list[str]:
    """Return the metrics reported for K classes; balanced accuracy is macro recall, so K > 2 needs no more."""
    return [name for name in METRICS if num_classes == 2 or name not in _TWO_CLASSES_ONLY]


def compute_metrics(scores: Scores, weights: Floats | None = None) -> dict[str, Floats]:
    """Return every metric [B] for resampling weights [B, N]; None is one row of ones."""
    weights = np.ones((1, len(scores.labels))) if weights is None else weights
    return {name: METRICS[name](scores, weights) for name in metric_names(scores.num_classes)}


def confusion_matrix(scores: Scores) -> Ints:
    """Return counts [K, K]: rows are labels, columns predictions."""
    matrix = np.zeros((scores.num_classes, scores.num_classes), dtype=np.int64)
    np.add.at(matrix, (scores.labels, scores.predicted), 1)
    return matrix


def roc_curve(positive: npt.NDArray[np.bool_], values: Floats) -> tuple[Floats, Floats]:
    """Return false and true positive rates from (0, 0) to (1, 1), one point a distinct value.

    Raises:
        ValueError: if all or none are positive.
    """
    if positive.all() or not positive.any():
        raise ValueError("a ROC curve needs positive and negative scans")
    order = np.argsort(-values, kind="stable")
    last = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    true = np.cumsum(positive[order])[last] / positive.sum()
    false = np.cumsum(~positive[order])[last] / (~positive).sum()
    return np.insert(false, 0, 0.0), np.insert(true, 0, 0.0)


def _recall(scores: Scores, weights: Floats, label: int) -> Floats:
    return _share(weights, scores.predicted == label, scores.labels == label)


def _share(weights: Floats, hit: npt.NDArray[np.bool_], among: npt.NDArray[np.bool_]) -> Floats:
    """Return the weighted share of hits among some scans, [B]; NaN where none carries weight."""
    total = weights @ among.astype(np.float64)
    hits = weights @ (hit & among).astype(np.float64)
    return _ratio(hits, total)


def _binary_auc(values: Floats, positive: npt.NDArray[np.bool_], weights: Floats) -> Floats:
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.insert(np.diff(ordered) > 0, 0, True))
    ups = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    downs = np.add.reduceat(weights[:, order] * ~positive[order], starts, axis=1)
    below = np.cumsum(downs, axis=1) - downs / 2
    pairs = ups.sum(axis=1) * downs.sum(axis=1)
    wins = (ups * below).sum(axis=1)
    return _ratio(wins, pairs)


def _ratio(part: Floats, total: Floats) -> Floats:
    """Return part / total, NaN where the total is zero."""
    result: Floats = np.full(len(total), np.nan)
    np.divide(part, total, out=result, where=total > 0)
    return result
