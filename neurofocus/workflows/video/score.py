"""A finished model on a data set that may number its classes otherwise."""

import logging
from dataclasses import dataclass, replace

import torch

from neurofocus.errors import ConfigError, VideoError
from neurofocus.inference.stages import ExportedModel
from neurofocus.ingest.video.class_order import class_order_conflict
from neurofocus.ingest.video.listing import SPLITS
from neurofocus.training.reproducible import reproducible
from neurofocus.workflows.video.budget import Budget, evaluate_exported, evaluate_within, time_exits
from neurofocus.workflows.video.bundle import VideoModel, able_to_stop
from neurofocus.workflows.video.evaluate import VideoEvaluation, evaluate_videos
from neurofocus.workflows.video.exits import ClipExits, solve_exits
from neurofocus.workflows.video.quick import quickened
from neurofocus.workflows.video.source import VideoData

__all__ = ["ExitRequest", "score_model"]

_LOGGER = logging.getLogger("neurofocus.workflows.video")


@dataclass(frozen=True)
class ExitRequest:
    """What a user wants of conditional exits.

    Attributes:
        budget: mean cost of a clip, 1e9 multiply-adds; none: every clip is run to the end.
        timed: measure seconds: of the budget and of the end, or of every stored budget and every fixed length.
        solve_on: labelled split that thresholds are solved on; none: the model's own are used.
    """

    budget: float | None = None
    timed: bool = False
    solve_on: str | None = None

    @property
    def option(self) -> str | None:
        """What needs thresholds, if anything does."""
        if self.budget is not None:
            return "--budget"
        return "--time" if self.timed else None


_NOTHING = ExitRequest()


def score_model(
    video: VideoModel,
    data: VideoData,
    *,
    split: str | None = None,
    crops: int | None = None,
    official_map: bool = False,
    request: ExitRequest = _NOTHING,
) -> VideoEvaluation:
    """Score a model; see ``evaluate_videos``, with a budget ``evaluate_within``.

    Args:
        video: the model, with its class names where they are known.
        data: the data set.
        split: which part; none: the one that results are reported on.
        crops: test crops, 1 or 3; none: as configured.
        official_map: also the ActivityNet toolkit's interpolated mAP.
        request: of conditional exits.

    Raises:
        ConfigError: no such split, or the request cannot be met, also not by an export.
        VideoError: the model's classes are not the data's, by number or order.
    """
    wanted = _split("--split", split or data.scored_split)
    _refuse_other_classes(video, data)
    config = video.config
    threads = config.threads or torch.get_num_threads()
    with reproducible(threads=threads, deterministic=config.train.deterministic):
        exits = _exits(video, data, wanted, request)
        if crops is not None:
            config = config.model_copy(
                update={"video": config.video.model_copy(update={"test_crops": crops})}
            )
        ready = replace(quickened(video), config=config, exits=exits)
        found = _scored(ready, data, wanted, request, official_map=official_map)
    found.metrics["model"] = video.source
    return found


def _scored(
    video: VideoModel, data: VideoData, split: str, request: ExitRequest, *, official_map: bool
) -> VideoEvaluation:
    """Score a model whose exits may be used for this split, as it is."""
    config = video.config
    if request.option is None:
        if isinstance(video.model, ExportedModel):
            return evaluate_exported(video.model, data, split, config, official_map=official_map)
        return evaluate_videos(video.model, data, split, config, official_map=official_map, exits=video.exits)
    network, own = able_to_stop(video, option=request.option)
    if request.budget is not None:
        budget = Budget(request.budget, own, request.timed)
        return evaluate_within(network, data, split, config, budget, official_map=official_map)
    model = video.of_torch("--time without --budget")
    found = evaluate_videos(model, data, split, config, official_map=official_map, exits=own)
    found.metrics["exits"]["seconds"] = time_exits(network, data, split, config, own)
    return found


def _exits(video: VideoModel, data: VideoData, scored: str, request: ExitRequest) -> ClipExits | None:
    """Return thresholds that were not solved on the scored split.

    Raises:
        ConfigError: they are needed, and there are no others.
    """
    if request.solve_on is not None:
        return _solved(video, data, scored, request.solve_on)
    if video.exits is None or video.exits.split != scored:
        return video.exits
    why = f"the exit thresholds of {video.source['name']} were solved on the {scored} split ({video.exits.solved_on})"
    if request.option is not None:
        raise ConfigError(
            f"{request.option}: {why}; score another split, or solve on another with --solve-exits SPLIT"
        )
    _LOGGER.warning("%s: conditional exits are not scored on it", why)
    return None


def _split(option: str, name: str) -> str:
    if name not in SPLITS:
        raise ConfigError(f"{option} {name!r}: accepted are {', '.join(SPLITS)}")
    return name


def _solved(video: VideoModel, data: VideoData, scored: str, solve_on: str) -> ClipExits:
    split = _split("--solve-exits", solve_on)
    if split == scored:
        raise ConfigError(
            f"--solve-exits {split}: is the split that is scored; thresholds must not be solved on it, choose another"
        )
    learned = split == "train"
    kind = f"clips of the {split} split" + (", which the model has learned on" if learned else "")
    model = video.of_torch("--solve-exits")
    exits = solve_exits(model, data, data.clips(split), video.config, kind=kind, learned=learned)
    if exits is None:
        raise ConfigError(
            f"--solve-exits {split}: {video.source['name']} answers once, after all of its work; leave the option out"
        )
    return exits


def _refuse_other_classes(video: VideoModel, data: VideoData) -> None:
    known, number = video.config.model.num_classes, data.table.num_classes
    if known != number:
        raise VideoError(
            f"{data.root}: has {number} classes, the model {video.source['name']} has {known}; give the data set that it "
            "was trained for"
        )
    numbers = tuple(str(label) for label in range(number))
    if video.classes in ((), numbers):
        if data.table.classes and tuple(data.table.classes) != video.classes:
            note = data.table.source.class_note
            _LOGGER.warning(
                "%s does not name its classes, so their order cannot be compared with the data's (%s%s); if it is another, "
                "every figure is wrong",
                video.source["name"],
                data.table.source.class_rule,
                f"; {note}" if note else "",
            )
        return
    conflict = class_order_conflict(
        video.classes, data.table.require_classes("comparing the order of classes")
    )
    if conflict is not None:
        raise VideoError(f"{data.root}: {conflict.text}")
