"""``neurofocus video evaluate --budget`` and ``--time``: clips stop as soon as they may, and no more work is done."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from neurofocus.data.loaders import evaluation_loader
from neurofocus.early_exit.decide import rule_for_budget
from neurofocus.evaluation.video.scores import VideoScores, multi_hot
from neurofocus.evaluation.video.summary import measure_names, measure_steps, summarise_videos
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.video.answers import refuse_infinite
from neurofocus.workflows.video.evaluate import (
    VideoEvaluation,
    circumstances,
    prediction_table,
)
from neurofocus.workflows.video.exit_curve import exit_shares, plan_facts
from neurofocus.workflows.video.exit_run import Way, run_ways, stop_at
from neurofocus.workflows.video.exits import ClipExits, for_crops
from neurofocus.workflows.video.source import VideoData

__all__ = ["Budget", "evaluate_within", "time_exits"]


@dataclass(frozen=True)
class Budget:
    """What a clip may cost on average, and how that is kept.

    Attributes:
        gflops: mean of a clip with all its crops, 1e9 multiply-adds.
        exits: thresholds of the model.
        timed: also run every clip to the end, and say how many seconds both take.
    """

    gflops: float
    exits: ClipExits
    timed: bool = False


def evaluate_within(
    model: UniAdaFocus,
    data: VideoData,
    split: str,
    config: RunConfig,
    budget: Budget,
    *,
    official_map: bool = False,
) -> VideoEvaluation:
    """Score a model on a split with conditional exits; see ``evaluate_videos``.

    Raises:
        ConfigError: the budget is below the cheapest exit.
        VideoError: the split has no labelled clips, or one cannot be read.
        NeurofocusError: the model's answers are not finite.
    """
    plan = for_crops(budget.exits, config.video.test_crops).plan
    rule = rule_for_budget(plan, budget.gflops)
    ways = [Way(plan, rule), *([stop_at(plan, -1)] if budget.timed else [])]
    dataset = data.dataset(data.clips(split), config)
    batch, workers = config.train.batch_size, _workers(model, config, budget.timed)
    runs = run_ways(model, evaluation_loader(dataset, batch, num_workers=workers), ways, batch_size=batch)
    refuse_infinite(
        data, f"{split} clips", finite=all(bool(np.isfinite(run.probabilities).all()) for run in runs)
    )
    names = tuple(clip.name for clip in dataset.clips)
    targets = multi_hot([clip.labels for clip in dataset.clips], config.model.num_classes)
    scored = [VideoScores(names, targets, run.probabilities[:, None]) for run in runs]
    measures = measure_names(config.model.num_classes, data.spec.metric, official=official_map)
    spent = float(runs[0].gflops.mean())
    metrics = summarise_videos(scored[0], data.classes, [spent], measures, seed=config.seed)
    del metrics["steps"]  # every clip has its own
    metrics["mean_gflops"] = spent
    metrics["exits"] = {
        **plan_facts(budget.exits),
        "budget": budget.gflops,
        "expected": {"gflops": rule.gflops, "top1": rule.accuracy},
        "steps": [step + 1 for step in plan.ladder.steps],
        "step_gflops": list(plan.ladder.gflops),
        "shares": exit_shares(runs[0].steps, plan.ladder),
    }
    if budget.timed:
        (whole,) = measure_steps(scored[1], measures, seed=config.seed)
        metrics["exits"]["to_the_end"] = {"gflops": plan.ladder.gflops[-1], **whole}
        within, to_the_end = (run.seconds for run in runs)
        seconds = {"within_budget": within, "to_the_end": to_the_end, "ratio": within / to_the_end}
        metrics["exits"]["seconds"] = seconds | _clock(model, config)
    metrics |= circumstances(data, split, config, dataset)
    table = prediction_table(scored[0], data.classes, runs[0].gflops)
    return VideoEvaluation(metrics, table.assign(exit_step=runs[0].steps + 1), None, budget.exits)


def time_exits(
    model: UniAdaFocus, data: VideoData, split: str, config: RunConfig, exits: ClipExits
) -> dict[str, Any]:
    """Run every rule and every fixed length on a split, in turn, and return the seconds of the model a clip.

    Returns:
        "conditional": one figure a rule; "fixed": one a step of the ladder; and how they were measured.

    Raises:
        VideoError: the split has no labelled clips, or one cannot be read.
    """
    plan = for_crops(exits, config.video.test_crops).plan
    ways = [Way(plan, rule) for rule in plan.rules]
    ways += [stop_at(plan, place) for place in range(len(plan.ladder.steps))]
    dataset, batch = data.dataset(data.clips(split), config), config.train.batch_size
    loader = evaluation_loader(dataset, batch, num_workers=_workers(model, config, timed=True))
    seconds = [run.seconds for run in run_ways(model, loader, ways, batch_size=batch)]
    number = len(plan.rules)
    return {"conditional": seconds[:number], "fixed": seconds[number:], **_clock(model, config)}


def _workers(model: UniAdaFocus, config: RunConfig, timed: bool) -> int:
    """Decoding goes on beside the model, unless it would take the processors that are being timed."""
    if timed and next(model.parameters()).device.type == "cpu":
        return 0
    return max(1, config.data.num_workers)


def _clock(model: UniAdaFocus, config: RunConfig) -> dict[str, Any]:
    """Return how seconds were measured."""
    device = next(model.parameters()).device
    return {
        "unit": "seconds a clip, model only, without reading and decoding",
        "batch_size": config.train.batch_size,
        "threads": torch.get_num_threads(),
        "device": device.type if device.type == "cpu" else torch.cuda.get_device_name(device),
    }
