"""From thresholds to exits: where each case stops, and what that costs."""

import numpy as np
import numpy.typing as npt

from neurofocus.errors import ConfigError
from neurofocus.schema.early_exit import ExitPlan, ExitRule

__all__ = ["exit_positions", "rule_for_budget"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def exit_positions(uncertainty: Floats, thresholds: npt.ArrayLike) -> Ints:
    """Return the first step of the ladder at which each case is sure enough, [N] (section 4.3).

    Args:
        uncertainty: of N cases at S steps, [N, S].
        thresholds: of all steps but the last, [S - 1]; the last step takes every case.
    """
    sure = uncertainty[:, :-1] <= np.asarray(thresholds, dtype=np.float64)
    last = np.ones((len(uncertainty), 1), dtype=bool)
    return np.asarray(np.concatenate([sure, last], axis=1).argmax(1), dtype=np.int64)


def rule_for_budget(plan: ExitPlan, budget: float, *, num_models: int = 1) -> ExitRule:
    """Return the rule of a budget, interpolated between the two that enclose it.

    Thresholds, cost and accuracy are interpolated linearly in the cost: the last two are expectations for cases like
    those of validation.

    Args:
        plan: rules of several budgets.
        budget: mean cost of a case, 1e9 multiply-adds; above the dearest rule it is that one.
        num_models: such models that share the budget evenly.

    Raises:
        ConfigError: the budget is below the cheapest rule, or not finite.
    """
    rules = sorted(plan.rules, key=lambda rule: rule.gflops)
    budget /= num_models
    if not rules[0].gflops * (1 - 1e-9) <= budget < np.inf:
        least, most = (_rounded_up(rule.gflops * num_models) for rule in (rules[0], rules[-1]))
        raise ConfigError(
            f"--budget {budget * num_models:g}: "
            + ("below the cheapest exit" if budget < rules[0].gflops else "not a number of GFLOPs")
            + f"; give {least} GFLOPs or more (the complete answer: {most})"
        )
    costs = [rule.gflops for rule in rules]
    above = int(np.searchsorted(costs, budget, side="right"))
    if above == 0 or above == len(rules):
        return rules[0 if above == 0 else -1]
    low, high = rules[above - 1], rules[above]
    share = (budget - low.gflops) / (high.gflops - low.gflops)
    return ExitRule(
        thresholds=tuple(
            _between(cheap, dear, share) for cheap, dear in zip(low.thresholds, high.thresholds, strict=True)
        ),
        gflops=low.gflops + share * (high.gflops - low.gflops),
        accuracy=low.accuracy + share * (high.accuracy - low.accuracy),
    )


def _rounded_up(gflops: float) -> str:
    """Return four digits that are not less, so that the figure is accepted when it is given."""
    digits = 3 - int(np.floor(np.log10(gflops)))
    return f"{np.ceil(gflops * 10.0**digits - 1e-6) / 10.0**digits:.4g}"


def _between(cheap: float, dear: float, share: float) -> float:
    """Interpolate two thresholds; "never" is no number to interpolate with, the least uncertainty, 0, stands for it."""
    if cheap == dear:
        return cheap
    return max(cheap, 0.0) * (1 - share) + max(dear, 0.0) * share
