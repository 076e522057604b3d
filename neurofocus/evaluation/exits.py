"""What stopping early does to the result: measures of answers that are given with a probability.

A case that stops at random has a share of being right instead of right or wrong; its mean over the cases is what the
mean over all ways to deal the same stops would be, so that nothing need be dealt.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurofocus.evaluation.intervals import bootstrap_weights, percentile_interval

__all__ = ["EXIT_MEASURES", "HitSummary", "share_measures"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
EXIT_MEASURES = ("balanced_accuracy", "accuracy")


def share_measures(shares: Floats, labels: Ints, weights: Floats | None = None) -> dict[str, Floats]:
    """Return accuracy and balanced accuracy, [B] each; NaN where a draw has only one class.

    Args:
        shares: [N] how likely each case is answered right, 0 to 1.
        labels: [N] class indices.
        weights: [B, N] of resampling; None is one row of ones.
    """
    weights = np.ones((1, len(labels))) if weights is None else weights
    members = labels[:, None] == np.unique(labels)
    total = weights @ members
    with np.errstate(invalid="ignore"):
        recalls = (weights @ (members * shares[:, None])) / total
    present = total > 0
    count = present.sum(axis=1)
    balanced = np.where(present, recalls, 0).sum(axis=1) / np.maximum(count, 1)
    return {
        "balanced_accuracy": np.where(count > 1, balanced, np.nan),
        "accuracy": np.asarray(weights @ shares / weights.sum(axis=1), dtype=np.float64),
    }


@dataclass(frozen=True)
class HitSummary:
    """Figures with intervals for many ways to run the same cases, all from the same bootstrap draws."""

    labels: Ints
    weights: Floats

    @classmethod
    def of(cls, participants: list[str], labels: Ints, *, seed: int) -> "HitSummary":
        """Draw people again with all their scans, within their label, as ``evaluation.summary`` does."""
        return cls(labels, bootstrap_weights(participants, labels.tolist(), seed=seed))

    def figures(self, shares: Floats) -> dict[str, Mapping[str, float | None]]:
        """Return each measure of shares [N] as value, low and high (95 %); None where there is nothing to measure."""
        points = share_measures(shares, self.labels)
        draws = share_measures(shares, self.labels, self.weights)
        found = {}
        for name in EXIT_MEASURES:
            values = (float(points[name][0]), *percentile_interval(draws[name]))
            plain = (None if np.isnan(value) else value for value in values)
            found[name] = dict(zip(("value", "low", "high"), plain, strict=True))
        return found
