"""Figure 12 of the paper for one model: conditional exits, random exits of the same shares, fixed lengths.

All three follow from answers at every step; what exits do to the clock is measured in ``budget``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurofocus.data.seeds import derive_seed
from neurofocus.early_exit.compare import exit_steps, random_exits
from neurofocus.evaluation.curve import CurvePoint
from neurofocus.evaluation.exits import share_figures
from neurofocus.evaluation.intervals import bootstrap_weights
from neurofocus.evaluation.video.metrics import top_k_hits
from neurofocus.evaluation.video.scores import VideoScores
from neurofocus.evaluation.video.summary import Measure, measure_steps
from neurofocus.schema.early_exit import ExitLadder
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.video.exits import ClipExits, for_crops

__all__ = ["clock_points", "compare_exits", "curve_points", "exit_shares", "plan_facts"]

_NUM_DRAWS = 200  # an interval of mAP over 45,000 videos takes a minute with 1,000
_FIXED = "fixed length"
_SERIES = {"conditional": "conditional exit", "random": "random exit, same proportions"}


@dataclass(frozen=True)
class _Clips:
    """Clips whose answers at every step are known.

    Attributes:
        scores: of every exit step.
        hits: whether the answers at the ladder's steps are right, [N, S].
        weights: of the draws, [B, N].
        others: measures besides top-1.
        seed: of the draws.
    """

    scores: VideoScores
    hits: npt.NDArray[np.bool_]
    weights: npt.NDArray[np.float64]
    others: tuple[Measure, ...]
    seed: int

    def top1(self, right: npt.NDArray[np.float64]) -> dict[str, Any]:
        """Return top-1, or a difference of it, of how likely each clip is right, [N]."""
        return dict(share_figures(right, self.scores.targets.argmax(1), self.weights)["accuracy"])

    def rest(self, steps: npt.NDArray[np.int64]) -> dict[str, Any]:
        """Return the other measures where each clip has its own step, [N]."""
        stopped = self.scores.stopped(steps)
        return dict(measure_steps(stopped, self.others, seed=self.seed, num_draws=_NUM_DRAWS)[0])


def compare_exits(
    scores: VideoScores,
    gflops: Sequence[float],
    exits: ClipExits,
    measures: Sequence[Measure],
    config: RunConfig,
) -> dict[str, Any]:
    """Return what every rule gives on these clips, and what random exits of the same proportions give.

    Args:
        scores: at every exit step.
        gflops: of a clip that stops at each step, with all crops, [E].
        exits: thresholds, solved on other clips.
        measures: what is reported; of them top-1 and mAP are, with intervals.
        config: of the model: crops, and the seed of draws and of random exits.

    Returns:
        What the thresholds are, the ladder's steps (from 1) and their costs, and one entry a rule in "conditional"
        and "random"; "above_random" is the difference of top-1.
    """
    plan = for_crops(exits, config.video.test_crops).plan
    clips = _clips(scores, plan.ladder, tuple(name for name in measures if name == "map"), config.seed)
    conditional, at_random = [], []
    for place, rule in enumerate(plan.rules):
        steps = exit_steps(scores.probabilities, plan, rule)
        shares = exit_shares(steps, plan.ladder)
        dealt = random_exits(steps, seed=derive_seed("random exits", config.seed, place))
        right = clips.hits[np.arange(len(steps)), np.searchsorted(plan.ladder.steps, steps)].astype(float)
        likely = clips.hits @ np.array(shares)
        spent = {"gflops": float(np.asarray(gflops)[steps].mean())}
        expected = {"expected": exits.expected(rule), "shares": shares}
        found = {"top1": clips.top1(right), **clips.rest(steps)}
        conditional.append(spent | expected | found | {"above_random": clips.top1(right - likely)})
        at_random.append(spent | {"top1": clips.top1(likely), **clips.rest(dealt)})
    return {
        **plan_facts(exits),
        "steps": [step + 1 for step in plan.ladder.steps],
        "step_gflops": list(plan.ladder.gflops),
        "interval": f"95 % percentile bootstrap as of the steps, {_NUM_DRAWS} draws",
        "random_rule": "the same exits dealt to the clips at random: top-1 the mean over all deals, mAP of one",
        "conditional": conditional,
        "random": at_random,
    }


def _clips(scores: VideoScores, ladder: ExitLadder, others: tuple[Measure, ...], seed: int) -> _Clips:
    hits = [top_k_hits(scores.targets, scores.probabilities[:, step], 1) for step in ladder.steps]
    labels = scores.targets.argmax(1).tolist()
    weights = bootstrap_weights(list(scores.cases), labels, seed=seed, num_draws=_NUM_DRAWS)
    return _Clips(scores, np.stack(hits, axis=1), weights, others, seed)


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
    found = [_point(_FIXED, cost, step[measure]) for cost, step in by_cost.items()]
    if metrics["exits"] is not None:
        for kind, series in _SERIES.items():
            found += [_point(series, entry["gflops"], entry[measure]) for entry in metrics["exits"][kind]]
    return found


def clock_points(metrics: dict[str, Any], measure: str) -> list[CurvePoint]:
    """Return the points of the curve against measured seconds: every rule, and every step of the ladder.

    Args:
        metrics: what ``evaluate_videos`` found, with seconds.
        measure: one of its measures.
    """
    exits = metrics["exits"]
    seconds = exits["seconds"]
    steps = [metrics["steps"][step - 1] for step in exits["steps"]]
    fixed = [_point(_FIXED, each, step[measure]) for each, step in zip(seconds["fixed"], steps, strict=True)]
    rules = zip(seconds["conditional"], exits["conditional"], strict=True)
    return fixed + [_point(_SERIES["conditional"], each, entry[measure]) for each, entry in rules]


def _point(series: str, gflops: float, entry: dict[str, float]) -> CurvePoint:
    return CurvePoint(series, gflops, entry["value"], entry["low"], entry["high"])
