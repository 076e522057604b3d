"""How unsure a prediction is: what exit thresholds are compared with (section 4.3)."""

import numpy as np
import numpy.typing as npt

from neurofocus.schema.early_exit import Criterion

__all__ = ["NEVER", "always", "uncertainty"]

Floats = npt.NDArray[np.float64]

NEVER = -1.0  # below every uncertainty


def uncertainty(probabilities: npt.NDArray[np.floating], criterion: Criterion) -> Floats:
    """Return how unsure predictions are; 0 is certain.

    Args:
        probabilities: [..., K], summing to 1.
        criterion: ``entropy`` of the softmax in nats (section 4.3), or one minus the largest probability.

    Returns:
        Of shape [...], float64.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if criterion == "max_probability":
        return np.asarray(1 - values.max(-1), dtype=np.float64)
    # 0 log 0 is 0, the limit.
    logs = np.log(np.where(values > 0, values, 1.0))
    return np.asarray(-(values * logs).sum(-1), dtype=np.float64)


def always(num_classes: int, criterion: Criterion) -> float:
    """Return a threshold that every prediction over K classes meets."""
    largest = 1 - 1 / num_classes if criterion == "max_probability" else float(np.log(num_classes))
    return largest + 1e-6  # rounding may carry a uniform prediction above the exact bound
