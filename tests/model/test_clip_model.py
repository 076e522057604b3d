"""Models whose encoders mix frames: two exits, two streams, one box a video; and the baseline without a policy."""

from typing import Any

import pytest
import torch
from torch import Tensor

from neurofocus.model.build import build_model
from neurofocus.model.draws import Draws
from neurofocus.model.tsm_plus import TsmPlus
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import ModelConfig

SHIFTED: dict[str, Any] = {"name": "resnet18", "width": 0.25, "temporal_shift": True}
TINY: dict[str, Any] = {
    "num_classes": 3,
    "frame_size": 64,
    "streams": "separate",
    "num_frames": 9,
    "num_glance_frames": 4,
    "num_focus_frames": 3,
    "patch_size": 32,
    "global_encoder": {"name": "mobilenet_v2", "width": 0.25, "temporal_shift": True},
    "local_encoder": SHIFTED,
    "classifier": {"kind": "average"},
    "spatial_policy": {"channels": 8, "scope": "clip"},
}


def _build(**changes: object) -> Any:
    """Return a model with batch statistics, without which an untrained one makes nearly the same of all frames."""
    torch.manual_seed(0)
    model: Any = build_model(ModelConfig.model_validate(TINY | changes))
    for part in model.modules():
        if hasattr(part, "momentum"):
            part.momentum = 1.0
    with torch.no_grad():
        model.train()(
            _frames(model.config.num_frames, 3), glance_frames=_frames(model.config.num_glance_frames, 4)
        )
    return model.eval()


def _model(**changes: object) -> UniAdaFocus:
    model = _build(**changes)
    assert isinstance(model, UniAdaFocus)
    return model


def _baseline(**changes: object) -> TsmPlus:
    model = _build(kind="tsm_plus", **changes)
    assert isinstance(model, TsmPlus)
    return model


def _frames(number: int, seed: int = 1) -> Tensor:
    return torch.randn(2, number, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_two_exits() -> None:
    model = _model()
    output = model(_frames(9), glance_frames=_frames(4, 2))
    glanced, focused = output.glance.global_features, output.focus.local_features
    assert output.logits.shape == (2, 2, 3)
    assert model.exits_by_head
    assert (
        glanced.std(1).mean() > 0.1 and focused.std(1).mean() > 0.1
    )  # frames differ, so that means say something
    torch.testing.assert_close(output.logits[:, 0], model.global_head(glanced).mean(1))
    torch.testing.assert_close(output.logits[:, 1:], model.classifier(glanced, focused))
    assert torch.equal(output.boxes, output.boxes[:, :1].expand(2, 3, 4))


@torch.no_grad()
def test_the_glance_exit_needs_no_focus() -> None:
    model = _model()
    one, other = (model(_frames(9, seed), glance_frames=_frames(4)) for seed in (5, 6))
    assert torch.equal(one.logits[:, 0], other.logits[:, 0])
    assert not torch.equal(one.logits[:, 1], other.logits[:, 1])


@torch.no_grad()
def test_without_reuse_of_global_features_there_is_one_exit() -> None:
    model = _model(classifier={"kind": "average", "reuse_global": False})
    assert not model.exits_by_head
    assert model(_frames(9), glance_frames=_frames(4)).logits.shape == (2, 1, 3)


@torch.no_grad()
def test_one_mixing_encoder_is_enough() -> None:
    plain = {"name": "resnet18", "width": 0.25}
    for changes in ({"global_encoder": plain}, {"local_encoder": plain}):
        assert _model(**changes)(_frames(9), glance_frames=_frames(4)).logits.shape == (2, 2, 3)


@torch.no_grad()
def test_f_l_mixes_the_patches_of_its_own_video() -> None:
    model, patches = _model(), _frames(3)[..., :32, :32]
    features = model.encode_patches(patches)
    other = patches.clone()
    other[1] += 1
    torch.testing.assert_close(model.encode_patches(other)[0], features[0])
    other = patches.clone()
    other[0, 2] += 1
    assert not torch.allclose(model.encode_patches(other)[0, 0], features[0, 0])  # T_L = 3, not T_G = 4


def test_separate_streams_must_be_given() -> None:
    with pytest.raises(ValueError, match="accepted after B"):
        _model()(_frames(9))


@torch.no_grad()
def test_the_baseline_sees_whole_frames() -> None:
    model = _baseline()
    frames, glance = _frames(9), _frames(4, 2)
    output = model(frames, glance_frames=glance)
    assert output.frame_indices.tolist() == [[1, 4, 7]] * 2
    assert output.boxes.tolist() == [[[32.0, 32.0, 64.0, 64.0]] * 3] * 2
    assert output.frame_weights.tolist() == [[0.25] * 4] * 2
    seen = model.local_encoder(frames[:, [1, 4, 7]].flatten(0, 1), 3).mean((2, 3)).view(2, 3, -1)
    glanced = model.global_encoder(glance.flatten(0, 1), 4).mean((2, 3)).view(2, 4, -1)
    # One linear layer on both mean features.
    on_global, on_local = model.classifier.global_classifier[1], model.classifier.local_classifier[1]
    expected = on_global(glanced.mean(1)) + on_local(seen.mean(1))
    assert output.logits.shape == output.step_probs.shape == (2, 1, 3)
    torch.testing.assert_close(output.logits[:, 0], expected)


@torch.no_grad()
def test_the_baseline_takes_its_glance_from_a_shared_stream() -> None:
    model = _baseline(streams="shared", num_frames=8)
    frames = _frames(8)
    torch.testing.assert_close(model(frames).logits, model(frames, frames[:, [1, 3, 5, 7]]).logits)
    drawn = model.encode(frames, frames, draws=Draws(torch.Generator().manual_seed(0)))
    again = model.encode(frames, frames, draws=Draws(torch.Generator().manual_seed(0)))
    other = model.encode(frames, frames, draws=Draws(torch.Generator().manual_seed(1)))
    assert torch.equal(drawn.local_features, again.local_features)
    assert not torch.equal(drawn.global_features, other.global_features)
    assert not torch.equal(drawn.frame_indices, other.frame_indices)
    with pytest.raises(ValueError, match="accepted after B"):
        model(frames[:, :4])


def test_the_configuration_names_the_kind() -> None:
    config = ModelConfig.model_validate(TINY)
    baseline = config.model_copy(update={"kind": "tsm_plus"})
    assert type(build_model(config)) is UniAdaFocus
    assert type(build_model(baseline)) is TsmPlus
    with pytest.raises(ValueError, match="UniAdaFocus is no tsm_plus; use build_model"):
        UniAdaFocus(baseline)
    with pytest.raises(ValueError, match="TsmPlus is no uni_adafocus"):
        TsmPlus(config)


def test_both_kinds_share_names_but_the_policys() -> None:
    baseline = set(_baseline().state_dict())
    ours = set(_model().state_dict())
    assert baseline < ours
    assert {name.split(".")[0] for name in ours - baseline} == {
        "spatial_policy",
        "temporal_policy",
        "policy_head",
    }
