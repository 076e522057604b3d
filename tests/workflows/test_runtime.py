"""--runtime: what goes together, a missing package, and a bundle that is exported once."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from inference.exit_models import build, complete, planned, videos
from inference.test_onnx_stages import graphs_of
from pytest import MonkeyPatch
from workflows.test_export import put_bundle

from neurofocus.early_exit.runner import run_with_exits
from neurofocus.errors import ConfigError
from neurofocus.inference.graph_files import open_graph
from neurofocus.inference.onnx_stages import OnnxStages
from neurofocus.inference.torch_stages import CaseFrames
from neurofocus.workflows import runtime as module
from neurofocus.workflows.runtime import OnTensors, answer_whole, check_runtime, open_stages


def test_options() -> None:
    assert check_runtime("torch", "f32", "cuda") == ("torch", "f32")
    assert check_runtime("openvino", "bf16", "auto") == ("openvino", "bf16")
    for given, message in (
        (("tensorrt", "f32", "cpu"), "--runtime 'tensorrt'"),
        (("openvino", "f16", "cpu"), "--precision 'f16'"),
        (("onnx", "bf16", "cpu"), "--precision bf16"),
        (("torch", "bf16", "cpu"), "--precision bf16"),
        (("onnx", "f32", "cuda:0"), "--device cuda:0"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_runtime(*given)


@pytest.mark.parametrize(("runtime", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_a_missing_package(
    runtime: module.GraphRuntime, package: str, monkeypatch: MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"--runtime {runtime}: .*pip install 'neurofocus\[{runtime}\]'"):
        open_graph(tmp_path / "glance.onnx", runtime=runtime)


def test_tensors_go_in(tmp_path: Path) -> None:
    """The same answers through the seam, PyTorch's stages and the graphs."""
    model = build("max pooling")
    plan = planned(model, complete(model, "time"), "time")
    frames = videos(model)[0]
    cases = [CaseFrames(row[None]) for row in frames]
    (torch_stages,) = open_stages(put_bundle(tmp_path / "bundle"), "torch")
    graph_stages = OnTensors(OnnxStages(graphs_of(model), model.config))
    expected = complete(model, "time")
    for stages in (torch_stages, graph_stages):
        for answer in run_with_exits(stages, cases, plan, plan.rules[1], batch_size=4):
            assert answer.probabilities == pytest.approx(expected[answer.index, answer.step], abs=1e-5)
    whole = answer_whole(OnnxStages(graphs_of(model), model.config), cases[3])
    with torch.no_grad():
        output = model(frames[3:4])
    np.testing.assert_allclose(whole.probabilities, expected[3, -1], atol=1e-5)
    np.testing.assert_array_equal(whole.frame_indices, output.frame_indices[0].numpy())
    np.testing.assert_allclose(whole.boxes, output.boxes[0].numpy(), atol=1e-4)
    np.testing.assert_allclose(whole.frame_weights, output.frame_weights[0].numpy(), atol=1e-5)


@pytest.mark.slow
def test_a_bundle_is_exported_once(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROFOCUS_CACHE", str(tmp_path / "cache"))
    bundle = put_bundle(tmp_path / "bundle")
    frames = [CaseFrames(row[None]) for row in videos(build("max pooling"))[0][:3]]
    (first,) = open_stages(bundle, "onnx")
    monkeypatch.setattr(module, "export_onnx", None)
    (second,) = open_stages(bundle, "openvino")
    for stages in (first, second):
        states = stages.glance(frames)
        np.testing.assert_allclose(
            stages.focus(states, [5] * 3), complete(build("max pooling"), "time")[:3, -1], atol=1e-4
        )
