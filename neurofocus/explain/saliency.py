"""Where the evidence for a class lies: every fold model's contributions, gathered on the frame grid.

The recipe is written down for users in docs/saliency.md; keep the two in step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neurofocus.data.frames import FrameGrid
from neurofocus.data.geometry import voxel_sizes
from neurofocus.explain.attribution import Attribution, Look, attribute
from neurofocus.model.uni_adafocus import UniAdaFocus

__all__ = [
    "METHOD",
    "CaseSaliency",
    "ModelSaliency",
    "SaliencyOptions",
    "case_saliency",
]

METHOD = (
    "Integrated gradients of the evidence for the class (its logit minus the mean of the others, at the exit step that "
    "answered) "
    "from an all-average brain to this scan, through the local encoder inside the policy's patches and through the "
    "global encoder on the glance frames, with the policy's choices held fixed; times the policy's frame weight; "
    "spread over neighbouring frames; averaged with its sign over the fold models and over a few millimetres; "
    "what speaks for the class is kept and scaled to a largest value of 1"
)


@dataclass(frozen=True)
class SaliencyOptions:
    """How saliency is computed.

    Attributes:
        steps: points on the way from the baseline to the case (midpoint rule).
        smoothing_mm: standard deviation of the Gaussian within frames; 0: none.
        part: both ways to look, or one of them.
        looks: how far each model looked before it answered; none: to the end.
    """

    steps: int = 4
    smoothing_mm: float = 3.5
    part: Literal["both", "focus", "glance"] = "both"
    looks: tuple[Look, ...] | None = None


@dataclass(frozen=True)
class ModelSaliency:
    """What one fold model looked at in one case.

    Attributes:
        frames: [F] positions on the frame grid of the focus frames that it saw.
        boxes: [F, 4] (x_c, y_c, height, width) in pixels of the frame.
        weights: [F] the policy's frame weight at each focus frame; 1 is what a uniform policy gives.
        relevance: [F] share of this model's absolute contributions that came through each focus frame's patch; the
            rest came through the glance.
        probabilities: [K] of the exit step that answered.
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

    @property
    def focus_share(self) -> float:
        """The fold models' mean share of contributions that came through the patches."""
        return float(np.mean([model.relevance.sum() for model in self.per_model]))


def case_saliency(
    models: Sequence[UniAdaFocus],
    frames: Tensor,
    frame_positions: Sequence[int] | NDArray[np.int64],
    grid: FrameGrid,
    *,
    target: int,
    options: SaliencyOptions | None = None,
) -> CaseSaliency:
    """Explain one case: the ensemble's saliency on the frame grid.

    Args:
        models: fold models in evaluation mode, on the device of ``frames``.
        frames: [1, T0, C, H, W], as the models see them; not made under ``torch.inference_mode``.
        frame_positions: [T0] increasing positions of these frames on the grid.
        grid: the frame grid; the result covers all its frames.
        target: the class to explain.
        options: none: the defaults.

    Raises:
        ValueError: no model, a model in training mode, or shapes that do not fit each other.
    """
    options = options or SaliencyOptions()
    positions = np.asarray(frame_positions, dtype=np.int64)
    _check(models, frames, positions, grid)
    signed = np.zeros((grid.num_frames, grid.frame_size, grid.frame_size))
    per_model = []
    for model, look in zip(models, options.looks or [None] * len(models), strict=True):
        found = attribute(model, frames, target, steps=options.steps, look=look)
        spacing = model.config.num_frames / model.config.num_glance_frames
        signed += _on_grid(found, options.part, positions, grid.num_frames, spacing)
        per_model.append(_seen(found, positions))
    volume = np.clip(_smoothed(signed, grid, options.smoothing_mm), 0, None)
    peak = volume.max()
    scaled = (volume / peak if peak > 0 else volume).astype(np.float32)
    return CaseSaliency(scaled, tuple(per_model), target)


def _on_grid(
    found: Attribution, part: str, positions: NDArray[np.int64], num_frames: int, spacing: float
) -> NDArray[np.float64]:
    """Put one model's signed contributions on all frames of the grid, with an absolute sum of 1 before weighting.

    Args:
        found: of one model.
        part: which ways to look count.
        positions: [T0] on the grid.
        num_frames: of the grid.
        spacing: of glance frames, in model frames; contributions fade linearly to zero over it.
    """
    maps = {"both": found.glance + found.focus, "focus": found.focus, "glance": found.glance}[part]
    scale = np.abs(maps).sum()
    # Each fold model counts the same, whatever the scale of its logits.
    weights = found.density / scale if scale > 0 else found.density
    step = (positions[-1] - positions[0]) / max(len(positions) - 1, 1)
    distance = np.abs(np.arange(num_frames)[:, None] - positions[None, :])
    kernel = np.clip(1 - distance / max(spacing * step, 1.0), 0, None)
    return np.asarray(np.tensordot(kernel * weights, maps, axes=1))


def _smoothed(volume: NDArray[np.float64], grid: FrameGrid, deviation_mm: float) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter

    pixels = deviation_mm / voxel_sizes(grid.affine)[1:]
    smooth = gaussian_filter(volume, (0.0, *pixels), mode="constant", truncate=3.0)
    return np.asarray(smooth, dtype=np.float64)


def _seen(found: Attribution, positions: NDArray[np.int64]) -> ModelSaliency:
    through_patches = np.abs(found.focus[found.frame_indices]).sum(axis=(1, 2))
    total = through_patches.sum() + np.abs(found.glance).sum()
    return ModelSaliency(
        frames=positions[found.frame_indices],
        boxes=found.boxes,
        weights=found.density[found.frame_indices],
        relevance=through_patches / total if total > 0 else through_patches,
        probabilities=found.probabilities,
    )


def _check(
    models: Sequence[UniAdaFocus], frames: Tensor, positions: NDArray[np.int64], grid: FrameGrid
) -> None:
    if not models:
        raise ValueError("case_saliency needs at least one model")
    if any(model.training for model in models):
        raise ValueError("case_saliency needs models in evaluation mode; call model.eval()")
    size = grid.frame_size
    if frames.ndim != 5 or frames.shape[0] != 1 or frames.shape[-2:] != (size, size):
        raise ValueError(f"frames {tuple(frames.shape)} must be [1, T0, C, {size}, {size}]")
    if positions.shape != (frames.shape[1],) or np.any(np.diff(positions) <= 0):
        raise ValueError(
            f"frame_positions must be {frames.shape[1]} increasing numbers, got {positions.tolist()}"
        )
    if positions[0] < 0 or positions[-1] >= grid.num_frames:
        raise ValueError(f"frame_positions {positions.tolist()} leave the grid of {grid.num_frames} frames")
