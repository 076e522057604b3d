"""Figure 12 of the paper for one model: conditional exits, random exits of the same shares, fixed lengths.

All three follow from answers at every step; what exits do to the clock is measured in ``budget``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurofocus.data.seeds import derive_seed
from neurofocus.early_exit.compare import exit_steps, random_exits
from neurofocus.evaluation.curve import CurvePoint
from neurofocus.evaluation.video.scores import VideoScores
from neurofocus.evaluation.video.summary import Measure, measure_steps
from neurofocus.schema.early_exit import ExitLadder
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.video.exits import ClipExits, for_crops

__all__ = ["compare_exits", "curve_points", "exit_shares", "plan_facts"]

_NUM_DRAWS = 200  # two intervals a rule, and one of mAP over 45,000 videos takes a minute with 1,000
_SERIES = ("conditional", "random")


def compare_exits(
    scores: VideoScores,
    gflops: Sequence[float],
    exits: ClipExits,
    measures: Sequence[Measure],
    config: RunConfig,
) -> dict[str, Any]:
    """Return what every rule gives on these clips, and what random exits of the same shares give.

    Args:
        scores: at every exit step.
        gflops: of a clip that stops at each step, with all crops, [E].
        exits: thresholds, solved on other clips.
        measures: what is reported; of them top-1 and mAP are, with intervals.
        config: of the model: crops, and the seed of draws and random exits.
    """
    plan = for_crops(exits, config.video.test_crops).plan
    names = [name for name in measures if name in ("top1", "map")]
    rules = []
    for place, rule in enumerate(plan.rules):
        steps = exit_steps(scores.probabilities, plan, rule)
        dealt = random_exits(steps, seed=derive_seed("random exits", config.seed, place))
        found = {
            series: measure_steps(scores.stopped(at), names, seed=config.seed, num_draws=_NUM_DRAWS)[0]
            for series, at in zip(_SERIES, (steps, dealt), strict=True)
        }
        rules.append(
            {
                "gflops": float(np.asarray(gflops)[steps].mean()),
                "expected": {"gflops": rule.gflops, "top1": rule.accuracy},
                "shares": exit_shares(steps, plan.ladder),
                **found,
            }
        )
    return {
        **plan_facts(exits),
        "steps": [step + 1 for step in plan.ladder.steps],
        "step_gflops": list(plan.ladder.gflops),
        "rules": rules,
        "interval": f"as of the steps, {_NUM_DRAWS} draws",
    }


def plan_facts(exits: ClipExits) -> dict[str, Any]:
    """Return what thresholds are on, and what they were solved on."""
    plan = exits.plan
    return {"solved_on": exits.solved_on, "criterion": plan.criterion, "order": plan.order}


def exit_shares(steps: npt.NDArray[np.int64], ladder: ExitLadder) -> list[float]:
    """Return the share of clips that stop at each step of the ladder."""
    return [float((steps == step).mean()) for step in ladder.steps]


def curve_points(metrics: dict[str, Any], measure: str) -> list[CurvePoint]:
    """Return the points of the curve: fixed lengths, one a cost, and every rule where there are any.

    Args:
        metrics: what ``evaluate_videos`` found.
        measure: one of its measures.
    """
    by_cost = {step["gflops"]: step for step in metrics["steps"]}  # of steps of one cost, the last one
    found = [_point("fixed length", cost, step[measure]) for cost, step in by_cost.items()]
    if metrics["exits"] is not None:
        for series in _SERIES:
            for rule in metrics["exits"]["rules"]:
                found.append(_point(f"{series} exit", rule["gflops"], rule[series][measure]))
    return found


def _point(series: str, gflops: float, entry: dict[str, float]) -> CurvePoint:
    return CurvePoint(series, gflops, entry["value"], entry["low"], entry["high"])
