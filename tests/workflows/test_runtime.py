"""--runtime: what goes together, a missing package, a bundle that is exported once, and the seam between runtimes."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from inference.exit_models import build, complete, planned, videos
from inference.test_onnx_stages import graphs_of
from pytest import MonkeyPatch
from workflows.test_export import put_bundle

from neurofocus.early_exit.runner import run_with_exits
from neurofocus.errors import BundleError, ConfigError
from neurofocus.inference.graph_files import GraphRuntime, open_graph
from neurofocus.inference.stages import ExportedModel, seen_of, stages_of, whole
from neurofocus.inference.torch_stages import CaseFrames
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.workflows import runtime as module
from neurofocus.workflows.bundle import ModelBundle
from neurofocus.workflows.predict import predict
from neurofocus.workflows.runtime import check_runtime, load_for_prediction, open_exported
from neurofocus.workflows.video.bundle import load_exported_video


def exported(model: UniAdaFocus) -> ExportedModel:
    """The model behind the seam of exports, its graphs computed by PyTorch."""
    return ExportedModel(graphs_of(model), model.config, "onnx")


def test_options() -> None:
    assert check_runtime("torch", "f32", "cuda") == ("torch", "f32")
    assert check_runtime("openvino", "bf16", "auto") == ("openvino", "bf16")
    assert check_runtime("torch", "bf16", "auto") == ("torch", "bf16")
    for given, message in (
        (("tensorrt", "f32", "cpu"), "--runtime 'tensorrt'"),
        (("openvino", "f16", "cpu"), "--precision 'f16'"),
        (("onnx", "bf16", "cpu"), "--precision bf16"),
        (("onnx", "f32", "cuda:0"), "--device cuda:0"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_runtime(*given)


def test_scans_are_not_answered_in_bfloat16() -> None:
    with pytest.raises(ConfigError, match="--precision bf16: for scans it goes with --runtime openvino"):
        load_for_prediction(None, "cpu", "torch", precision="bf16")


@pytest.mark.parametrize(("runtime", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_a_missing_package(
    runtime: GraphRuntime, package: str, monkeypatch: MonkeyPatch, tmp_path: Path
) -> None:
    """It is known before anything is exported or read."""
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"--runtime {runtime}: .*pip install 'neurofocus\[{runtime}\]'"
    with pytest.raises(ConfigError, match=message):
        open_graph(tmp_path / "glance.onnx", runtime=runtime)
    with pytest.raises(ConfigError, match=message):
        open_exported(tmp_path, runtime)
    with pytest.raises(ConfigError, match=message):
        load_for_prediction(None, "cpu", runtime)
    with pytest.raises(ConfigError, match=message):
        load_exported_video(tmp_path, runtime)


@pytest.mark.parametrize("name", ["max pooling", "temporal shift"])
def test_the_same_answers_through_the_seam(name: str) -> None:
    model = build(name)
    expected = complete(model, "time")
    plan = planned(model, expected, "time")
    frames, glances = videos(model)
    cases = [
        CaseFrames(frames[row][None], None if glances is None else glances[row][None])
        for row in range(len(frames))
    ]
    for network in (model, exported(model)):
        for answer in run_with_exits(stages_of(network), cases, plan, plan.rules[1], batch_size=4):
            assert answer.probabilities == pytest.approx(expected[answer.index, answer.step], abs=1e-5)
        probabilities, seen = whole(network, cases[3])
        with torch.no_grad():
            output = model(*(stream[3:4] for stream in (frames, glances) if stream is not None))
        np.testing.assert_allclose(probabilities, expected[3, -1], atol=1e-5)
        np.testing.assert_array_equal(seen.frames, output.frame_indices[0].numpy())
        np.testing.assert_allclose(seen.boxes, output.boxes[0].numpy(), atol=1e-4)
        assert seen.weights is not None
        np.testing.assert_allclose(seen.weights, output.frame_weights[0].numpy(), atol=1e-5)


def test_what_was_seen_is_told_in_time() -> None:
    model = build("max pooling")
    case = CaseFrames(videos(model)[0][3][None])
    with torch.no_grad():
        output = model(case.frames)
    for network in (model, exported(model)):
        stages = stages_of(network, order="weight")
        (state,) = stages.glance([case])
        before = seen_of(state)
        assert (len(before.frames), before.boxes.shape, before.weights) == (0, (0, 4), None)
        stages.focus([state], [3])
        seen = seen_of(state)
        assert len(seen.frames) == 3
        assert (np.diff(seen.frames) > 0).all()
        places = [output.frame_indices[0].tolist().index(frame) for frame in seen.frames]
        np.testing.assert_allclose(seen.boxes, output.boxes[0, places].numpy(), atol=1e-4)


def test_models_that_still_learn_are_refused() -> None:
    with pytest.raises(ValueError, match="evaluation mode"):
        stages_of(UniAdaFocus(build("max pooling").config))


def test_scans_by_another_runtime(bundle: ModelBundle, tiny_scan: Path) -> None:
    """The answer is the runtime's, its explanation PyTorch's, with a budget and without."""
    other = replace(bundle, exported=tuple(exported(model) for model in bundle.models))
    plan = bundle.manifest.folds[0].exits
    assert plan is not None
    dearest = len(bundle.models) * plan.ladder.gflops[-1]
    for budget in (None, 0.8 * dearest):
        expected, found = (predict(tiny_scan, each, budget=budget) for each in (bundle, other))
        assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
        assert found.document["model"].pop("runtime") == "onnx"
        assert found.document.keys() == expected.document.keys()
        assert found.document["frames"] == expected.document["frames"]
        assert found.document["gflops"] == expected.document["gflops"]


@pytest.mark.slow
def test_a_bundle_is_exported_once(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROFOCUS_CACHE", str(tmp_path / "cache"))
    bundle = put_bundle(tmp_path / "bundle")
    frames = [CaseFrames(row[None]) for row in videos(build("max pooling"))[0][:3]]
    _, (first,) = open_exported(bundle, "onnx")
    monkeypatch.setattr(module, "export_onnx", None)
    _, (second,) = open_exported(bundle, "onnx")
    (folder,) = [path for path in (tmp_path / "cache" / "exports").iterdir() if path.is_dir()]
    _, (third,) = open_exported(folder, "onnx")
    for network in (first, second, third):
        stages = stages_of(network)
        states = stages.glance(frames)
        np.testing.assert_allclose(
            stages.focus(states, [5] * 3), complete(build("max pooling"), "time")[:3, -1], atol=1e-4
        )
    with pytest.raises(BundleError, match="is an export; answers for scans are explained"):
        load_for_prediction(folder, "cpu", "onnx")
