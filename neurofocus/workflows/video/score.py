"""A finished model on a data set that may number its classes otherwise."""

import logging

import torch

from neurofocus.errors import ConfigError, VideoError
from neurofocus.ingest.video.class_order import class_order_conflict
from neurofocus.ingest.video.listing import SPLITS
from neurofocus.training.reproducible import reproducible
from neurofocus.workflows.video.bundle import VideoModel
from neurofocus.workflows.video.evaluate import VideoEvaluation, evaluate_videos
from neurofocus.workflows.video.source import VideoData

__all__ = ["score_model"]

_LOGGER = logging.getLogger("neurofocus.workflows.video")


def score_model(
    video: VideoModel,
    data: VideoData,
    *,
    split: str | None = None,
    crops: int | None = None,
    official_map: bool = False,
) -> VideoEvaluation:
    """Score a model; see ``evaluate_videos``.

    Args:
        video: the model, with its class names where they are known.
        data: the data set.
        split: which part; none: the one that results are reported on.
        crops: test crops, 1 or 3; none: as configured.
        official_map: also the ActivityNet toolkit's interpolated mAP.

    Raises:
        ConfigError: no such split.
        VideoError: the model's classes are not the data's, by number or order.
    """
    if split is not None and split not in SPLITS:
        raise ConfigError(f"--split {split!r}: accepted are {', '.join(SPLITS)}")
    _refuse_other_classes(video, data)
    config = video.config
    if crops is not None:
        config = config.model_copy(update={"video": config.video.model_copy(update={"test_crops": crops})})
    wanted, threads = split or data.scored_split, config.threads or torch.get_num_threads()
    with reproducible(threads=threads, deterministic=config.train.deterministic):
        return evaluate_videos(video.model, data, wanted, config, official_map=official_map)


def _refuse_other_classes(video: VideoModel, data: VideoData) -> None:
    known, number = video.config.model.num_classes, data.table.num_classes
    if known != number:
        raise VideoError(
            f"{data.root}: has {number} classes, the model {video.source['name']} has {known}; give the data set that it "
            "was trained for"
        )
    numbers = tuple(str(label) for label in range(number))
    if video.classes in ((), numbers):
        if data.table.classes:
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
