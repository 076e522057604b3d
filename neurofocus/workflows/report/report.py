"""The report of a cross-validation: one HTML file that needs nothing else, not even a network."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from omegaconf import OmegaConf

from neurofocus.evaluation.curve import curve_figure
from neurofocus.evaluation.figures import (
    DARK,
    LIGHT,
    FrameStrip,
    calibration_figure,
    frames_figure,
    roc_figure,
)
from neurofocus.evaluation.summary import scores_of
from neurofocus.files import write_text
from neurofocus.ingest.flow import FlowStep
from neurofocus.schema.cohort import CohortSpec
from neurofocus.workflows.page import page_template
from neurofocus.workflows.report import tables
from neurofocus.workflows.report.exits import clock_points, clock_sentence, exit_points, exit_sentence
from neurofocus.workflows.report.notes import read_notes

__all__ = ["Example", "ReportData", "write_report"]


@dataclass(frozen=True)
class Example:
    """One test scan's focus frames, with the boxes that the model chose.

    Attributes:
        participant_id: whose scan.
        label: true class name.
        predicted: predicted class name.
        probability: of the predicted class.
        frames: [F, H, W]; exactly 0 is outside the brain.
        boxes: [F, 4] as (x_c, y_c, height, width) in pixels of the frame.
        positions_mm: [F] where the frames lie along their axis in template space.
        axis: the world axis that the frames run along: "x", "y" or "z".
        letters: what lies left, right, bottom and top in a frame, for example ("L", "R", "I", "S").
    """

    participant_id: str
    label: str
    predicted: str
    probability: float
    frames: npt.NDArray[np.floating]
    boxes: npt.NDArray[np.floating]
    positions_mm: Sequence[float]
    axis: str = "y"
    letters: tuple[str, str, str, str] = ("", "", "", "")


@dataclass(frozen=True)
class ReportData:
    """Everything that the report shows.

    Attributes:
        title: its heading, for example "Cross-validation of demo".
        spec: the cohort definition.
        metrics: the content of metrics.json (``evaluation.summary.summarise``).
        predictions: the table of predictions.tsv.
        cohort: the cohort table.
        folds: the table of folds.tsv.
        flow: the inclusion flow.
        provenance: names and values in order (versions, seed, hashes, command); groups may nest.
        config: the run configuration as plain values.
        examples: a few test scans.
        warnings: of reading, preparing and training, one sentence each.
        exit_seconds: what ``workflows.exit_seconds`` measured; none: nothing was.
    """

    title: str
    spec: CohortSpec
    metrics: Mapping[str, Any]
    predictions: pd.DataFrame
    cohort: pd.DataFrame
    folds: pd.DataFrame
    flow: Sequence[FlowStep]
    provenance: Mapping[str, Any]
    config: Mapping[str, Any]
    examples: Sequence[Example] = field(default_factory=tuple)
    warnings: Sequence[str] = field(default_factory=tuple)
    exit_seconds: Mapping[str, Any] | None = None


def write_report(path: Path, data: ReportData) -> None:
    """Write report.html atomically; pictures are inside it, and it refers to nothing outside.

    Args:
        path: the file to write.
        data: what to show.
    """
    text = page_template("report.html").render(_context(data))
    write_text(path, text)


def _context(data: ReportData) -> dict[str, Any]:
    metrics = data.metrics
    rows = tables.metric_rows(metrics)
    return {
        "title": data.title,
        "spec": data.spec,
        "metrics": metrics,
        "synthetic": bool(metrics["synthetic"]),
        "has_ceiling": any(row["ceiling_value"] is not None for row in rows),
        "rows": rows,
        "headline": [row for row in rows if row["name"] in ("balanced_accuracy", "roc_auc")],
        "gflops": tables.number(metrics["mean_gflops"], 2),
        "notes": read_notes(metrics, data.spec.expectations),
        "fold_rows": tables.fold_rows(metrics),
        "confusion": tables.confusion_rows(metrics),
        "pictures": _pictures(data),
        "exits": _exit_picture(metrics),
        "clock": _clock_picture(metrics, data.exit_seconds),
        "examples": [_picture_of(example) for example in data.examples],
        "cohort_rows": tables.cohort_rows(data.cohort, metrics["classes"]),
        "flow": data.flow,
        "role_rows": tables.role_rows(data.folds, metrics["classes"]),
        "provenance": tables.provenance_rows(data.provenance),
        "config": OmegaConf.to_yaml(OmegaConf.create(dict(data.config))),
        "warnings": list(data.warnings),
    }


def _pictures(data: ReportData) -> list[dict[str, str]]:
    """Return ROC and calibration pictures for both themes, with texts for those who cannot see them."""
    classes = list(data.metrics["classes"])
    scores = scores_of(data.predictions, classes)
    folds = data.predictions["fold"].to_numpy(dtype=np.int64)
    area = data.metrics["pooled"]["roc_auc"]
    error = data.metrics["pooled"]["ece"]
    return [
        {
            "heading": "ROC curves",
            "light": _data_uri(roc_figure(scores, folds, classes, LIGHT)),
            "dark": _data_uri(roc_figure(scores, folds, classes, DARK)),
            "alt": f"ROC curves. Pooled area under the curve {tables.number(area['value'])}, 95 % interval "
            f"{tables.number(area['low'])} to {tables.number(area['high'])}.",
            "caption": "Out of fold. The legend gives the area under each curve.",
        },
        {
            "heading": "Calibration",
            "light": _data_uri(calibration_figure(scores, classes, LIGHT)),
            "dark": _data_uri(calibration_figure(scores, classes, DARK)),
            "alt": f"Reliability curve: expected calibration error {tables.number(error['value'])}.",
            "caption": "On the dashed line, probabilities mean what they say. Bars: how many scans.",
        },
    ]


def _exit_picture(metrics: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the curves of conditional exits for both themes; None where there is nothing to draw."""
    if "exits" not in metrics or not (points := exit_points(metrics["exits"])):
        return None
    exits = metrics["exits"]
    light, dark = (
        _data_uri(curve_figure(points, "balanced accuracy", theme, case="scan")) for theme in (LIGHT, DARK)
    )
    cheapest, dearest = exits["fixed"][0], exits["fixed"][-1]
    return {
        "light": light,
        "dark": dark,
        "alt": "Balanced accuracy against GFLOPs a scan for conditional exits, random exits of the same proportions and "
        f"fixed lengths, from {cheapest['gflops']:.4g} to {dearest['gflops']:.4g} GFLOPs. {exit_sentence(exits)}",
        "caption": exit_sentence(exits),
    }


def _clock_picture(metrics: Mapping[str, Any], seconds: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return the curves against seconds for both themes; None where no seconds were taken."""
    if seconds is None or not (points := clock_points(metrics["exits"], seconds)):
        return None
    how = f"{seconds['device']}, {seconds['threads']} thread{'s' if seconds['threads'] > 1 else ''}"
    light, dark = (
        _data_uri(curve_figure(points, "balanced accuracy", theme, case="scan", clock=how))
        for theme in (LIGHT, DARK)
    )
    sentence = clock_sentence(metrics["exits"], seconds)
    return {
        "light": light,
        "dark": dark,
        "alt": f"Balanced accuracy against seconds. {sentence}",
        "caption": sentence,
    }


def _picture_of(example: Example) -> dict[str, Any]:
    captions = [f"{example.axis} = {position:+.0f} mm" for position in example.positions_mm]
    strip = FrameStrip(example.frames, example.boxes, captions, example.letters)
    return {
        "participant_id": example.participant_id,
        "label": example.label,
        "predicted": example.predicted,
        "right": example.label == example.predicted,
        "probability": tables.number(example.probability, 2),
        "image": _data_uri(frames_figure(strip)),
        "alt": f"{len(captions)} focus frames of {example.participant_id} at {', '.join(captions)}, "
        "each with the box that the model looked into.",
    }


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
