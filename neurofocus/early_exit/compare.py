"""Figure 12 of the paper: conditional exits beside random exits of the same proportions and fixed lengths."""

import numpy as np
import numpy.typing as npt

from neurofocus.early_exit.criteria import uncertainty
from neurofocus.early_exit.decide import exit_positions
from neurofocus.schema.early_exit import ExitPlan, ExitRule

__all__ = ["exit_steps", "random_exits"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def exit_steps(probabilities: Floats, plan: ExitPlan, rule: ExitRule) -> Ints:
    """Return the model's exit step at which each case stops, [N]: what running with exits would do.

    Args:
        probabilities: of every exit step of the model, [N, E, K].
        plan: criterion and ladder.
        rule: one of its rules, or an interpolated one.
    """
    at = np.array(plan.ladder.steps)
    return np.asarray(
        at[exit_positions(uncertainty(probabilities[:, at], plan.criterion), rule.thresholds)], dtype=np.int64
    )


def random_exits(steps: Ints, *, seed: int) -> Ints:
    """Return the same exits dealt to the cases at random: the baseline that spends as much without looking."""
    return np.random.default_rng(seed).permutation(steps)
