"""``neurofocus video evaluate --budget`` and ``--time``: clips stop as soon as they may, and no more work is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurofocus.data.loaders import evaluation_loader
from neurofocus.data.video.dataset import VideoDataset
from neurofocus.early_exit.decide import rule_for_budget
from neurofocus.evaluation.video.scores import VideoScores, multi_hot
from neurofocus.evaluation.video.summary import measure_names, measure_steps, summarise_videos
from neurofocus.inference.stages import ExportedModel, Network, stages_of
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.exit_run import (
    ExitRun,
    Way,
    clock,
    ladder_ways,
    loaded_cases,
    run_ways,
    stop_at,
    to_the_end,
)
from neurofocus.workflows.video.answers import refuse_infinite
from neurofocus.workflows.video.evaluate import (
    VideoEvaluation,
    circumstances,
    prediction_table,
)
from neurofocus.workflows.video.exit_curve import exit_shares, plan_facts
from neurofocus.workflows.video.exits import ClipExits, for_crops
from neurofocus.workflows.video.source import VideoData

__all__ = ["Budget", "evaluate_exported", "evaluate_within", "time_exits"]


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
    network: Network,
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
    found = _run(network, data.dataset(data.clips(split), config), config, ways, timed=budget.timed)
    metrics = _metrics(found, data, split, config, official=official_map)
    metrics["exits"] = {
        **plan_facts(budget.exits),
        "budget": budget.gflops,
        "expected": budget.exits.expected(rule),
        "steps": [step + 1 for step in plan.ladder.steps],
        "step_gflops": list(plan.ladder.gflops),
        "shares": exit_shares(found.runs[0].steps, plan.ladder),
    }
    if budget.timed:
        measures = measure_names(config.model.num_classes, data.spec.metric, official=official_map)
        (whole,) = measure_steps(found.scores(1), measures, seed=config.seed)
        metrics["exits"]["to_the_end"] = {"gflops": plan.ladder.gflops[-1], **whole}
        within, last = (run.seconds for run in found.runs)
        metrics["exits"]["seconds"] = {"within_budget": within, "to_the_end": last, "ratio": within / last}
        metrics["exits"]["seconds"] |= _clock(network, config)
    table = prediction_table(found.scores(0), data.classes, found.runs[0].gflops)
    table["exit_step"] = found.runs[0].steps + 1
    return VideoEvaluation(metrics, table, None, budget.exits)


def evaluate_exported(
    network: ExportedModel, data: VideoData, split: str, config: RunConfig, *, official_map: bool = False
) -> VideoEvaluation:
    """Score an exported model on a split, every clip run to the end: one answer a clip, not one an exit step.

    Raises:
        VideoError: the split has no labelled clips, or one cannot be read.
        NeurofocusError: the model's answers are not finite.
    """
    way = to_the_end(config.model, config.video.test_crops)
    found = _run(network, data.dataset(data.clips(split), config), config, [way])
    metrics = _metrics(found, data, split, config, official=official_map) | {"exits": None}
    table = prediction_table(found.scores(0), data.classes, found.runs[0].gflops)
    return VideoEvaluation(metrics | {"runtime": network.runtime}, table, None)


@dataclass(frozen=True)
class _Found:
    """What came of a split's clips in several ways."""

    dataset: VideoDataset
    runs: list[ExitRun]

    def scores(self, place: int) -> VideoScores:
        """Return the answers of one way."""
        clips, answers = self.dataset.clips, self.runs[place].probabilities
        targets = multi_hot([clip.labels for clip in clips], answers.shape[1])
        return VideoScores(tuple(clip.name for clip in clips), targets, answers[:, None])


def _run(
    network: Network, dataset: VideoDataset, config: RunConfig, ways: Sequence[Way], *, timed: bool = False
) -> _Found:
    batch = config.train.batch_size
    loader = evaluation_loader(dataset, batch, num_workers=_workers(network, config, timed))
    return _Found(dataset, run_ways(network, loaded_cases(loader), ways, batch_size=batch))


def _metrics(
    found: _Found, data: VideoData, split: str, config: RunConfig, *, official: bool
) -> dict[str, Any]:
    """Return the measures of the first way, and their circumstances.

    Raises:
        NeurofocusError: answers are not finite.
    """
    finite = all(bool(np.isfinite(run.probabilities).all()) for run in found.runs)
    refuse_infinite(data, f"{split} clips", finite=finite)
    measures = measure_names(config.model.num_classes, data.spec.metric, official=official)
    spent = float(found.runs[0].gflops.mean())
    metrics = summarise_videos(found.scores(0), data.classes, [spent], measures, seed=config.seed)
    del metrics["steps"]  # every clip has its own
    return {**metrics, "mean_gflops": spent, **circumstances(data, split, config, found.dataset)}


def time_exits(
    network: Network, data: VideoData, split: str, config: RunConfig, exits: ClipExits
) -> dict[str, Any]:
    """Run every rule and every fixed length on a split, in turn, and return the seconds of the model a clip.

    Returns:
        "conditional": one figure a rule; "fixed": one a step of the ladder; and how they were measured.

    Raises:
        VideoError: the split has no labelled clips, or one cannot be read.
    """
    plan = for_crops(exits, config.video.test_crops).plan
    ways = ladder_ways(plan, plan.rules)
    found = _run(network, data.dataset(data.clips(split), config), config, ways, timed=True)
    seconds = [run.seconds for run in found.runs]
    number = len(plan.rules)
    return {"conditional": seconds[:number], "fixed": seconds[number:], **_clock(network, config)}


def _workers(network: Network, config: RunConfig, timed: bool) -> int:
    """Decoding goes on beside the model, unless it would take the processors that are being timed."""
    if timed and stages_of(network).device.type == "cpu":
        return 0
    return max(1, config.data.num_workers)


def _clock(network: Network, config: RunConfig) -> dict[str, Any]:
    """Return how seconds were measured."""
    stages = stages_of(network)
    return {
        "runtime": stages.runtime,
        "unit": "seconds a clip, model only, without reading and decoding",
        **clock(stages.device, config.train.batch_size),
    }
