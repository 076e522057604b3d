"""The whole model: stages against each other and against independent computations."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from neurofocus.model.draws import Draws
from neurofocus.model.outputs import Decision
from neurofocus.model.patches import boxes_from_actions
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import ModelConfig

TINY: dict[str, Any] = {
    "num_classes": 3,
    "frame_size": 64,
    "frame_channels": 1,
    "num_frames": 12,
    "num_glance_frames": 4,
    "num_focus_frames": 5,
    "patch_size": 32,
    "global_encoder": {"name": "mobilenet_v2", "width": 0.25},
    "local_encoder": {"name": "resnet18", "width": 0.25},
    "classifier": {"hidden": 16},
    "spatial_policy": {"channels": 8},
}


def _model(**changes: object) -> UniAdaFocus:
    """A tiny model whose policies, untrained, differ from frame to frame."""
    torch.manual_seed(0)
    model = UniAdaFocus(ModelConfig.model_validate(TINY | changes))
    with torch.no_grad():
        last: Any = model.spatial_policy.encoder[9]
        last.weight *= 5
        if model.temporal_policy is not None:
            last = model.temporal_policy.Tconv[6]
            last.weight *= 5
        frames = _frames(channels=model.config.frame_channels)
        for _ in range(12):  # batch statistics, without which untrained policies see nearly nothing
            model.decide(model.glance(frames))
    return model.eval()


def _frames(batch: int = 2, number: int = 12, channels: int = 1, size: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    level = torch.randn(batch, number, channels, 1, 1, generator=generator)
    return level + torch.randn(batch, number, channels, size, size, generator=generator)


def _draws(seed: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("batch", [1, 3])
def test_shapes_of_every_output(batch: int) -> None:
    with torch.no_grad():
        output = _model()(_frames(batch))
    assert output.glance.global_maps.shape[:2] == (batch, 4)
    assert output.glance.global_maps.shape[3:] == (2, 2)
    assert output.glance.global_features.shape == output.glance.global_maps.shape[:3]
    assert output.decision.actions.shape == output.decision.boxes.shape == (batch, 4, 4)
    assert output.frame_weights.shape == (batch, 4)
    assert output.frame_indices.shape == (batch, 5)
    assert output.frame_indices.dtype == torch.int64
    assert output.boxes.shape == (batch, 5, 4)
    assert output.focus.patches.shape == (batch, 5, 1, 32, 32)
    assert output.focus.local_features.shape[:2] == (batch, 5)
    assert output.logits.shape == (batch, 9, 3)
    torch.testing.assert_close(output.step_probs.sum(-1), torch.ones(batch, 9))


def test_forward_is_the_four_stages() -> None:
    model, frames = _model(), _frames()
    with torch.no_grad():
        output = model(frames)
        glance = model.glance(frames)
        decision = model.decide(glance)
        focus = model.focus(frames, decision)
        assert torch.equal(model.classify(glance, focus), output.logits)
    assert torch.equal(focus.boxes, output.boxes)


def test_cases_do_not_influence_each_other() -> None:
    model, frames = _model(), _frames(3)
    with torch.no_grad():
        together = model(frames)
        alone = [model(frames[i : i + 1]) for i in range(3)]
    assert torch.equal(together.frame_indices, torch.cat([o.frame_indices for o in alone]))
    torch.testing.assert_close(together.logits, torch.cat([o.logits for o in alone]), rtol=1e-4, atol=1e-5)


def test_glance_takes_the_middle_of_each_group_or_the_given_frames() -> None:
    model, frames = _model(), _frames()
    with torch.no_grad():
        from_all = model.glance(frames)
        given = model.glance(frames[:, [1, 4, 7, 10]])
        drawn = model.glance(frames, draws=_draws())
        two_streams = model(frames, glance_frames=frames[:, [1, 4, 7, 10]])
        one_stream = model(frames)
    assert torch.equal(from_all.global_maps, given.global_maps)
    assert torch.equal(two_streams.logits, one_stream.logits)
    assert not torch.equal(from_all.global_features, drawn.global_features)
    torch.testing.assert_close(from_all.global_features, from_all.global_maps.mean((3, 4)))


def test_glance_size_resizes_the_frames_f_g_sees() -> None:
    model, frames = _model(glance_size=32), _frames()
    with torch.no_grad():
        glance = model.glance(frames)
        small = functional.interpolate(
            frames[:, [1, 4, 7, 10]].flatten(0, 1), size=32, mode="bilinear", antialias=True
        )
        maps = model.global_encoder(small.expand(-1, 3, -1, -1))
        assert model(frames).logits.isfinite().all()
    torch.testing.assert_close(glance.global_maps.flatten(0, 1), maps)


def test_gray_frames_repeated_equal_the_same_frames_in_colour() -> None:
    gray, colour = _model(), _model(frame_channels=3)
    colour.load_state_dict(gray.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(gray(_frames()).logits, colour(_frames().expand(-1, -1, 3, -1, -1)).logits)


def test_gray_frames_averaged_enter_one_channel() -> None:
    model = _model(gray_input="average")
    assert next(model.global_encoder.parameters()).shape[1] == 1
    with torch.no_grad():
        assert model(_frames()).logits.shape == (2, 9, 3)


def test_boxes_of_focus_frames_are_interpolated_in_action_space() -> None:
    model, frames = _model(), _frames()
    with torch.no_grad():
        output = model(frames)
    actions = functional.interpolate(
        output.decision.actions.transpose(1, 2), size=12, mode="linear", align_corners=False
    ).transpose(1, 2)
    chosen = actions.gather(1, output.frame_indices[..., None].expand(-1, -1, 4))
    expected = boxes_from_actions(chosen, model.config.patches, frame_size=64, patch_size=32)
    torch.testing.assert_close(output.boxes, expected)
    assert output.boxes.std(dim=1).min() > 0.1


def test_patches_come_from_the_chosen_frames() -> None:
    model = _model(patches={"deformable": False})
    frames = torch.arange(12.0)[None, :, None, None, None].expand(1, 12, 1, 64, 64)
    indices = torch.tensor([[0, 3, 4, 9, 11]])
    with torch.no_grad():
        focus = model.focus(frames, model.decide(model.glance(frames)), frame_indices=indices)
    torch.testing.assert_close(focus.patches.mean((2, 3, 4)), indices.float())


@given(st.integers(0, 1000))
@settings(max_examples=10)
def test_random_boxes_have_the_patch_size_and_stay_inside(seed: int) -> None:
    boxes = _MODEL.draw_boxes(torch.zeros(3, 5, dtype=torch.int64), draws=_draws(seed))
    assert boxes.shape == (3, 5, 4)
    assert (boxes[..., 2:] == 32).all()
    assert ((boxes[..., :2] >= 16) & (boxes[..., :2] <= 48)).all()
    assert boxes[..., 0].std(dim=1).min() > 0  # drawn per frame


def test_one_box_a_clip() -> None:
    model, frames = _model(spatial_policy={"channels": 8, "scope": "clip"}), _frames()
    with torch.no_grad():
        output = model(frames)
        drawn = model.focus(frames, output.decision, draws=_draws(), random_boxes=True)
    torch.testing.assert_close(output.boxes, output.boxes[:, :1].expand(-1, 5, -1))
    assert (drawn.boxes == drawn.boxes[:, :1]).all()
    assert not torch.equal(drawn.boxes[0], drawn.boxes[1])


def test_uniform_sampling_has_no_temporal_policy() -> None:
    model, frames = _model(temporal_policy={"dynamic": False}), _frames()
    with torch.no_grad():
        output = model(frames)
    assert model.temporal_policy is None
    assert output.frame_weights.tolist() == [[0.25] * 4] * 2
    assert output.frame_indices.tolist() == [[1, 3, 6, 8, 10]] * 2


def test_frames_follow_the_weights() -> None:
    model, frames = _model(), _frames(1)
    weights = torch.tensor([[0.0, 0.0, 1.0, 0.0]])
    decision = Decision(torch.full((1, 4, 4), 0.5), torch.zeros(1, 4, 4), weights)
    assert model.select_frames(decision).tolist() == [[6, 7, 8, 9, 10]]
    drawn = model.select_frames(decision, draws=_draws())
    assert {6, 7, 8} < set(drawn[0].tolist())
    assert frames.shape[1] == 12


def test_random_choices_depend_on_the_draws_alone() -> None:
    model, frames = _model(), _frames()
    with torch.no_grad():
        decision = model.decide(model.glance(frames))
        first, again, other = (
            model.focus(frames, decision, draws=_draws(seed), random_boxes=True) for seed in (1, 1, 2)
        )
    assert torch.equal(first.local_features, again.local_features)
    assert torch.equal(first.boxes, again.boxes)
    assert (first.boxes[..., 2:] == 32).all()  # not the decision's
    assert not torch.equal(first.boxes, other.boxes)


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_stop_gradient_keeps_the_policy_out_of_f_g(stop_gradient: bool) -> None:
    model = _model()
    decision = model.decide(model.glance(_frames()), stop_gradient=stop_gradient)
    (decision.boxes.sum() + decision.frame_weights[:, 0].sum()).backward()
    reached = any(p.grad is not None for p in model.global_encoder.parameters())
    assert reached is not stop_gradient
    assert all(p.grad is not None for p in model.spatial_policy.parameters())


def test_misuse_is_refused() -> None:
    model, frames = _model(), _frames(1)
    with pytest.raises(ValueError, match="accepted after B"):
        model.glance(frames[:, :7])
    with pytest.raises(ValueError, match="accepted after B"):
        model(frames[..., :32])
    with torch.no_grad():
        decision = model.decide(model.glance(frames))
        with pytest.raises(ValueError, match="accepted after B"):
            model.focus(frames[:, :4], decision)
        with pytest.raises(ValueError, match="need draws"):
            model.focus(frames, decision, random_boxes=True)


def test_policy_and_boxes_stay_in_float32_under_autocast() -> None:
    model, frames = _model(), _frames()
    with torch.no_grad():
        glance = model.glance(frames)
        exact = model.decide(glance)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            decision = model.decide(glance)
            boxes = model.place_boxes(decision, model.select_frames(decision))
            output = model(frames)
    assert torch.equal(decision.boxes, exact.boxes)
    assert torch.equal(decision.frame_weights, exact.frame_weights)
    assert torch.equal(boxes, model.place_boxes(exact, model.select_frames(exact)))
    assert output.boxes.dtype == output.frame_weights.dtype == output.focus.patches.dtype == torch.float32
    assert output.logits.isfinite().all()


_MODEL = _model()
