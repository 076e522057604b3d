"""Exported models on a data set: the scores of the model that they were made from."""

from pathlib import Path

import pandas as pd
import pytest
from inference.test_onnx_stages import graphs_of
from workflows.video.exit_models import CLASSES, MODELS, model_of, put_ten, settings_of
from workflows.video.test_budget import GEOMETRIC, solved

from neurofocus.errors import ConfigError
from neurofocus.inference.stages import ExportedModel
from neurofocus.workflows.video.bundle import VideoModel
from neurofocus.workflows.video.evaluate import write_evaluation
from neurofocus.workflows.video.score import ExitRequest, score_model
from neurofocus.workflows.video.source import VideoData


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> VideoData:
    return put_ten(tmp_path_factory.mktemp("ten"))


@pytest.mark.parametrize("name", MODELS)
def test_an_export_is_scored_like_its_model(ten: VideoData, tmp_path: Path, name: str) -> None:
    config = settings_of(name, *GEOMETRIC, "video.test_crops=3")
    model = model_of(config)
    exits = solved(model, ten, config)
    budget = 3 * exits.plan.rules[1].gflops
    videos = [
        VideoModel(network, config, CLASSES, {"name": "it"}, exits=exits)
        for network in (model, ExportedModel(graphs_of(model), config.model, "onnx"))
    ]
    for limit in (budget, None):
        request = ExitRequest(budget=limit)
        expected, found = (score_model(video, ten, split="test", request=request) for video in videos)
        columns = expected.predictions.columns
        pd.testing.assert_frame_equal(found.predictions[columns], expected.predictions, atol=1e-5)
        assert found.metrics["mean_gflops"] == pytest.approx(expected.metrics["mean_gflops"])
        for measure, entry in expected.metrics["pooled"].items():
            assert found.metrics["pooled"][measure] == pytest.approx(entry)
    assert found.metrics["runtime"] == "onnx"
    files = write_evaluation(tmp_path, found)
    assert {path.name for path in files.values()} == {"onnx_predictions.tsv", "onnx_metrics.json"}
    for request, option in (
        (ExitRequest(timed=True), "--time without --budget"),
        (ExitRequest(solve_on="validation"), "--solve-exits"),
    ):
        with pytest.raises(ConfigError, match=f"^{option}: needs the model in PyTorch; leave out --runtime"):
            score_model(videos[1], ten, split="test", request=request)
