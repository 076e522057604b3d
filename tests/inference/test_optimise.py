"""A fast model computes what the plain one computes."""

import copy

import pytest
import torch
from inference.fast_models import MODELS, lively, videos
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from neurofocus.errors import ConfigError
from neurofocus.inference import hardware
from neurofocus.inference.fast_encoder import FastEncoder
from neurofocus.inference.optimise import optimised
from neurofocus.inference.packed import PackedConvolution
from neurofocus.model.build import Model
from neurofocus.model.outputs import ModelOutput
from neurofocus.schema.inference import PLAIN, InferenceSettings

FORMS = {
    "all": InferenceSettings(),
    "folded": InferenceSettings(packed=False, channels_last=False),
    "channels last": InferenceSettings(packed=False),
    "packed, not channels last": InferenceSettings(channels_last=False),
    "plain": PLAIN,
}


def run(model: Model, number: int = 3) -> ModelOutput:
    with torch.no_grad():
        output: ModelOutput = model(*videos(model, number))
    return output


def assert_same(found: ModelOutput, expected: ModelOutput) -> None:
    assert torch.equal(found.frame_indices, expected.frame_indices)
    for name in ("logits", "boxes", "frame_weights"):
        first, second = getattr(found, name), getattr(expected, name)
        assert first.shape == second.shape
        assert (first - second).abs().max() <= 1e-4 * second.abs().max()


@pytest.mark.parametrize(
    ("name", "form"),
    [
        *((name, "all") for name in MODELS),
        *(("x3d and resnet18", form) for form in FORMS),
        *(("temporal shift", form) for form in FORMS),
    ],
)
def test_answers_are_those_of_the_plain_model(name: str, form: str) -> None:
    model = lively(name)
    expected = run(model)
    assert expected.logits.std(0).max() > 1e-2  # cases differ
    assert_same(run(optimised(model, FORMS[form])), expected)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_left_to_normalise(name: str) -> None:
    model = lively(name)
    assert any(isinstance(part, _BatchNorm) for part in model.modules())
    for settings in (FORMS["folded"], FORMS["all"]):
        assert not any(isinstance(part, _BatchNorm) for part in optimised(model, settings).modules())


def test_sums_and_activations_are_part_of_convolutions() -> None:
    fast = optimised(lively("mobilenet and resnet50"))
    for encoder, convolutions in ((fast.global_encoder, 52), (fast.local_encoder, 53)):
        kinds = [type(part) for part in encoder.modules() if not list(part.children())]
        # What is left beside the convolutions is the pooling of a ResNet.
        assert [kind for kind in kinds if kind not in (PackedConvolution, nn.MaxPool2d)] == []
        assert kinds.count(PackedConvolution) == convolutions


@pytest.mark.parametrize("form", FORMS)
def test_the_given_model_stays_as_it_is(form: str) -> None:
    model = lively("temporal shift")
    before = copy.deepcopy(model.state_dict())
    kinds = [(name, type(part)) for name, part in model.named_modules()]
    run(optimised(model, FORMS[form]))
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert kinds == [(name, type(part)) for name, part in model.named_modules()]
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("name", ["compact", "temporal shift", "x3d and resnet18"])
def test_frames_per_call_do_not_matter(name: str) -> None:
    model = lively(name)
    expected = run(model, 5)
    for number in (1, 7):
        fast = optimised(model, InferenceSettings(frames_per_call=number))
        assert_same(run(fast, 5), expected)


@pytest.mark.parametrize(("name", "clip", "most"), [("compact", 1, 5), ("temporal shift", 4, 8)])
def test_an_encoder_sees_so_many_frames_at_a_time(name: str, clip: int, most: int) -> None:
    fast = optimised(lively(name), InferenceSettings(frames_per_call=most + clip - 1))
    assert isinstance(fast.global_encoder, FastEncoder)
    seen: list[int] = []
    fast.global_encoder.network.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    run(fast, 5)
    assert sum(seen) == 20
    assert max(seen) == most // clip * clip


def test_the_fast_encoder_promises_what_the_plain_one_does() -> None:
    model = lively("compact")
    plain, fast = model.local_encoder, optimised(model).local_encoder
    assert (fast.out_channels, fast.stride, fast.mixes_frames) == (plain.out_channels, 8, False)


def test_bfloat16_is_refused_where_the_cpu_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lively("compact")
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset({"avx2", "avx512f"}))
    with pytest.raises(ConfigError, match="neither avx512_bf16 nor amx_bf16"):
        optimised(model, InferenceSettings(precision="bfloat16"))


@pytest.mark.parametrize("name", ["mobilenet and resnet50", "temporal shift"])
def test_bfloat16_is_for_the_encoders_only(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = lively(name)
    monkeypatch.setattr(
        hardware, "cpu_flags", lambda: frozenset({"avx512_bf16"})
    )  # slow elsewhere, not wrong
    fast = optimised(model, InferenceSettings(precision="bfloat16", packed=False))
    encoders = [fast.global_encoder, fast.local_encoder]
    assert {weights.dtype for part in encoders for weights in part.parameters()} == {torch.bfloat16}
    rest = [weights.dtype for key, weights in fast.named_parameters() if "_encoder." not in key]
    assert set(rest) == {torch.float32}
    expected = model.glance(videos(model, 3)[1 if model.config.streams == "separate" else 0])  # type: ignore[arg-type]
    found = fast.glance(videos(model, 3)[1 if model.config.streams == "separate" else 0])  # type: ignore[arg-type]
    assert found.global_maps.dtype == torch.float32
    difference = (found.global_maps - expected.global_maps).abs().max() / expected.global_maps.abs().max()
    assert 1e-4 < difference < 0.1


def test_models_in_training_are_refused() -> None:
    with pytest.raises(ValueError, match="evaluation mode"):
        optimised(copy.deepcopy(lively("compact")).train())


def test_gradients_are_refused() -> None:
    model = lively("compact")
    frames = videos(model, 1)[0].requires_grad_()
    with pytest.raises(ValueError, match="has no gradients"):
        optimised(model)(frames)


def test_settings_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="packed true needs fold true"):
        InferenceSettings(fold=False)
    with pytest.raises(ValueError, match="set packed or compile to false"):
        InferenceSettings(compile=True)
