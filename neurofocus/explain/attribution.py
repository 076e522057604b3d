"""What every pixel that a model saw contributes to its answer: integrated gradients through both ways to look.

Sundararajan et al. 2017 (arXiv 1703.01365), through f_G on whole glance frames and through f_L inside the policy's
patches. Backward through crop-and-resize is its adjoint (the same two matrices, transposed: Eq. 5 to 8), so what
f_L adds stays inside the boxes.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurofocus.model.frame_sampling import by_weight
from neurofocus.model.outputs import Decision, FocusOutput
from neurofocus.model.uni_adafocus import UniAdaFocus

__all__ = ["Attribution", "Look", "attribute"]


@dataclass(frozen=True)
class Attribution:
    """Signed contributions of one model's pixels to its evidence, on the frames it was given.

    Attributes:
        glance: [T0, H, W] through f_G.
        focus: [T0, H, W] through f_L; zero outside the boxes.
        frame_indices: [F] focus frames among the T0.
        boxes: [F, 4] (x_c, y_c, height, width) in pixels of the frame.
        density: [T0] the policy's frame weight; 1 is what a uniform policy gives.
        probabilities: [K] of the exit step that answered.
    """

    glance: NDArray[np.float64]
    focus: NDArray[np.float64]
    frame_indices: NDArray[np.int64]
    boxes: NDArray[np.float64]
    density: NDArray[np.float64]
    probabilities: NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """How far a model looked before it answered.

    Attributes:
        focus_frames: how many of its focus frames; 0: the glance was enough.
        order: which of them came first.
    """

    focus_frames: int
    order: Literal["time", "weight"]


def attribute(
    model: UniAdaFocus, frames: Tensor, target: int, *, steps: int, look: Look | None = None
) -> Attribution:
    """Return what every pixel contributes to one model's evidence for a class.

    Integrated gradients from frames of zeros (inside the brain mask the mean intensity, outside it what is
    there anyway) to the case, by the midpoint rule. The policy's boxes and frames are those of the case at every
    step. Contributions add up to evidence(case) - evidence(zeros), up to the steps' error.

    Args:
        model: in evaluation mode.
        frames: [1, T0, C, H, W].
        target: the class to explain.
        steps: at least 1; 1 is gradient times input at half intensity.
        look: how far the model looked; the answer explained is that of this exit step. None: to the end.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    with torch.no_grad():
        decision = model.decide(model.glance(frames))
        focus = _focus(model, frames, decision, look)
        probabilities = _logits(model, (frames, frames), focus).softmax(-1)
    total = [torch.zeros_like(frames), torch.zeros_like(frames)]
    for step in range(steps):
        scaled = frames * ((step + 0.5) / steps)
        ways = [scaled.detach().requires_grad_(), scaled.detach().requires_grad_()]
        with torch.enable_grad():
            evidence = _evidence(_logits(model, (ways[0], ways[1]), focus), target)
            gradients = torch.autograd.grad(evidence, ways, materialize_grads=True)
        total = [sum_ + gradient / steps for sum_, gradient in zip(total, gradients, strict=True)]
    glance, patches = ((gradient * frames)[0].sum(1).double().cpu().numpy() for gradient in total)
    weights = decision.frame_weights[0].double()
    if focus is None:
        weights = torch.full_like(weights, 1 / len(weights))  # the policy was not asked
    bins = torch.arange(frames.shape[1], device=weights.device) * len(weights) // frames.shape[1]
    return Attribution(
        glance=glance,
        focus=patches,
        frame_indices=np.zeros(0, np.int64) if focus is None else focus.frame_indices[0].cpu().numpy(),
        boxes=np.zeros((0, 4)) if focus is None else focus.boxes[0].double().cpu().numpy(),
        density=(weights[bins] * len(weights)).cpu().numpy(),
        probabilities=probabilities.double().cpu().numpy(),
    )


def _focus(model: UniAdaFocus, frames: Tensor, decision: Decision, look: Look | None) -> FocusOutput | None:
    """Look at the focus frames that came first, in time; None if there were none."""
    indices = model.select_frames(decision)
    if look is not None and look.focus_frames < indices.shape[1]:
        if look.order == "weight":
            indices = indices.gather(1, by_weight(decision.frame_weights, frames.shape[1], indices))
        # Answers do not depend on the order of the frames that were seen.
        indices = indices[:, : look.focus_frames].sort(-1).values
    return model.focus(frames, decision, frame_indices=indices) if indices.shape[1] else None


def _logits(model: UniAdaFocus, ways: tuple[Tensor, Tensor], focus: FocusOutput | None) -> Tensor:
    """Return the answer [K] after the glance at one way to see the case and patches of another, choices held fixed."""
    glance = model.glance(ways[0])
    if focus is None:
        return model.classify_glance(glance.global_features)[0]
    patches = model.crop(ways[1], focus.boxes, focus.frame_indices)
    looked = FocusOutput(focus.frame_indices, focus.boxes, patches, model.encode_patches(patches))
    return model.classify(glance, looked)[0, -1]


def _evidence(logits: Tensor, target: int) -> Tensor:
    """Return logit_target minus the mean of the other logits."""
    others = (logits.sum() - logits[target]) / (len(logits) - 1)
    return logits[target] - others
