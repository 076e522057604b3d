"""The solver of MSDNet (Huang et al., ICLR 2018, section 4.2), which the paper takes for Eq. 23.

A case stops at step k with a probability proportional to q^k; q follows from the budget, and each threshold is the
quantile that lets that share of the validation cases stop.
"""

import numpy as np
import numpy.typing as npt

from neurofocus.early_exit.criteria import NEVER
from neurofocus.early_exit.decide import exit_positions

__all__ = ["geometric_thresholds"]

Floats = npt.NDArray[np.float64]

_STEEPEST = 40.0  # |log q|: the first or the last step takes everybody
_HALVINGS = 60


def geometric_thresholds(uncertainty: Floats, gflops: Floats, budget: float, *, highest: float) -> Floats:
    """Return thresholds [S - 1] whose mean cost on the validation cases comes nearest to the budget from below.

    Args:
        uncertainty: of N validation cases at S steps, [N, S].
        gflops: cost of a case that stops at each step, increasing, [S].
        budget: mean cost of a case, in the same unit; between the first and the last of ``gflops``.
        highest: a threshold that every case meets.
    """

    def cost(thresholds: Floats) -> float:
        return float(gflops[exit_positions(uncertainty, thresholds)].mean())

    if budget >= gflops[-1]:
        return np.full(len(gflops) - 1, NEVER)
    low, high = -_STEEPEST, _STEEPEST
    found = _thresholds(uncertainty, low, highest)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        thresholds = _thresholds(uncertainty, middle, highest)
        if cost(thresholds) <= budget:
            low, found = middle, thresholds
        else:
            high = middle
    return found


def _thresholds(uncertainty: Floats, log_q: float, highest: float) -> Floats:
    """Return the quantiles that stop shares proportional to exp(k log q)."""
    count, steps = uncertainty.shape
    weights = np.exp(log_q * np.arange(steps) - max(0.0, log_q * (steps - 1)))
    shares = np.cumsum(weights / weights.sum())
    thresholds = np.full(steps - 1, NEVER)
    left = np.arange(count)
    for step in range(steps - 1):
        values = np.sort(uncertainty[left, step])
        wanted = min(round(shares[step] * count) - (count - len(left)), len(values))
        if wanted <= 0:
            continue
        if wanted == len(values):
            thresholds[step] = highest
        else:
            thresholds[step] = (values[wanted - 1] + values[wanted]) / 2
        left = left[uncertainty[left, step] > thresholds[step]]
    return thresholds
