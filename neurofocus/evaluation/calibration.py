"""Do probabilities mean what they say: reliability curve and expected calibration error."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "NUM_BINS",
    "ReliabilityBin",
    "calibration_pairs",
    "expected_calibration_error",
    "reliability_curve",
    "wilson_interval",
]

Floats = npt.NDArray[np.float64]
NUM_BINS = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of the reliability curve: mean probability, observed share with its 95 % interval, scans."""

    mean_probability: float
    observed: float
    low: float
    high: float
    count: int


def calibration_pairs(labels: npt.NDArray[np.int64], probabilities: Floats) -> tuple[Floats, Floats]:
    """Return what is compared: probabilities [N] and outcomes [N] in {0, 1}.

    Two classes: the positive (last) class's probability and whether the label is that class. More: the
    largest probability and whether its class is right (top-label calibration, Guo et al. 2017, section 2).
    """
    if probabilities.shape[1] == 2:
        return probabilities[:, 1], (labels == 1).astype(np.float64)
    return probabilities.max(axis=1), (probabilities.argmax(axis=1) == labels).astype(np.float64)


def expected_calibration_error(
    probabilities: Floats, outcomes: Floats, weights: Floats | None = None, num_bins: int = NUM_BINS
) -> Floats:
    """Return the expected calibration error [B] over equal-width bins (Guo et al. 2017, Eq. 3; lower is better).

    With few scans it is biased upwards even for a perfectly calibrated model.

    Args:
        probabilities: [N].
        outcomes: [N], 0 or 1.
        weights: [B, N] resampling weights; None for one row of ones.
        num_bins: bins of width 1 / num_bins.
    """
    weights = np.ones((1, len(outcomes))) if weights is None else weights
    members = np.eye(num_bins)[_bins(probabilities, num_bins)]
    gaps = weights @ (members * (probabilities - outcomes)[:, None])
    return np.asarray(np.abs(gaps).sum(axis=1) / weights.sum(axis=1), dtype=np.float64)


def reliability_curve(
    probabilities: Floats, outcomes: Floats, num_bins: int = NUM_BINS
) -> tuple[ReliabilityBin, ...]:
    """Return the filled equal-width bins in order of probability."""
    bins = _bins(probabilities, num_bins)
    curve = []
    for number in np.unique(bins):
        inside = bins == number
        count = int(inside.sum())
        observed = float(outcomes[inside].mean())
        low, high = wilson_interval(observed, count)
        curve.append(ReliabilityBin(float(probabilities[inside].mean()), observed, low, high, count))
    return tuple(curve)


def wilson_interval(share: float, count: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return Wilson's score interval of a share of ``count`` (Wilson 1927); 95 % by default."""
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _bins(probabilities: Floats, num_bins: int) -> npt.NDArray[np.int64]:
    """Return bin numbers; a bin holds its upper edge, as in scikit-learn's calibration_curve."""
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    return np.searchsorted(edges[1:-1], probabilities).astype(np.int64)
