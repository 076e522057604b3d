"""``neurofocus video train``: one training on a video data set, resumable, scored at its end."""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from neurofocus.data.loaders import evaluation_loader, training_loader
from neurofocus.data.seeds import derive_seed
from neurofocus.data.video.dataset import VideoDataset
from neurofocus.errors import ConfigError, VideoError
from neurofocus.evaluation.video.metrics import average_precisions, top_k_hits
from neurofocus.evaluation.video.scores import score_videos
from neurofocus.ingest.video.text import counted
from neurofocus.model.build import build_model
from neurofocus.schema.load import with_settings
from neurofocus.schema.run import RunConfig
from neurofocus.tables import write_tsv
from neurofocus.training.distributed import is_main, joined, main_first, part
from neurofocus.training.engine import LAST_CHECKPOINT, FoldTraining, train_fold
from neurofocus.training.reproducible import reproducible
from neurofocus.training.state import TrainingState, load_saved
from neurofocus.workflows.folds.lock import LOCK_SECONDS, alone_in
from neurofocus.workflows.folds.record import history_table
from neurofocus.workflows.run_record import config_hash, open_run
from neurofocus.workflows.video.bundle import write_video_bundle
from neurofocus.workflows.video.digits import pretrain_on_stills
from neurofocus.workflows.video.evaluate import VideoEvaluation, evaluate_videos, write_evaluation
from neurofocus.workflows.video.exits import exits_after_training
from neurofocus.workflows.video.flawed import FlawReport
from neurofocus.workflows.video.source import VideoData

__all__ = ["VideoRun", "fitted", "train_videos"]

_LOGGER = logging.getLogger("neurofocus.workflows.video")
_STREAM = 1  # videos have one training; its draws are those of a first fold


@dataclass(frozen=True)
class VideoRun:
    """A finished training.

    Attributes:
        out: the run folder.
        evaluation: of the scored split.
        files: what was written, by kind.
    """

    out: Path
    evaluation: VideoEvaluation
    files: dict[str, Path]


def fitted(config: RunConfig, data: VideoData) -> RunConfig:
    """Return the configuration with the data set's name and number of classes.

    Raises:
        ConfigError: it is no configuration for videos, mirrors clips of a data set whose labels forbid it, or does not
            fit the number of classes.
    """
    if config.model.frame_channels != 3:
        raise ConfigError(
            f"model.frame_channels is {config.model.frame_channels}; videos have 3: use a configuration for videos "
            "(see 'neurofocus video list') or --set model.frame_channels=3"
        )
    if config.video.flip == "horizontal" and not data.spec.flip:
        raise ConfigError(
            f"video.flip is horizontal, but labels of {data.spec.name} tell left from right; "
            "add --set video.flip=none, or use labelmap with video.flip_labels"
        )
    if config.pretrain is not None and data.spec.simulation != "digits":
        raise ConfigError(
            f"pretrain: {data.spec.name} has no stills; set pretrain to null and give initial weights "
            "(model.global_encoder.weights, model.local_encoder.weights)"
        )
    fitting = {"model.num_classes": data.table.num_classes, "dataset": data.spec.name}
    return with_settings(config, fitting, f"{data.root}: has {data.table.num_classes} classes")


def train_videos(
    config: RunConfig, data: VideoData, out: Path, *, fresh: bool = False, device: torch.device
) -> VideoRun:
    """Train, or continue, or just read a run; then score it.

    A split of its own chooses the epoch where the data set has one beside the scored split; else the held-out share
    ``video.validation_fraction`` of the training clips; else the last epoch is kept, as in the paper. The scored split
    chooses nothing, exit thresholds neither.

    Args:
        config: as ``fitted`` returns it.
        data: the data set.
        out: the run folder.
        fresh: remove an older run in ``out`` first.
        device: where to compute.

    Raises:
        NeurofocusError: whatever the user can mend, in one line.
    """
    with joined(device) as own:
        with main_first():
            record = open_run(out, config, fresh=fresh and is_main())
        with alone_in(out, data.spec.name, LOCK_SECONDS):
            state, found = _train(config, data, out, device=own)
            files: dict[str, Path] = {}
            with main_first():
                if is_main():
                    write_tsv(out / "history.tsv", history_table(state.history))
                    files = write_evaluation(out, found)
                    files["bundle"] = write_video_bundle(out / "bundle", config, data, state, found, record)
    return VideoRun(out, found, files)


def _train(
    config: RunConfig, data: VideoData, out: Path, *, device: torch.device
) -> tuple[TrainingState, VideoEvaluation]:
    """Train or continue, and score the weights to keep, with as many threads as the training was started with."""
    identity = {"settings": config_hash(config), "clips": data.digest(with_excluded=True)}
    saved = load_saved(out / LAST_CHECKPOINT, identity)
    used = data.digest()
    if saved and saved.identity.get("used", used) != used:
        _LOGGER.warning("%s: continues with other clips excluded (--exclude) than before", data.spec.name)
    threads = int(saved.identity["threads"]) if saved else config.threads or torch.get_num_threads()
    with reproducible(threads=threads, deterministic=config.train.deterministic):
        torch.manual_seed(derive_seed("weights", config.seed, _STREAM))
        model = build_model(config.model).to(device)
        if saved is None and data.spec.simulation == "digits":
            pretrain_on_stills(model, data.root, config)
        job = _job(config, data, out, {**identity, "threads": threads, "used": used})
        state = train_fold(model, job, saved)
        model.load_state_dict(state.best_weights)
        exits = exits_after_training(model, data, config)
        return state, evaluate_videos(model, data, data.scored_split, config, exits=exits)


def _job(config: RunConfig, data: VideoData, out: Path, identity: dict[str, Any]) -> FoldTraining:
    """Return the training.

    Raises:
        VideoError: there are too few clips.
        ConfigError: the share to hold out leaves none on one side.
    """
    training, held = data.hold_out(config.video.validation_fraction, config.seed)
    least = max(2, part()[1])
    if len(training) < least:
        raise VideoError(
            f"{data.root}: {counted(len(training), 'clip is', 'clips are')} there to train on; at least {least} are needed (two, and one a "
            "process): add clips"
        )
    _tell(data, training, held, config.train.keep)
    batch, workers = config.train.batch_size, config.data.num_workers
    stream = (config.seed, _STREAM)
    once = config.model_copy(update={"video": config.video.model_copy(update={"test_crops": 1})})
    validation = None if held is None else data.dataset(held, once)
    examples = data.dataset(training, config, stream=stream)
    return FoldTraining(
        name=data.spec.name,
        config=config.train,
        stream=stream,
        training=training_loader(examples, batch, num_workers=workers, part=part()),
        validation=None
        if validation is None
        else evaluation_loader(validation, batch, num_workers=workers, part=part()),
        measure=partial(_measures, validation, data.spec.metric),
        folder=out,
        identity=identity,
        watch=FlawReport(examples, validation).after_epoch,
    )


def _measures(dataset: VideoDataset | None, metric: str, logits: Tensor) -> dict[str, float | None]:
    """Return top-1 and, where the data set is judged by it, mAP of the validation clips."""
    if dataset is None:
        return {}
    names, labels = [clip.name for clip in dataset.clips], [clip.labels for clip in dataset.clips]
    scores = score_videos(names, labels, logits[:, None].numpy())
    last = scores.probabilities[:, -1]
    found: dict[str, float | None] = {"top1": float(top_k_hits(scores.targets, last, 1).mean())}
    if metric == "map":
        found["map"] = float(np.nanmean(average_precisions(scores.targets, last)))
    return found


def _tell(data: VideoData, training: pd.DataFrame, held: pd.DataFrame | None, keep: str) -> None:
    scored = data.scored_split
    measured = "" if held is None else f" ({len(held)} clips measure every epoch)"
    if held is None or keep == "last":
        chosen = f"the last epoch is kept{measured}"
    else:
        chosen = f"{len(held)} clips choose the epoch"
    _LOGGER.info(
        "%s (%s): %d classes, %d clips to train on, %s, %d clips of the %s split are scored",
        data.spec.name,
        data.table.source.format,
        data.table.num_classes,
        len(training),
        chosen,
        len(data.clips(scored)),
        scored,
    )
