"""Substituted policies choose what their names say, and leave the rest to the trained network."""

import numpy as np
import pytest
import torch

from neurofocus.model.draws import Draws
from neurofocus.model.outputs import Decision, FocusOutput
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import EncoderConfig, ModelConfig, PatchConfig, SpatialPolicyConfig
from neurofocus.training.policies import (
    FRAME_CHOICES,
    LOCATIONS,
    SIZES,
    FrameChoice,
    Location,
    Policy,
    Size,
    focus_by_policy,
    motion_frames,
)

CONFIG = ModelConfig(
    num_classes=3,
    frame_size=64,
    frame_channels=1,
    glance_size=32,
    num_frames=12,
    num_glance_frames=4,
    num_focus_frames=4,
    patch_size=32,
    global_encoder=EncoderConfig(name="compact", width=0.2),
    local_encoder=EncoderConfig(name="compact", width=0.2),
    patches=PatchConfig(min_fraction=0.25, max_fraction=0.75),
)
BATCH = 200


class Mean(torch.nn.Module):
    """An encoder that costs nothing: what is chosen matters here, not what is seen there."""

    def forward(self, images: torch.Tensor, num_frames: int) -> torch.Tensor:
        """Return maps of one pixel."""
        return images.mean((-2, -1), keepdim=True)


@pytest.fixture(scope="module")
def model() -> UniAdaFocus:
    torch.manual_seed(0)
    model = UniAdaFocus(CONFIG).eval()
    model.local_encoder = Mean()  # type: ignore[assignment]
    with torch.no_grad():  # a fresh policy looks at the middle; this one has opinions
        torch.nn.init.normal_(model.spatial_policy.encoder[9].weight, std=0.5)
    return model


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    return torch.rand(BATCH, 12, 1, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def decision(model: UniAdaFocus, frames: torch.Tensor) -> Decision:
    with torch.inference_mode():
        return model.decide(model.glance(frames))


def _focus(
    model: UniAdaFocus, frames: torch.Tensor, decision: Decision, policy: Policy, seed: int = 2
) -> FocusOutput:
    draws = Draws(torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        return focus_by_policy(model, frames, decision, policy, draws=draws)


def test_without_substitution_it_is_the_model(
    model: UniAdaFocus, frames: torch.Tensor, decision: Decision
) -> None:
    with torch.inference_mode():
        expected = model.focus(frames, decision)
    seen = _focus(model, frames, decision, Policy())
    torch.testing.assert_close(seen.frame_indices, expected.frame_indices)
    torch.testing.assert_close(seen.boxes, expected.boxes, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.local_features, expected.local_features, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("size", SIZES)
def test_boxes_never_leave_the_frame(
    model: UniAdaFocus, frames: torch.Tensor, decision: Decision, location: Location, size: Size
) -> None:
    boxes = _focus(model, frames, decision, Policy(location=location, size=size)).boxes
    half = boxes[..., 2:].flip(-1) / 2
    assert (boxes[..., :2] - half >= -1e-3).all()
    assert (boxes[..., :2] + half <= 64 + 1e-3).all()


def test_location_changes_places_and_keeps_sizes(
    model: UniAdaFocus, frames: torch.Tensor, decision: Decision
) -> None:
    learned = _focus(model, frames, decision, Policy()).boxes
    boxes = {name: _focus(model, frames, decision, Policy(location=name)).boxes for name in LOCATIONS}
    for name in LOCATIONS[1:]:
        torch.testing.assert_close(boxes[name][..., 2:], learned[..., 2:])
    assert (boxes["centre"][..., :2] == 32).all()
    place = {
        name: ((b[..., :2] - b[..., 2:].flip(-1) / 2) / (64 - b[..., 2:].flip(-1))).flatten()
        for name, b in boxes.items()
    }
    # Uniform on 0..1: standard deviation 1 / sqrt(12); the Gaussian's is 1/4, and less when cut at 0 and 1.
    assert place["random"].mean() == pytest.approx(0.5, abs=0.03)
    assert place["random"].std() == pytest.approx(12**-0.5, abs=0.01)
    assert place["gaussian"].mean() == pytest.approx(0.5, abs=0.03)
    assert 0.22 < place["gaussian"].std() < 0.25


def test_a_box_that_fills_the_frame_still_has_a_place() -> None:
    torch.manual_seed(0)
    model = UniAdaFocus(CONFIG.model_copy(update={"patches": PatchConfig(min_fraction=0.25)})).eval()
    actions = torch.tensor([0.2, 0.9, 1.0, 1.0]).expand(1, 4, 4)  # y, x, height, width
    decision = Decision(actions, model._boxes(actions), torch.full((1, 4), 0.25))
    boxes = _focus(model, torch.rand(1, 12, 1, 64, 64), decision, Policy(size="fixed")).boxes
    expected = torch.tensor([0.9 * 32 + 16, 0.2 * 32 + 16, 32.0, 32.0])
    torch.testing.assert_close(boxes, expected.expand(1, 4, 4))


def test_a_clip_with_one_box_gets_one_drawn_box(frames: torch.Tensor) -> None:
    torch.manual_seed(0)
    scope = SpatialPolicyConfig(channels=8, scope="clip")
    model = UniAdaFocus(CONFIG.model_copy(update={"spatial_policy": scope})).eval()
    with torch.inference_mode():
        decision = model.decide(model.glance(frames[:3]))
    for location in LOCATIONS:
        boxes = _focus(model, frames[:3], decision, Policy(location=location, size="random")).boxes
        assert (boxes == boxes[:, :1]).all()
        assert not torch.equal(boxes[0], boxes[1])


def test_sizes(model: UniAdaFocus, frames: torch.Tensor, decision: Decision) -> None:
    sizes = {size: _focus(model, frames, decision, Policy(size=size)).boxes[..., 2:] for size in SIZES}
    assert (sizes["fixed"] == 32).all()
    assert (sizes["whole_frame"] == 64).all()
    assert 16 <= sizes["random"].min() < 17 and 47 < sizes["random"].max() <= 48


def test_the_whole_frame_is_scaled_down(model: UniAdaFocus, frames: torch.Tensor, decision: Decision) -> None:
    focus = _focus(model, frames, decision, Policy(size="whole_frame", frames="uniform"))
    taken = frames[torch.arange(BATCH)[:, None], focus.frame_indices].flatten(0, 1)
    scaled = torch.nn.functional.interpolate(taken, 32, mode="bilinear", antialias=True)
    torch.testing.assert_close(focus.patches.flatten(0, 1), scaled, atol=1e-5, rtol=0)


@pytest.mark.parametrize("choice", FRAME_CHOICES)
def test_frames_are_different_and_in_order(
    model: UniAdaFocus, frames: torch.Tensor, decision: Decision, choice: FrameChoice
) -> None:
    indices = _focus(model, frames, decision, Policy(frames=choice)).frame_indices
    assert indices.shape == (BATCH, 4)
    assert (indices.diff(dim=1) > 0).all()
    assert indices.min() >= 0 and indices.max() < 12


def test_frame_choices(model: UniAdaFocus, frames: torch.Tensor, decision: Decision) -> None:
    seen = {
        choice: _focus(model, frames, decision, Policy(frames=choice)).frame_indices
        for choice in FRAME_CHOICES
    }
    assert (seen["uniform"] == torch.tensor([1, 4, 7, 10])).all()
    assert (seen["centre"] == torch.tensor([4, 5, 6, 7])).all()
    share = {name: np.bincount(seen[name].flatten().numpy(), minlength=12) / BATCH for name in seen}
    np.testing.assert_allclose(share["random"], 4 / 12, atol=0.12)
    middle, ends = share["gaussian"][4:8].mean(), share["gaussian"][[0, 1, 10, 11]].mean()
    assert middle > 1.5 * ends > 0


def test_motion_decides_where_it_happens() -> None:
    frames = torch.zeros(3, 12, 1, 4, 4)
    for t in range(7, 12):  # the end of the first video flickers
        frames[0, t] = t % 2
    frames[1] = torch.arange(12.0).view(12, 1, 1, 1)  # steady change
    steps = torch.tensor(
        [4.0] * 6 + [1.0] * 6
    )  # fast, then slow: their roots count, twice as much against once
    frames[2] = steps.cumsum(0).view(12, 1, 1, 1)
    indices = motion_frames(frames, 4)
    # Equal shares of motion in frames 7..11, in all frames, and 2/3 in the first half; cut at 1/8, 3/8, 5/8 and 7/8.
    assert indices.tolist() == [[7, 8, 10, 11], [1, 4, 7, 10], [1, 3, 5, 9]]


def test_a_still_video_gives_valid_frames() -> None:
    indices = motion_frames(torch.ones(1, 12, 1, 4, 4), 4)
    assert (indices.diff(dim=1) > 0).all() and indices.max() < 12
