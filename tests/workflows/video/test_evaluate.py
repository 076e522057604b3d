"""Scores of a split: measures as scikit-learn computes them from the logits, crops, the curve, the files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from data.video.clips import picture, write_video
from PIL import Image
from sklearn.metrics import average_precision_score, top_k_accuracy_score
from torch import nn
from workflows.video.tiny_video import data_of, small_config

from neurofocus.errors import NeurofocusError, VideoError
from neurofocus.model.build import build_model
from neurofocus.model.cost import measure_cost
from neurofocus.schema.run import RunConfig
from neurofocus.tables import read_tsv
from neurofocus.workflows.video.evaluate import VideoEvaluation, evaluate_videos, write_evaluation
from neurofocus.workflows.video.source import VideoData

CLASSES = tuple("abcdefg")
LABELS = [(0,), (1, 3), (2,), (3,), (4, 0), (5,), (0,), (1,), (5, 2, 1), (3,)]  # nobody shows g


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> VideoData:
    """Ten clips with one to three of seven labels, judged by mAP."""
    root = tmp_path_factory.mktemp("several")
    rows = [(f"clip {place}", labels, "validation") for place, labels in enumerate(LABELS)]
    for place, (name, _, _) in enumerate(rows):
        write_video(root / f"{name}.mp4", images=[picture(20 * place + number) for number in range(12)])
    data = data_of(rows, classes=CLASSES, root=root)
    spec = data.spec.model_copy(update={"metric": "map", "multi_label": True})
    return VideoData(spec, data.table, root, {"train": 0, "validation": 3, "test": 0}, False)


def config(*changes: str) -> RunConfig:
    return small_config("model.num_classes=7", *changes)


def evaluate(data: VideoData, settings: RunConfig, *, official: bool = False) -> VideoEvaluation:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = build_model(settings.model)
    return evaluate_videos(model, data, "validation", settings, official_map=official)


@pytest.fixture(scope="module")
def found(several: VideoData) -> VideoEvaluation:
    return evaluate(several, config(), official=True)


@pytest.fixture(scope="module")
def written(found: VideoEvaluation, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_evaluation(tmp_path_factory.mktemp("scores") / "deep" / "out", found)


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return torch.tensor(logits).double().softmax(-1).numpy()


def interpolated(targets: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> float:
    """PASCAL VOC 2011, as the toolkit writes it: the precision envelope, summed where recall changes."""
    hits = targets[np.argsort(-scores, kind="stable")]
    precision, recall = hits.cumsum() / np.arange(1, len(hits) + 1), hits.cumsum() / hits.sum()
    precision, recall = np.r_[0, precision, 0], np.r_[0, recall, 1]
    for place in range(len(precision) - 1, 0, -1):
        precision[place - 1] = max(precision[place - 1], precision[place])
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(np.sum((recall[steps] - recall[steps - 1]) * precision[steps]))


def test_measures_are_those_of_the_written_logits(written: dict[str, Path]) -> None:
    stored = np.load(written["logits"])
    assert stored["clip_id"].tolist() == [f"clip {place}" for place in range(len(LABELS))]
    targets = np.zeros((len(LABELS), len(CLASSES)), dtype=int)
    for place, labels in enumerate(LABELS):
        targets[place, list(labels)] = 1
    metrics = json.loads(written["metrics"].read_text(encoding="utf-8"))
    assert len(metrics["steps"]) == stored["logits"].shape[1] == 5
    for step, entry in enumerate(metrics["steps"]):
        scores = softmax(stored["logits"][:, step])
        best = scores.argsort(1)[:, ::-1]
        assert entry["step"] == step + 1
        assert entry["top1"]["value"] == pytest.approx(
            np.take_along_axis(targets, best[:, :1], 1).max(1).mean()
        )
        assert entry["top5"]["value"] == pytest.approx(
            np.take_along_axis(targets, best[:, :5], 1).max(1).mean()
        )
        precisions = average_precision_score(targets[:, :6], scores[:, :6], average="macro")
        assert entry["map"]["value"] == pytest.approx(precisions)
        official = np.mean([interpolated(targets[:, k], scores[:, k]) for k in range(6)])
        assert entry["map_official"]["value"] == pytest.approx(official)
        if step < 2:  # costs as much as the next one
            assert all(
                set(entry[measure]) == {"value"} for measure in ("top1", "top5", "map", "map_official")
            )
            continue
        for measure in ("top1", "top5", "map", "map_official"):
            value, low, high = (entry[measure][key] for key in ("value", "low", "high"))
            assert low - 1e-12 <= value <= high + 1e-12
    single = [place for place, labels in enumerate(LABELS) if len(labels) == 1]
    last = softmax(stored["logits"][single, -1])
    truth = [LABELS[place][0] for place in single]
    expected = top_k_accuracy_score(truth, last, k=5, labels=range(7))
    hits = np.take_along_axis(targets[single], last.argsort(1)[:, ::-1][:, :5], 1).max(1)
    assert hits.mean() == pytest.approx(expected)  # the oracle above is scikit-learn's where it has one
    assert metrics["pooled"] == {name: metrics["steps"][-1][name] for name in metrics["pooled"]}


def test_circumstances(found: VideoEvaluation, several: VideoData) -> None:
    metrics = found.metrics
    assert metrics["absent_classes"] == ["g"]
    assert "1 of 7 classes have no video here" in metrics["warnings"][0]
    assert metrics["left_out"] == {"train": 0, "validation": 3, "test": 0}
    assert (metrics["judged_by"], metrics["crops"], metrics["split"]) == ("map", 1, "validation")
    assert metrics["n_videos"] == 10
    costs = measure_cost(config().model).exit_gflops
    assert [entry["gflops"] for entry in metrics["steps"]] == pytest.approx(costs)
    assert 96 / 224 <= metrics["mean_box_side"] <= 1


def test_prediction_table(written: dict[str, Path], found: VideoEvaluation) -> None:
    table = read_tsv(written["predictions"], numbers=["probability", "gflops"])
    assert list(table.columns) == ["clip_id", "labels", "predicted", "probability", "top5", "gflops"]
    assert table["labels"].tolist()[:2] == ["a", "b | d"]
    last = softmax(np.load(written["logits"])["logits"][:, -1])
    assert table["predicted"].tolist() == [CLASSES[place] for place in last.argmax(1)]
    np.testing.assert_allclose(table["probability"], last.max(1), atol=1e-6)
    names = [[CLASSES[place] for place in row] for row in (-last).argsort(1, kind="stable")[:, :5]]
    assert [text.split(" | ") for text in table["top5"]] == names
    assert set(table["gflops"]) == {found.metrics["steps"][-1]["gflops"]}


def test_curve_files(written: dict[str, Path], found: VideoEvaluation) -> None:
    """After the glance frames nothing is bought until the focus: of steps of one cost the last stands for all."""
    table = pd.read_csv(written["curve table"])
    assert list(table.columns) == ["series", "gflops", "map", "map_low", "map_high"]
    steps = {entry["gflops"]: entry["map"] for entry in found.metrics["steps"]}
    assert table["gflops"].tolist() == pytest.approx(sorted(steps))
    assert table["gflops"].is_monotonic_increasing
    assert table["gflops"].is_unique
    assert table["map"].tolist() == pytest.approx([steps[cost]["value"] for cost in sorted(steps)])
    assert set(table["series"]) == {"fixed length"}
    assert table["map_low"].tolist() == pytest.approx([steps[cost]["low"] for cost in sorted(steps)])
    with Image.open(written["curve"]) as image:
        assert image.format == "PNG"
        assert min(image.size) > 400


def test_three_crops_are_the_mean_of_softmax(several: VideoData, found: VideoEvaluation) -> None:
    three = evaluate(several, config("video.test_crops=3"))
    assert three.logits.shape == (10, 3, 5, 7)
    np.testing.assert_allclose(
        three.logits[:, 1], found.logits, atol=1e-5
    )  # 36 x 48 read, 32 seen: same centre
    assert np.abs(three.logits[:, 0] - three.logits[:, 2]).max() > 1e-4
    mean = softmax(three.logits).mean(1)[:, -1]
    np.testing.assert_allclose(three.predictions["probability"], mean.max(1), atol=1e-6)
    assert three.predictions["predicted"].tolist() == [CLASSES[place] for place in mean.argmax(1)]
    assert [entry["gflops"] for entry in three.metrics["steps"]] == pytest.approx(
        [3 * entry["gflops"] for entry in found.metrics["steps"]]
    )
    assert three.metrics["crops"] == 3


def test_batches_do_not_matter(several: VideoData, found: VideoEvaluation) -> None:
    other = evaluate(several, config("train.batch_size=7"))
    np.testing.assert_allclose(other.logits, found.logits, atol=1e-5)
    assert other.predictions["clip_id"].tolist() == found.predictions["clip_id"].tolist()


def test_answers_that_are_not_finite(several: VideoData) -> None:
    model = build_model(config().model)
    nn.init.constant_(next(iter(model.classifier.parameters())), float("nan"))
    with pytest.raises(NeurofocusError, match="answers to validation clips are not finite"):
        evaluate_videos(model, several, "validation", config())


def test_a_split_without_clips(several: VideoData) -> None:
    with pytest.raises(VideoError, match="no labelled clips in the test split"):
        evaluate_videos(build_model(config().model), several, "test", config())
