"""Training in less memory: the same gradients and running statistics as without, and a model left as it was."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pytest import MonkeyPatch
from torch import Tensor, nn

from neurofocus.model.build import Model, build_model
from neurofocus.model.draws import Draws
from neurofocus.schema.model import ModelConfig
from neurofocus.schema.run import ObjectiveConfig
from neurofocus.training.losses import training_loss
from neurofocus.training.saving import saving_memory

COMMON: dict[str, Any] = {
    "num_classes": 3,
    "frame_size": 64,
    "num_frames": 4,
    "num_glance_frames": 4,
    "num_focus_frames": 2,
    "patch_size": 32,
    "spatial_policy": {"channels": 8},
}
MOBILE, RES = {"name": "mobilenet_v2", "width": 0.25}, {"name": "resnet50", "width": 0.125}
KINDS: dict[str, dict[str, Any]] = {
    "max_pooling": {
        "global_encoder": MOBILE,
        "local_encoder": RES,
        "classifier": {"kind": "max_pooling", "hidden": 16, "dropout": 0.2},
    },
    "tsm": {
        "global_encoder": {**MOBILE, "temporal_shift": True},
        "local_encoder": {**RES, "temporal_shift": True},
        "classifier": {"kind": "average"},
    },
    "x3d": {
        "global_encoder": {"name": "x3d_s", "width": 0.25},
        "local_encoder": {"name": "x3d_s", "width": 0.25},
        "classifier": {"kind": "pooled_mlp", "hidden": 16},
        "auxiliary_hidden": 16,
    },
}


def model_of(kind: str) -> Model:
    torch.manual_seed(0)
    return build_model(ModelConfig.model_validate(COMMON | KINDS[kind])).train()


def step(model: Model, frames: Tensor) -> Tensor:
    """Return the loss; gradients are added to the parameters."""
    torch.manual_seed(1)  # dropout
    terms = training_loss(
        model,
        frames,
        torch.tensor([0, 2]),
        objective=ObjectiveConfig(num_mc_samples=4),
        class_weights=None,
        draws=Draws(torch.Generator().manual_seed(2)),
    )
    torch.autograd.backward(terms.total)
    return terms.total.detach()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", ["global_encoder", "local_encoder"])
def test_gradients_of_two_batches_and_running_statistics_are_the_same(kind: str, stage: str) -> None:
    """In float64, where rounding hides nothing: gradients add up over batches, statistics follow each batch once."""
    models = model_of(kind), model_of(kind)
    for turn, model in enumerate(models):
        encoder = model.get_submodule(stage).double()
        with saving_memory(model, on=turn == 1):
            for seed in (3, 4):
                images = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(seed)).double()
                torch.autograd.backward(encoder(images, 4).square().mean())
    plain, saving = (dict(model.get_submodule(stage).named_parameters()) for model in models)
    for name, parameter in plain.items():
        expected, found = parameter.grad, saving[name].grad
        assert expected is not None and found is not None, name
        assert (found - expected).norm() <= 1e-8 * expected.norm() + 1e-12, name
    statistics = dict(models[1].get_submodule(stage).named_buffers())
    for name, value in models[0].get_submodule(stage).named_buffers():
        torch.testing.assert_close(statistics[name], value, rtol=1e-10, atol=1e-12, msg=name)
    assert {int(value) for name, value in statistics.items() if name.endswith("tracked")} == {2}


@pytest.fixture
def float64(monkeypatch: MonkeyPatch) -> Iterator[None]:
    """Let everything compute in float64, also where the model asks for float32."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_step_has_the_same_gradients_and_updates_statistics_once(kind: str) -> None:
    plain, saving = model_of(kind), model_of(kind)
    frames = torch.randn(2, 4, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    loss = step(plain, frames)
    with saving_memory(saving):
        torch.testing.assert_close(step(saving, frames), loss, rtol=1e-9, atol=0)
    for (name, value), other in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert (value.grad is None) == (other.grad is None), name
        if value.grad is not None and other.grad is not None:
            assert (other.grad - value.grad).norm() <= 1e-7 * value.grad.norm() + 1e-11, name
    torch.testing.assert_close(
        dict(saving.named_buffers()), dict(plain.named_buffers()), rtol=1e-8, atol=1e-10
    )


def held(model: Model, frames: Tensor) -> int:
    """Return the bytes of all tensors that the backward pass of f_G waits for."""
    storages: dict[int, int] = {}

    def note(value: Tensor) -> Tensor:
        storages[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        maps = model.global_encoder(frames.flatten(0, 1), 4)
    assert maps.requires_grad
    return sum(storages.values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_glance_holds_less_than_half(kind: str) -> None:
    model = model_of(kind)
    frames = torch.randn(2, 4, 3, 64, 64)
    plain = held(model, frames)
    with saving_memory(model):
        # Tensors that a recomputed block holds do not reach the outer hooks: what does is what is held.
        assert held(model, frames) < plain / 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_left_as_it_was(kind: str) -> None:
    model = model_of(kind)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="stop"), saving_memory(model):
        assert any("forward" in vars(part) for part in model.modules())
        assert model.state_dict().keys() == before.keys()
        raise RuntimeError("stop")
    assert not any("forward" in vars(part) for part in model.modules())
    assert not any(part._forward_pre_hooks for part in model.modules())
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_maps_stay_channels_last_all_the_way(channels: int) -> None:
    """Also of gray frames, whose strides fit both orders."""
    changes = {"frame_channels": channels, "gray_input": "average"} if channels == 1 else {}
    model = build_model(ModelConfig.model_validate(COMMON | KINDS["max_pooling"] | changes)).train()
    with saving_memory(model):
        for encoder in (model.global_encoder, model.local_encoder):
            maps = encoder(torch.randn(4, channels, 64, 64), 4)
            assert maps.is_contiguous(memory_format=torch.channels_last)
            assert not maps.is_contiguous()


def test_off_changes_no_bit() -> None:
    first, second = model_of("max_pooling"), model_of("max_pooling")
    frames = torch.randn(2, 4, 3, 64, 64)
    step(first, frames)
    with saving_memory(second, on=False):
        step(second, frames)
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(
        left.grad is not None and right.grad is not None and torch.equal(left.grad, right.grad)
        for left, right in pairs
        if left.grad is not None or right.grad is not None
    )


def test_without_gradients_nothing_is_kept_and_the_answers_agree() -> None:
    model: nn.Module = model_of("max_pooling").eval()
    frames = torch.randn(1, 4, 3, 64, 64)
    assert isinstance(model, Model)
    with torch.inference_mode():
        plain = model(frames).logits
        with saving_memory(model):
            torch.testing.assert_close(model(frames).logits, plain, rtol=1e-4, atol=1e-5)
