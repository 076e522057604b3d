"""What the policy does while it learns: how large its boxes are, how decided its frame weights."""

import math

import torch
from torch import Tensor

from neurofocus.model.outputs import Decision

__all__ = ["DIAGNOSTICS", "policy_diagnostics"]

DIAGNOSTICS = ("box_side", "box_saturated", "frame_entropy")
_SATURATED = 0.05


def policy_diagnostics(decision: Decision | None, frame_size: int) -> dict[str, float]:
    """Return the diagnostics of one batch, none for a model without a policy.

    ``box_side``: mean side of the boxes as a share of the frame's. ``box_saturated``: share of sides within 5 % of
    either end of their free range, where the sigmoid hardly learns any more. ``frame_entropy``: of the frame
    weights, as a share of that of equal weights.

    Args:
        decision: of the batch.
        frame_size: side of a frame, pixels.
    """
    if decision is None:
        return {}
    with torch.no_grad():
        sides = decision.boxes[..., 2:].float() / frame_size
        free = decision.actions[..., 2:].float()
        ends = (free < _SATURATED) | (free > 1 - _SATURATED)
        weights = decision.frame_weights.float()
        values = torch.stack([sides.mean(), ends.float().mean(), _entropy(weights)])
    return dict(zip(DIAGNOSTICS, values.tolist(), strict=True))


def _entropy(weights: Tensor) -> Tensor:
    if weights.shape[1] == 1:
        return torch.ones((), device=weights.device)
    nats: Tensor = torch.special.entr(weights).sum(-1).mean()
    return nats / math.log(weights.shape[1])
