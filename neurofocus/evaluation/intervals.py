"""Bootstrap intervals by subject: people are drawn again, with all their scans."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["NUM_DRAWS", "bootstrap_weights", "percentile_interval"]

Floats = npt.NDArray[np.float64]
NUM_DRAWS = 2000


def bootstrap_weights(
    participants: Sequence[str], labels: Sequence[int], *, seed: int, num_draws: int = NUM_DRAWS
) -> Floats:
    """Return how often each scan occurs in each draw, [B, N].

    Participants are drawn with replacement within their label, so that every draw has as many of each label
    as the cohort; all scans of a participant go together (a participant with several labels counts under
    the smallest). The result depends on the seed and on the order of participants by name, not of rows.

    Args:
        participants: [N] identifiers.
        labels: [N] class indices.
        seed: of the draws.
        num_draws: B.
    """
    names, owner = np.unique(np.asarray(participants, dtype=str), return_inverse=True)
    strata = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(strata, owner, np.asarray(labels, dtype=np.int64))
    rng = np.random.default_rng(seed)
    counts = np.zeros((num_draws, len(names)))
    for label in np.unique(strata):
        members = np.flatnonzero(strata == label)
        equal = np.full(len(members), 1 / len(members))
        counts[:, members] = rng.multinomial(len(members), equal, size=num_draws)
    return counts[:, owner]


def percentile_interval(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval (Efron 1981) of bootstrap values [B]; (NaN, NaN) if one is NaN."""
    if np.isnan(values).any():
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
