"""Measures of answers that are right with a probability, as where cases stop at random.

Both measures are linear in the cases' shares of being right: the share over all ways to deal the same stops gives the
mean over all deals, so that nothing need be dealt, and the difference of two shares gives the difference of measures.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from neurofocus.evaluation.intervals import percentile_interval

__all__ = ["EXIT_MEASURES", "share_figures", "share_measures"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
EXIT_MEASURES = ("balanced_accuracy", "accuracy")


def share_measures(shares: Floats, labels: Ints, weights: Floats | None = None) -> dict[str, Floats]:
    """Return balanced accuracy and accuracy, [B] each; the former is NaN where a draw has only one class.

    Args:
        shares: [N] how likely each case is answered right, or a difference of two such likelihoods.
        labels: [N] class indices.
        weights: [B, N] of resampling; None is one row of ones.
    """
    weights = np.ones((1, len(labels))) if weights is None else weights
    members = (labels[:, None] == np.unique(labels)).astype(np.float64)
    total = weights @ members
    recalls = (weights @ (members * shares[:, None])) / np.maximum(total, 1e-300)
    count = (total > 0).sum(axis=1)
    return {
        "balanced_accuracy": np.where(count > 1, recalls.sum(axis=1) / np.maximum(count, 1), np.nan),
        "accuracy": np.asarray(weights @ shares / weights.sum(axis=1), dtype=np.float64),
    }


def share_figures(shares: Floats, labels: Ints, weights: Floats) -> dict[str, Mapping[str, float | None]]:
    """Return each measure as value, low and high (95 %); None where there is nothing to measure.

    Args:
        shares: as for ``share_measures``.
        labels: [N] class indices.
        weights: [B, N] from ``bootstrap_weights``; the same draws for everything that is compared.
    """
    points, draws = share_measures(shares, labels), share_measures(shares, labels, weights)
    found: dict[str, Mapping[str, float | None]] = {}
    for name in EXIT_MEASURES:
        values = (float(points[name][0]), *percentile_interval(draws[name]))
        plain = (None if np.isnan(value) else value for value in values)
        found[name] = dict(zip(("value", "low", "high"), plain, strict=True))
    return found
