"""``neurofocus video evaluate``: a benchmark's measures after every exit step, and accuracy against cost.

Every clip is run to the end; what conditional exits would give follows from that. To run with exits see ``budget``.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from neurofocus.data.video.dataset import VideoDataset
from neurofocus.errors import ConfigError
from neurofocus.evaluation.curve import curve_figure, curve_table
from neurofocus.evaluation.figures import LIGHT
from neurofocus.evaluation.video.scores import VideoScores
from neurofocus.evaluation.video.summary import measure_names, summarise_videos
from neurofocus.files import atomic_write, require_writable, write_bytes, write_json
from neurofocus.model.build import Model
from neurofocus.model.cost import measure_cost
from neurofocus.schema.run import RunConfig
from neurofocus.tables import write_tsv
from neurofocus.workflows.run_record import RUN_RECORD
from neurofocus.workflows.video.answers import answer_videos
from neurofocus.workflows.video.digits import evidence_found
from neurofocus.workflows.video.exit_curve import clock_points, compare_exits, curve_points
from neurofocus.workflows.video.exits import ClipExits
from neurofocus.workflows.video.flawed import FlawReport
from neurofocus.workflows.video.source import VideoData

__all__ = [
    "VideoEvaluation",
    "circumstances",
    "evaluate_videos",
    "prediction_table",
    "require_output",
    "write_evaluation",
]

_LOGGER = logging.getLogger("neurofocus.workflows.video")
_SHOWN_CLASSES = 5
_BETWEEN = " | "  # class names hold commas and semicolons


@dataclass(frozen=True)
class VideoEvaluation:
    """What a model reached on one split.

    Attributes:
        metrics: the content of metrics.json.
        predictions: one row a clip: clip_id, labels, predicted, probability, top5, gflops.
        logits: of every exit step, [N, E, K] or [N, C, E, K] of C crops, in the order of ``predictions``; none where
            one answer a clip is known.
        exits: the thresholds that were compared; none: there are none.
    """

    metrics: dict[str, Any]
    predictions: pd.DataFrame
    logits: np.ndarray[Any, np.dtype[np.float32]] | None
    exits: ClipExits | None = None


def evaluate_videos(
    model: Model,
    data: VideoData,
    split: str,
    config: RunConfig,
    *,
    official_map: bool = False,
    exits: ClipExits | None = None,
) -> VideoEvaluation:
    """Score a model on a split, with the crops of ``config.video``.

    Args:
        model: on its device.
        data: the data set.
        split: which part is scored.
        config: the model's, with the test crops wanted.
        official_map: also the ActivityNet toolkit's interpolated mAP.
        exits: thresholds to compare with random exits and fixed lengths.

    Raises:
        VideoError: the split has no labelled clips, or one cannot be read.
        NeurofocusError: the model's answers are not finite.
    """
    order = config.exit.order if exits is None else exits.plan.order
    found = answer_videos(model, data, data.clips(split), config, kind=f"{split} clips", order=order)
    scores, outputs = found.scores, found.outputs
    gflops = [cost * config.video.test_crops for cost in _step_costs(config, scores.num_steps)]
    measures = measure_names(scores.num_classes, data.spec.metric, official=official_map)
    metrics = summarise_videos(scores, data.classes, gflops, measures, seed=config.seed)
    metrics["mean_gflops"] = gflops[-1]
    metrics["exits"] = None if exits is None else compare_exits(scores, gflops, exits, measures, config)
    if data.spec.simulation == "digits":
        metrics["evidence"] = evidence_found(data.root, split, outputs, list(scores.cases))
    metrics |= circumstances(data, split, config, found.dataset)
    metrics["mean_box_side"] = float(outputs.boxes[..., 2:].mean()) / config.model.frame_size
    logits = outputs.logits.numpy().astype(np.float32)
    return VideoEvaluation(metrics, prediction_table(scores, data.classes, gflops[-1]), logits, exits)


def require_output(out: Path) -> None:
    """Refuse a folder for results before hours are spent on them.

    Raises:
        ConfigError: it is the folder of a run, whose own results would be overwritten.
        NeurofocusError: it cannot be written into.
    """
    if (out / RUN_RECORD).is_file():
        raise ConfigError(
            f"--out {out}: holds a training and its results, which would be overwritten; choose another folder"
        )
    require_writable(out)


def write_evaluation(out: Path, found: VideoEvaluation) -> dict[str, Path]:
    """Write predictions.tsv, logits.npz, metrics.json and the accuracy-GFLOPs curve; return the files by kind.

    Where one answer a clip is known there are two files only: budget_predictions.tsv and budget_metrics.json of clips
    that stopped early, and the same named after the runtime of an export.
    """
    if found.logits is None:
        kind = "budget" if found.metrics["exits"] else found.metrics["runtime"]
        files = {"predictions": out / f"{kind}_predictions.tsv", "metrics": out / f"{kind}_metrics.json"}
        write_tsv(files["predictions"], found.predictions)
        write_json(files["metrics"], found.metrics)
        return files
    files = {
        kind: out / name
        for kind, name in (
            ("predictions", "predictions.tsv"),
            ("logits", "logits.npz"),
            ("curve table", "curve.csv"),
            ("curve", "curve.png"),
            ("metrics", "metrics.json"),
        )
    }
    write_tsv(files["predictions"], found.predictions)
    with atomic_write(files["logits"]) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream, logits=found.logits, clip_id=found.predictions["clip_id"].to_numpy(dtype=str)
        )
    measure = found.metrics["judged_by"]
    points = curve_points(found.metrics, measure)
    with atomic_write(files["curve table"]) as temporary:
        curve_table(points, measure).to_csv(temporary, index=False)
    note = f"SYNTHETIC videos ({found.metrics['dataset']})" if found.metrics["synthetic"] else ""
    write_bytes(files["curve"], curve_figure(points, measure, LIGHT, note=note))
    if found.metrics["exits"] and "seconds" in found.metrics["exits"]:
        files |= _write_clock(out, found.metrics, note)
    write_json(files["metrics"], found.metrics)
    return files


def _write_clock(out: Path, metrics: dict[str, Any], note: str) -> dict[str, Path]:
    """Write accuracy against measured seconds; return the files by kind."""
    files = {"seconds table": out / "seconds.csv", "seconds": out / "seconds.png"}
    measure, clock = metrics["judged_by"], metrics["exits"]["seconds"]
    points = clock_points(metrics, measure)
    with atomic_write(files["seconds table"]) as temporary:
        curve_table(points, measure).rename(columns={"gflops": "seconds"}).to_csv(temporary, index=False)
    words = f"model only, batch {clock['batch_size']}, {clock['device']}"
    write_bytes(files["seconds"], curve_figure(points, measure, LIGHT, clock=words, note=note))
    return files


def _step_costs(config: RunConfig, steps: int) -> Sequence[float]:
    costs = measure_cost(config.model).exit_gflops
    if len(costs) != steps:
        raise ValueError(f"{len(costs)} costs for {steps} exit steps")
    return costs


def circumstances(data: VideoData, split: str, config: RunConfig, dataset: VideoDataset) -> dict[str, Any]:
    """Return what a reader of the figures must know besides them."""
    return {
        "dataset": data.spec.name,
        "synthetic": data.synthetic,
        "split": split,
        "judged_by": data.spec.metric,
        "loss_profile": config.train.objective.profile,
        "crops": config.video.test_crops,
        "gflops_unit": "1e9 multiply-adds a video, all crops",
        "left_out": data.left_out,
        "flawed_clips": FlawReport(dataset).tell(),
        "list_format": data.table.source.format,
        "class_rule": data.table.source.class_rule,
    }


def prediction_table(
    scores: VideoScores, classes: Sequence[str], gflops: float | npt.NDArray[np.float64]
) -> pd.DataFrame:
    """Return one row a clip, of the last step.

    Args:
        scores: of all clips.
        classes: [K] names.
        gflops: what an answer cost, of all clips or of each, [N].
    """
    last = scores.probabilities[:, -1]
    order = np.argsort(-last, axis=1, kind="stable")[:, :_SHOWN_CLASSES].tolist()
    return pd.DataFrame(
        {
            "clip_id": list(scores.cases),
            "labels": [_BETWEEN.join(classes[int(k)] for k in np.flatnonzero(row)) for row in scores.targets],
            "predicted": [classes[row[0]] for row in order],
            "probability": last.max(1),
            "top5": [_BETWEEN.join(classes[k] for k in row) for row in order],
            "gflops": gflops,
        }
    )
