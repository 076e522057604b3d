"""Complete predictions at every exit step, in time and by weight, against the runner that looks step by step."""

import numpy as np
import pytest
import torch

from neurofocus.data.dataset import FrameDataset
from neurofocus.data.loaders import evaluation_loader
from neurofocus.inference.torch_stages import CaseFrames, TorchStages
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import ModelConfig
from neurofocus.training.inference import predict_cases

GLANCE, FOCUS, COUNT = 4, 3, 5
MODEL = {
    "frame_channels": 1,
    "gray_input": "average",
    "frame_size": 32,
    "num_frames": 8,
    "num_glance_frames": GLANCE,
    "num_focus_frames": FOCUS,
    "patch_size": 16,
    "global_encoder": {"name": "resnet18", "width": 0.125},
    "local_encoder": {"name": "resnet18", "width": 0.125},
    "spatial_policy": {"channels": 8},
    "temporal_policy": {"channels": 8},
}


def build(kind: str) -> UniAdaFocus:
    torch.manual_seed(0)
    model = UniAdaFocus(
        ModelConfig.model_validate(MODEL | {"classifier": {"kind": kind, "hidden": 16}})
    ).eval()
    assert model.temporal_policy is not None
    for parameter in model.temporal_policy.parameters():
        parameter.data *= 4  # untrained weights are nearly uniform, and their order that of time
    return model


def dataset() -> FrameDataset:
    frames = np.random.default_rng(0).normal(size=(COUNT, 8, 32, 32)).astype(np.float32)
    return FrameDataset(list(frames), [0] * COUNT, 8)


@pytest.mark.parametrize("kind", ["max_pooling", "average"])
@pytest.mark.parametrize("order", ["time", "weight"])
def test_steps_are_those_of_the_runner(kind: str, order: str) -> None:
    model, cases = build(kind), dataset()
    stages = TorchStages(model, order="weight" if order == "weight" else "time")
    found = predict_cases(model, evaluation_loader(cases, 2), order=stages.order).logits
    assert found.shape == (COUNT, GLANCE + FOCUS, 2)
    shown = [CaseFrames(cases[number]["frames"][None]) for number in range(COUNT)]
    expected = [stages.glance_probabilities(stages.glance(shown))]
    expected += [stages.focus(stages.glance(shown), [step] * COUNT) for step in range(1, FOCUS + 1)]
    steps = found.softmax(-1).numpy()[:, GLANCE - 1 :]
    np.testing.assert_allclose(steps, np.stack(expected, axis=1), atol=1e-6)


@pytest.mark.parametrize("kind", ["max_pooling", "average"])
def test_order_changes_the_steps_between_and_not_the_answer(kind: str) -> None:
    model, loader = build(kind), evaluation_loader(dataset(), COUNT)
    in_time, by_weight = (
        predict_cases(model, loader),
        predict_cases(model, loader, order="weight"),
    )
    assert torch.equal(in_time.logits[:, -1], by_weight.logits[:, -1])
    torch.testing.assert_close(in_time.logits[:, :GLANCE], by_weight.logits[:, :GLANCE])
    assert not torch.allclose(in_time.logits[:, GLANCE], by_weight.logits[:, GLANCE], atol=1e-4)
    assert torch.equal(in_time.frame_indices, by_weight.frame_indices)
