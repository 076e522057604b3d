"""From probabilities to a decision; thresholds come from validation scans, never from test scans."""

import numpy as np
import numpy.typing as npt

__all__ = ["choose_threshold", "decide"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def choose_threshold(labels: Ints, probabilities: Floats) -> float:
    """Return the threshold on the positive class's probability with the best balanced accuracy.

    A scan is positive at or above the threshold. All thresholds between two neighbouring probabilities
    decide alike; of the best such gaps the one whose middle is nearest 0.5 is taken, and its middle returned.

    Args:
        labels: [N] 0 or 1, of validation scans.
        probabilities: [N] of the positive class.

    Raises:
        ValueError: if only one class occurs or a probability is not in 0..1.
    """
    positive = labels == 1
    if positive.all() or not positive.any():
        raise ValueError("choosing a threshold needs validation scans of both classes")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities must lie in 0..1")
    values = np.unique(probabilities)
    # Gap i separates values below index i (negative) from the rest (positive).
    lows = np.concatenate([[0.0], values])
    highs = np.concatenate([values, [max(1.0, np.nextafter(values[-1], np.inf))]])
    hits = np.searchsorted(np.sort(probabilities[positive]), values, side="right") / positive.sum()
    misses = np.searchsorted(np.sort(probabilities[~positive]), values, side="right") / (~positive).sum()
    balanced = np.concatenate([[0.5], (1 - hits + misses) / 2])
    middles = (lows + highs) / 2
    # Halving the gap of two neighbouring floats may round down onto the lower value.
    middles = np.where((middles > lows) | (lows == highs), middles, highs)
    best = np.flatnonzero(balanced >= balanced.max() - 1e-12)
    return float(middles[best[np.argmin(np.abs(middles[best] - 0.5))]])


def decide(probabilities: Floats, threshold: float | None = None) -> Ints:
    """Return predicted class indices [...] of probabilities [..., K].

    Args:
        probabilities: [..., K].
        threshold: for two classes, positive at or above it; None takes the most probable class.

    Raises:
        ValueError: if a threshold is given for more than two classes.
    """
    if threshold is None:
        return np.asarray(probabilities.argmax(axis=-1), dtype=np.int64)
    if probabilities.shape[-1] != 2:
        raise ValueError(f"a threshold needs two classes, not {probabilities.shape[-1]}")
    return np.asarray(probabilities[..., 1] >= threshold, dtype=np.int64)
