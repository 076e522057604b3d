"""What a policy does, in a few numbers: a collapsed policy still gives an accuracy, and these show it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from neurofocus.model.outputs import FocusOutput
from neurofocus.schema.model import PatchConfig

__all__ = ["EvidenceDiagnostics", "PolicyDiagnostics", "diagnose_evidence", "diagnose_policy"]

_SATURATED = 0.02  # closer than this to an end of the range of sizes, as a share of the range


@dataclass(frozen=True)
class PolicyDiagnostics:
    """One value a case, [B] each.

    Attributes:
        box_size: mean side of the focus boxes, share of the frame's side.
        saturated_sizes: share of their sides at an end of the configured range; near 1, sizes have collapsed.
        weight_entropy: entropy of the frame weights by that of equal weights: 1 uniform, 0 one frame.
    """

    box_size: Tensor
    saturated_sizes: Tensor
    weight_entropy: Tensor


@dataclass(frozen=True)
class EvidenceDiagnostics:
    """Against a known truth, [B] each.

    Attributes:
        frame_hits: share of the focus frames that show the evidence.
        coverage: share of the evidence's box inside the focus box, mean over such frames; NaN without one.
    """

    frame_hits: Tensor
    coverage: Tensor


def diagnose_policy(
    frame_weights: Tensor, boxes: Tensor, patches: PatchConfig, *, frame_size: int
) -> PolicyDiagnostics:
    """Return what was decided for each case.

    Args:
        frame_weights: over the glance frames, [B, T].
        boxes: of glance or focus frames, (x_c, y_c, height, width) in pixels, [B, S, 4].
        patches: the range of sizes; without deformable patches no size counts as saturated.
        frame_size: side of a frame, pixels.
    """
    sides = boxes[..., 2:].float().flatten(1) / frame_size
    span = patches.max_fraction - patches.min_fraction
    share = (sides - patches.min_fraction) / span if span > 0 else torch.full_like(sides, 0.5)
    ends = ((share < _SATURATED) | (share > 1 - _SATURATED)) & patches.deformable
    entropy = torch.special.entr(frame_weights.float()).sum(1) / math.log(max(2, frame_weights.shape[1]))
    return PolicyDiagnostics(sides.mean(1), ends.float().mean(1), entropy)


def diagnose_evidence(focus: FocusOutput, evidence: Tensor) -> EvidenceDiagnostics:
    """Compare the chosen frames and boxes with a truth.

    Args:
        focus: the chosen frames and boxes.
        evidence: the box of the evidence in each of T0 frames, (x_c, y_c, height, width) in pixels, NaN where there
            is none, [B, T0, 4].
    """
    wanted = focus.frame_indices[..., None].expand(-1, -1, 4)
    truth = evidence.gather(1, wanted)
    shown = ~truth[..., 0].isnan()
    covered = _overlap(focus.boxes, truth) / (truth[..., 2] * truth[..., 3])
    coverage = torch.where(shown, covered, 0.0).sum(1) / shown.sum(1)  # 0 / 0 is NaN: no frame with evidence
    return EvidenceDiagnostics(shown.float().mean(1), coverage)


def _overlap(first: Tensor, second: Tensor) -> Tensor:
    """Return the area that two boxes share, pixels, [...]."""
    area = torch.ones(())
    for center, extent in ((0, 3), (1, 2)):
        high = (first[..., center] + first[..., extent] / 2).minimum(
            second[..., center] + second[..., extent] / 2
        )
        low = (first[..., center] - first[..., extent] / 2).maximum(
            second[..., center] - second[..., extent] / 2
        )
        area = area * (high - low).clamp_min(0)
    return area
