"""Where the evidence for a class lies: gradient maps inside the focus patches, put back into the frames.

The recipe is written down for users in docs/saliency.md; keep the two in step.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from neurofocus.data.frames import FrameGrid
from neurofocus.model.outputs import Decision, FocusOutput
from neurofocus.model.patches import crop_matrices
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import PatchConfig

__all__ = ["METHOD", "CaseSaliency", "ModelSaliency", "back_project", "case_saliency", "default_layer"]

METHOD = (
    "LayerCAM at an intermediate stage of the local encoder (evidence for the target class against the mean of the "
    "other classes, at the last exit step), times the policy's frame weight, put back into the frames by the "
    "adjoint of crop-and-resize, spread between neighbouring frames by a triangular kernel, averaged over the fold "
    "models, scaled to a largest value of 1"
)

# The end of the stage whose maps are P/8 wide: fine enough to tell structures apart, deep enough to carry
# class evidence. The last stage (P/32) has 3 to 4 cells a side on the patch sizes in use.
_LAYERS = {
    "mobilenet_v2": "features.6",
    "resnet18": "layer2",
    "resnet34": "layer2",
    "resnet50": "layer2",
    "efficientnet_lite0": "_blocks.4",
}


@dataclass(frozen=True)
class ModelSaliency:
    """What one fold model looked at in one case.

    Attributes:
        frames: [F] positions on the frame grid of the focus frames.
        boxes: [F, 4] (x_c, y_c, height, width) in pixels of the frame.
        weights: [F] the policy's frame weight at each focus frame; 1 is what a uniform policy gives.
        relevance: [F] share of this model's saliency that comes from each focus frame; sums to 1 (or to 0).
        probabilities: [K] of the last exit step.
    """

    frames: NDArray[np.int64]
    boxes: NDArray[np.float64]
    weights: NDArray[np.float64]
    relevance: NDArray[np.float64]
    probabilities: NDArray[np.float64]


@dataclass(frozen=True)
class CaseSaliency:
    """The saliency of one case on the frame grid, and what each fold model looked at.

    Attributes:
        volume: float32 [T, H, W] over all frames of the grid, non-negative, largest value 1 (or all 0).
        per_model: one entry a fold model.
        target: index of the explained class.
    """

    volume: NDArray[np.float32]
    per_model: tuple[ModelSaliency, ...]
    target: int

    def representative(self) -> ModelSaliency:
        """Return the fold model whose probability of the target is nearest to the ensemble's mean."""
        values = np.array([model.probabilities[self.target] for model in self.per_model])
        return self.per_model[int(np.argmin(np.abs(values - values.mean())))]


def case_saliency(
    models: Sequence[UniAdaFocus],
    frames: Tensor,
    frame_positions: Sequence[int] | NDArray[np.int64],
    grid: FrameGrid,
    *,
    target: int,
    layer: str | None = None,
) -> CaseSaliency:
    """Explain one case: the ensemble's saliency on the frame grid.

    Args:
        models: fold models in evaluation mode, on the device of ``frames``.
        frames: [1, T0, C, H, W], as the models see them; not made under ``torch.inference_mode``.
        frame_positions: [T0] increasing positions of these frames on the grid.
        grid: the frame grid; the result covers all its frames.
        target: the class to explain.
        layer: dotted name of the local encoder's module whose maps are read; none: its P/8 stage.

    Raises:
        ValueError: no model, a model in training mode, or shapes that do not fit each other.
    """
    positions = np.asarray(frame_positions, dtype=np.int64)
    _check(models, frames, positions, grid)
    volume = np.zeros((grid.num_frames, grid.frame_size, grid.frame_size))
    per_model = []
    for model in models:
        maps, seen = _look(model, frames, target, layer or default_layer(model))
        part = _spread(maps, seen.frames, positions, grid.num_frames)
        total = part.sum()
        # Each fold model counts the same, whatever the scale of its logits.
        volume += part / total if total > 0 else part
        per_model.append(_relocated(seen, positions))
    peak = volume.max()
    scaled = (volume / peak if peak > 0 else volume).astype(np.float32)
    return CaseSaliency(scaled, tuple(per_model), target)


def default_layer(model: UniAdaFocus) -> str:
    """Return the name of the local encoder's module at the end of its P/8 stage."""
    return _LAYERS[model.config.local_encoder.name]


def back_project(maps: Tensor, boxes: Tensor, frame_size: int, patches: PatchConfig) -> Tensor:
    """Return patch maps on their frames: the adjoint of crop-and-resize.

    The same two matrices as the crop (Eq. 5 to 8), transposed, so nothing lands where the model did not look.

    Args:
        maps: [N, P, P].
        boxes: [N, 4] (x_c, y_c, height, width) in pixels of the frame.
        frame_size: H = W of the frame.
        patches: the filter settings that the crop was made with.

    Returns:
        [N, H, W].
    """
    rows, cols = crop_matrices(
        boxes, frame_size, maps.shape[-1], antialias=patches.antialias, padding=patches.padding
    )
    return rows.transpose(1, 2) @ maps @ cols


def _check(
    models: Sequence[UniAdaFocus], frames: Tensor, positions: NDArray[np.int64], grid: FrameGrid
) -> None:
    if not models:
        raise ValueError("case_saliency needs at least one model")
    if any(model.training for model in models):
        raise ValueError("case_saliency needs models in evaluation mode; call model.eval()")
    if frames.ndim != 5 or frames.shape[0] != 1 or frames.shape[-1] != grid.frame_size:
        raise ValueError(
            f"frames {tuple(frames.shape)} must be [1, T0, C, {grid.frame_size}, {grid.frame_size}]"
        )
    if positions.shape != (frames.shape[1],) or np.any(np.diff(positions) <= 0):
        raise ValueError(
            f"frame_positions must be {frames.shape[1]} increasing numbers, got {positions.tolist()}"
        )
    if positions[0] < 0 or positions[-1] >= grid.num_frames:
        raise ValueError(f"frame_positions {positions.tolist()} leave the grid of {grid.num_frames} frames")


def _look(
    model: UniAdaFocus, frames: Tensor, target: int, layer: str
) -> tuple[NDArray[np.float64], ModelSaliency]:
    """Run one model; return its maps on the focus frames [F, H, W] and what it looked at (frames into T0)."""
    with torch.no_grad():
        glance = model.glance(frames)
        decision = model.decide(glance)
    with torch.enable_grad(), _record(model.local_encoder.get_submodule(layer)) as records:
        focus = model.focus(frames, decision)
        last = model.classify(glance, focus)[0, -1]
        (gradient,) = torch.autograd.grad(_evidence(last, target), records[0])
    with torch.no_grad():
        maps = _layer_cam(records[0], gradient, model.config.patch_size)
        density = _density(decision, focus, frames.shape[1])
        frame_maps = back_project(
            maps * density[:, None, None], focus.boxes[0], frames.shape[-1], model.config.patches
        )
        probabilities = last.detach().softmax(-1)
    result = frame_maps.double().cpu().numpy()
    share = result.sum(axis=(1, 2))
    seen = ModelSaliency(
        frames=focus.frame_indices[0].cpu().numpy().astype(np.int64),
        boxes=focus.boxes[0].detach().double().cpu().numpy(),
        weights=density.double().cpu().numpy(),
        relevance=share / share.sum() if share.sum() > 0 else share,
        probabilities=probabilities.double().cpu().numpy(),
    )
    return result, seen


def _evidence(logits: Tensor, target: int) -> Tensor:
    """Return logit_target minus the mean of the other logits, from logits [K]."""
    others = (logits.sum() - logits[target]) / (logits.shape[0] - 1)
    return logits[target] - others


@contextmanager
def _record(module: nn.Module) -> Iterator[list[Tensor]]:
    """Record a module's outputs as leaves of the gradient graph: nothing before it is kept in memory."""
    records: list[Tensor] = []

    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        leaf = output.detach().requires_grad_()
        records.append(leaf)
        return leaf.clone()  # the next layer may work in place, which a leaf forbids

    handle = module.register_forward_hook(hook)
    try:
        yield records
    finally:
        handle.remove()


def _layer_cam(activation: Tensor, gradient: Tensor, patch_size: int) -> Tensor:
    """Return LayerCAM maps [F, P, P] (Jiang 2021, IEEE TIP 30:5875): sum over channels of relu(gradient) * activation."""
    cam = (gradient.relu() * activation).sum(dim=1, keepdim=True).relu()
    size = (patch_size, patch_size)
    return functional.interpolate(cam, size=size, mode="bilinear", align_corners=False)[:, 0]


def _density(decision: Decision, focus: FocusOutput, num_frames: int) -> Tensor:
    """Return the policy's weight at each focus frame [F]; 1 is what a uniform policy gives."""
    weights = decision.frame_weights[0]
    bins = focus.frame_indices[0] * weights.shape[0] // num_frames
    return weights[bins] * weights.shape[0]


def _spread(
    maps: NDArray[np.float64],
    frames: NDArray[np.int64],
    positions: NDArray[np.int64],
    num_frames: int,
) -> NDArray[np.float64]:
    """Put frame maps [F, H, W] on all frames of the grid, fading linearly to zero over one frame spacing."""
    spacing = (
        (positions[-1] - positions[0]) / max(len(positions) - 1, 1) if len(positions) > 1 else num_frames
    )
    distance = np.abs(np.arange(num_frames)[:, None] - positions[frames][None, :])
    kernel = np.clip(1 - distance / max(spacing, 1.0), 0, None)
    spread: NDArray[np.float64] = np.einsum("tf,fhw->thw", kernel, maps, optimize=True)
    return spread


def _relocated(seen: ModelSaliency, positions: NDArray[np.int64]) -> ModelSaliency:
    return ModelSaliency(positions[seen.frames], seen.boxes, seen.weights, seen.relevance, seen.probabilities)
