"""The learned policy against simple ones on the same trained network: table 9 by substitution at test time."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from neurofocus.model.draws import Draws
from neurofocus.model.frame_sampling import quantile_frames, take_frames, uniform_frames
from neurofocus.model.outputs import Decision, FocusOutput
from neurofocus.model.patches import interpolate_actions
from neurofocus.model.uni_adafocus import UniAdaFocus

__all__ = [
    "FRAME_CHOICES",
    "LOCATIONS",
    "SIZES",
    "FrameChoice",
    "Location",
    "Policy",
    "Size",
    "focus_by_policy",
    "motion_frames",
]

Location = Literal["learned", "random", "centre", "gaussian"]
Size = Literal["learned", "fixed", "random", "whole_frame"]
FrameChoice = Literal["learned", "uniform", "random", "centre", "gaussian", "mg_sampler"]
LOCATIONS: tuple[Location, ...] = get_args(Location)
SIZES: tuple[Size, ...] = get_args(Size)
FRAME_CHOICES: tuple[FrameChoice, ...] = get_args(FrameChoice)

# The paper does not give the widths of its Gaussians. Both are centred in the middle of what may be chosen; a
# standard deviation of a quarter of the range keeps 95 % inside it.
_GAUSSIAN_SD = 0.25
_MOTION_POWER = 0.5  # mu of MGSampler (Zhi et al. 2021, Eq. 3), which flattens the distribution of motion


@dataclass(frozen=True)
class Policy:
    """Who decides what; the default is the trained policy.

    Attributes:
        location: of the boxes within their free travel.
        size: of the boxes; ``fixed``: P x P, ``random``: uniform in the trained range, ``whole_frame``: the frame
            scaled down to P x P, wherever the location.
        frames: which T_L of T0 frames; ``mg_sampler``: equal shares of motion.
    """

    location: Location = "learned"
    size: Size = "learned"
    frames: FrameChoice = "learned"


def focus_by_policy(
    model: UniAdaFocus, frames: Tensor, decision: Decision, policy: Policy, *, draws: Draws
) -> FocusOutput:
    """Look at the patches that a policy chooses; the result goes into `UniAdaFocus.classify`.

    Where the trained policy places one box a clip, so do its substitutes.

    Args:
        model: in evaluation mode.
        frames: all T0 candidates, [B, T0, C, H, W].
        decision: the trained policy's, for the parts that stay learned.
        policy: who decides what.
        draws: for the random parts.
    """
    indices = _choose_frames(model, frames, decision, policy.frames, draws).to(frames.device)
    sizes = _sizes(model, model.place_boxes(decision, indices)[..., 2:], policy.size, draws)
    actions = take_frames(interpolate_actions(decision.actions, model.config.num_frames), indices)
    position = _positions(model, actions[..., :2].flip(-1), policy.location, draws)
    # Boxes of another size keep their relative place, so that they stay inside the frame.
    side = model.config.frame_size
    centers = position * (side - sizes.flip(-1)) + sizes.flip(-1) / 2
    boxes = torch.cat([centers, sizes], dim=-1)
    patches = model.crop(frames, boxes, indices)
    return FocusOutput(indices, boxes, patches, model.encode_patches(patches))


def motion_frames(frames: Tensor, num_focus_frames: int) -> Tensor:
    """Choose frames at equal shares of accumulated motion: MGSampler on pixels (Zhi et al. 2021).

    Args:
        frames: [B, T0, C, H, W].
        num_focus_frames: T_L.

    Returns:
        Strictly increasing indices, int64 [B, F].
    """
    change = (frames[:, 1:] - frames[:, :-1]).abs().flatten(2).mean(-1)
    # The first frame has no predecessor; it counts as much as the second.
    change = torch.cat([change[:, :1], change], dim=1) ** _MOTION_POWER
    weights = change / change.sum(1, keepdim=True).clamp_min(torch.finfo(change.dtype).tiny)
    return quantile_frames(weights, frames.shape[1], num_focus_frames)


def _choose_frames(
    model: UniAdaFocus, frames: Tensor, decision: Decision, choice: FrameChoice, draws: Draws
) -> Tensor:
    batch, total, wanted = len(frames), model.config.num_frames, model.config.num_focus_frames
    match choice:
        case "learned":
            return model.select_frames(decision)
        case "uniform":
            return uniform_frames(batch, total, wanted, draws=None)
        case "mg_sampler":
            return motion_frames(frames, wanted)
        case "centre":
            return ((total - wanted) // 2 + torch.arange(wanted)).expand(batch, -1)
        case "random":
            keys = torch.zeros(total)
        case "gaussian":
            offset = (torch.arange(total) + 0.5) / total - 0.5
            keys = -0.5 * (offset / _GAUSSIAN_SD) ** 2
    # Weighted sampling without replacement: the largest log-weights plus Gumbel noise.
    keys = keys - draws.exponential((batch, total)).cpu().log()
    return keys.topk(wanted, dim=1).indices.sort(dim=1).values


def _sizes(model: UniAdaFocus, learned: Tensor, size: Size, draws: Draws) -> Tensor:
    """Return (height, width) in pixels, [B, F, 2]."""
    config, side = model.config, model.config.frame_size
    match size:
        case "learned":
            return learned
        case "fixed":
            return torch.full_like(learned, min(config.patch_size, side))
        case "whole_frame":
            return torch.full_like(learned, side)
        case "random":
            share = draws.uniform(_drawn(model, learned)).expand_as(learned).to(learned.device)
            smallest, largest = config.patches.min_fraction, config.patches.max_fraction
            return side * (smallest + (largest - smallest) * share)


def _positions(model: UniAdaFocus, learned: Tensor, location: Location, draws: Draws) -> Tensor:
    """Return (x, y) as fractions of the free travel, [B, F, 2]."""
    shape = _drawn(model, learned)
    match location:
        case "learned":
            return learned
        case "centre":
            return torch.full_like(learned, 0.5)
        case "random":
            position = draws.uniform(shape)
        case "gaussian":
            # Box and Muller: the stream of draws has uniform and exponential numbers only.
            radius = (2 * draws.exponential(shape)).sqrt()
            normal = radius * (2 * torch.pi * draws.uniform(shape)).cos()
            position = (0.5 + _GAUSSIAN_SD * normal).clamp(0, 1)
    return position.expand_as(learned).to(learned.device)


def _drawn(model: UniAdaFocus, learned: Tensor) -> tuple[int, ...]:
    """Return the shape of what is drawn: per focus frame or, as the trained policy decides, once a clip."""
    batch, number, values = learned.shape
    return batch, 1 if model.config.spatial_policy.scope == "clip" else number, values
