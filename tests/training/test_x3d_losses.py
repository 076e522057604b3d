"""Training Uni-AdaFocus-X3D: who learns from what, and crops of the map that stay inside it."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from training.learners import PAPER, TERMS, reached

from neurofocus.model.draws import Draws
from neurofocus.model.outputs import Decision, GlanceOutput
from neurofocus.model.patches import boxes_from_actions
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import ModelConfig
from neurofocus.schema.run import ObjectiveConfig
from neurofocus.training.losses import training_loss
from neurofocus.training.policy_losses import spatial_loss

TINY: dict[str, Any] = {
    "num_classes": 3,
    "frame_size": 64,
    "glance_size": 48,
    "streams": "separate",
    "num_frames": 6,
    "num_glance_frames": 4,
    "num_focus_frames": 3,
    "patch_size": 32,
    "global_encoder": {"name": "x3d_s", "width": 0.25},
    "local_encoder": {"name": "x3d_s", "width": 0.25},
    "classifier": {"kind": "pooled_mlp", "hidden": 16},
    "auxiliary_hidden": 16,
    "spatial_policy": {"channels": 8, "scope": "clip"},
}


@pytest.mark.parametrize(
    ("profile", "changed"), [("paper", {}), ("released", {"classification": {"classifier"}})]
)
def test_who_learns_from_which_term(profile: Any, changed: dict[str, set[str]]) -> None:
    torch.manual_seed(0)
    model = UniAdaFocus(ModelConfig.model_validate(TINY)).train()
    frames = torch.randn(2, 6, 3, 64, 64), torch.randn(2, 4, 3, 64, 64)
    terms = training_loss(
        model,
        frames,
        torch.tensor([0, 2]),
        objective=ObjectiveConfig(profile=profile, num_mc_samples=4),
        class_weights=None,
        draws=Draws(torch.Generator().manual_seed(0)),
    )
    assert terms.logits.shape == (2, 2, 3)
    assert {term: reached(model, getattr(terms, term)) for term in TERMS} == PAPER | changed


# Frame, glance size, map side: the paper's; a glance that is no multiple of 32; a frame that is none; TSM's.
SIDES = [(224, 160, 5), (224, 150, 5), (100, None, 4), (224, None, 7)]


def _inside(frame_size: int, glance_size: int | None, actions: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean column and row that the spatial loss sees, [T, 2], and the boxes, [T, 4]."""
    changes = {"frame_size": frame_size, "glance_size": glance_size, "patch_size": 128 * frame_size // 224}
    changes |= {"patches": {"antialias": False}, "num_glance_frames": len(actions)}
    model = UniAdaFocus(ModelConfig.model_validate(TINY | changes))
    model.policy_head = nn.Identity()  # type: ignore[assignment]  # the features themselves
    side = model.spatial_policy.map_size
    cells = torch.arange(float(side)).expand(side, side)
    maps = torch.stack([cells, cells.T]).expand(1, len(actions), 2, side, side)
    config = model.config
    boxes = boxes_from_actions(
        actions[None], config.patches, frame_size=config.frame_size, patch_size=config.patch_size
    )
    seen: list[Tensor] = []

    def keep(logits: Tensor) -> Tensor:
        seen.append(logits)
        return logits.sum()

    spatial_loss(
        model,
        GlanceOutput(global_maps=maps, global_features=maps.mean((-2, -1))),
        Decision(actions=actions[None], boxes=boxes, frame_weights=torch.ones(1, len(actions))),
        keep,  # type: ignore[arg-type]  # any function of the logits
        of_clips=False,
    )
    return seen[0][0], boxes[0]


@pytest.mark.parametrize(("frame_size", "glance_size", "side"), SIDES)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=5)
def test_crops_of_the_map_stay_inside_it(
    frame_size: int, glance_size: int | None, side: int, seed: int
) -> None:
    """The released X3D code takes 2.25 + 3 a cells of 5, more than there are for a > 0.917."""
    extremes = torch.tensor(
        [[y, x, size, size] for y in (0.0, 1.0) for x in (0.0, 1.0) for size in (0.0, 1.0)]
    )
    drawn = torch.rand(8, 4, generator=torch.Generator().manual_seed(seed))
    seen, boxes = _inside(frame_size, glance_size, torch.cat([extremes, drawn]))
    number = max(1, round(side * (128 * frame_size // 224) / frame_size))
    for axis in (0, 1):  # x, y
        center, extent = boxes[:, axis] / frame_size * side, boxes[:, 3 - axis] / frame_size * side
        low, high = center - extent / 2, center + extent / 2
        assert low.min() >= -1e-5 and high.max() <= side + 1e-5
        samples = low[:, None] + (torch.arange(number) + 0.5) / number * extent[:, None]
        expected = (samples - 0.5).clamp(0, side - 1).mean(1)  # cell i is centred at i + 1/2
        torch.testing.assert_close(seen[:, axis], expected, rtol=1e-4, atol=1e-4)


def test_the_largest_box_is_the_whole_map() -> None:
    seen, _ = _inside(224, 160, torch.tensor([[0.3, 0.8, 1.0, 1.0]]))
    torch.testing.assert_close(seen, torch.full((1, 2), 2.0))
