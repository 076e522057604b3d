"""What a model answers for clips of a data set: read, run to the end, checked and scored."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from neurofocus.data.loaders import evaluation_loader
from neurofocus.data.video.dataset import VideoDataset
from neurofocus.errors import NeurofocusError
from neurofocus.evaluation.video.scores import VideoScores, score_videos
from neurofocus.model.build import Model
from neurofocus.schema.run import RunConfig
from neurofocus.training.distributed import part
from neurofocus.training.inference import CaseOutputs, predict_cases
from neurofocus.workflows.video.source import VideoData

__all__ = ["VideoAnswers", "answer_videos", "refuse_infinite"]


@dataclass(frozen=True)
class VideoAnswers:
    """Answers of one model.

    Attributes:
        dataset: the clips that were read, in order.
        outputs: of the model.
        scores: softmax of every exit step, averaged over crops, with the labels.
    """

    dataset: VideoDataset
    outputs: CaseOutputs
    scores: VideoScores


def answer_videos(
    model: Model,
    data: VideoData,
    clips: pd.DataFrame,
    config: RunConfig,
    *,
    kind: str,
    order: Literal["time", "weight"],
) -> VideoAnswers:
    """Run clips to the end as they are at test time, without augmentation.

    Args:
        model: on its device.
        data: the data set.
        clips: some of its labelled clips.
        config: of the model, with the test crops wanted.
        kind: what the clips are, for a person.
        order: which focus frames the exit steps see first.

    Raises:
        VideoError: there are no clips, or one cannot be read.
        NeurofocusError: the answers are not finite.
    """
    dataset = data.dataset(clips, config)
    loader = evaluation_loader(
        dataset, config.train.batch_size, num_workers=config.data.num_workers, part=part()
    )
    outputs = predict_cases(model, loader, order=order)
    refuse_infinite(data, kind, finite=bool(outputs.logits.isfinite().all()))
    names, labels = [clip.name for clip in dataset.clips], [clip.labels for clip in dataset.clips]
    return VideoAnswers(dataset, outputs, score_videos(names, labels, outputs.logits.numpy()))


def refuse_infinite(data: VideoData, kind: str, *, finite: bool) -> None:
    """Refuse answers that are not finite.

    Raises:
        NeurofocusError: they are not.
    """
    if not finite:
        raise NeurofocusError(
            f"{data.spec.name}: the model's answers to {kind} are not finite; its training has diverged (lower "
            "train.learning_rates and train again), or its weights are damaged"
        )
