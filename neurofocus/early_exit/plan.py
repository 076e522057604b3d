"""Thresholds for a ladder of budgets, solved on validation predictions (Eq. 23)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neurofocus.early_exit.criteria import always, uncertainty
from neurofocus.early_exit.decide import exit_positions
from neurofocus.early_exit.frontier import frontier
from neurofocus.early_exit.geometric import geometric_thresholds
from neurofocus.schema.early_exit import ExitConfig, ExitLadder, ExitPlan, ExitRule

__all__ = ["exit_ladder", "solve_plan"]

Floats = npt.NDArray[np.float64]


def exit_ladder(exit_gflops: Sequence[float], num_focus_exits: int, *, every: int) -> ExitLadder:
    """Return the steps at which a case may stop: after the glance, then after every few focus frames.

    Steps during the glance cost as much as the whole of it and know less: they are no exits.

    Args:
        exit_gflops: cost of each exit step, [E], as ``measure_cost`` gives it.
        num_focus_exits: how many of them, the last ones, need focus frames.
        every: focus steps between two exits; the last step is always one.
    """
    total = len(exit_gflops)
    first_focus = total - num_focus_exits
    steps = [first_focus - 1] if first_focus else []
    steps += [min(first_focus + done, total) - 1 for done in range(every, num_focus_exits + every, every)]
    return ExitLadder(steps=tuple(steps), gflops=tuple(exit_gflops[step] for step in steps))


def solve_plan(probabilities: Floats, values: Floats, ladder: ExitLadder, settings: ExitConfig) -> ExitPlan:
    """Solve thresholds for evenly spaced budgets from the dearest exit to the cheapest.

    Args:
        probabilities: of N validation cases at the E exit steps of the model, [N, E, K]; never of training
            augmentations, never of test cases.
        values: what the answer at each step is worth, [N, E]; 1 or 0 for right and wrong makes their mean the
            accuracy.
        ladder: where a case may stop.
        settings: criterion, solver and how many budgets.

    Raises:
        ValueError: there is no case, or an uncertainty is not finite.
    """
    at = list(ladder.steps)
    unsure, worth = uncertainty(probabilities[:, at], settings.criterion), values[:, at]
    if not len(unsure) or not np.isfinite(unsure).all():
        raise ValueError("thresholds need validation cases with finite predictions")
    gflops = np.array(ladder.gflops)
    highest = always(probabilities.shape[-1], settings.criterion)
    budgets = np.linspace(gflops[-1], gflops[0], settings.num_budgets)
    if settings.solver == "geometric":
        found = [geometric_thresholds(unsure, gflops, budget, highest=highest) for budget in budgets]
    else:
        stride = float(budgets[0] - budgets[1]) / 2
        walk = list(frontier(unsure, worth, gflops, highest=highest, stride=stride))
        costs = np.array([gflops[exit_positions(unsure, thresholds)].mean() for thresholds in walk])
        # The costs fall along the walk: of the rules within the budget, the first one spends most of it.
        found = [walk[int(np.argmax(costs <= budget + 1e-12))] for budget in budgets]
    rules = [_rule(unsure, worth, gflops, thresholds) for thresholds in found]
    return ExitPlan(
        criterion=settings.criterion,
        order=settings.order,
        ladder=ladder,
        rules=tuple(dict.fromkeys(rules)),
    )


def _rule(unsure: Floats, worth: Floats, gflops: Floats, thresholds: Floats) -> ExitRule:
    exits = exit_positions(unsure, thresholds)
    return ExitRule(
        thresholds=tuple(map(float, thresholds)),
        gflops=float(gflops[exits].mean()),
        accuracy=float(worth[np.arange(len(exits)), exits].mean()),
    )
