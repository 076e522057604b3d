"""Temporal shift (TSM, Lin et al. 2019): some channels of a frame's map are its neighbours' instead."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

__all__ = ["from_shift_names", "temporal_shift"]

_SHARE = 8  # one eighth of the channels looks ahead, one eighth back


def temporal_shift(maps: Tensor, num_frames: int) -> Tensor:
    """Shift the first eighth of the channels from frame t + 1 and the next eighth from frame t - 1.

    Beyond the ends of a clip there are zeros; the other channels stay. No parameter and no multiply-add. Backwards
    it is the same shift the other way, which costs less than half of what autograd makes of slices.

    Args:
        maps: of clip after clip, [N, C, h, w].
        num_frames: of a clip.

    Returns:
        [N, C, h, w], in the memory format of ``maps``.

    Raises:
        ValueError: if the maps are no whole number of clips.
    """
    if len(maps) % num_frames:
        raise ValueError(f"{len(maps)} maps are no whole number of clips of {num_frames} frames")
    if torch.compiler.is_exporting():
        return _joined(maps, num_frames)
    shifted: Tensor = _Shift.apply(maps, num_frames)  # type: ignore[no-untyped-call]  # torch's
    return shifted


def from_shift_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop what the TSM authors' code puts into names: the network's prefix, ``net`` of a wrapped convolution."""
    return {name.removeprefix("base_model.").replace(".net.", "."): tensor for name, tensor in state.items()}


class _Shift(torch.autograd.Function):
    """The shift with its own backward pass."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, num_frames: int) -> Tensor:
        ctx.num_frames = num_frames
        return _shifted(maps, num_frames, ahead_first=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _shifted(gradient, ctx.num_frames, ahead_first=False), None


def _shifted(maps: Tensor, num_frames: int, *, ahead_first: bool) -> Tensor:
    """Copy everything, then overwrite the shifted channels: in both memory formats as fast as any other way."""
    clips = maps.view(-1, num_frames, *maps.shape[1:])
    share = clips.shape[2] // _SHARE
    first, second = slice(0, share), slice(share, 2 * share)
    ahead, back = (first, second) if ahead_first else (second, first)
    result = clips.clone()
    result[:, :-1, ahead] = clips[:, 1:, ahead]
    result[:, -1, ahead] = 0
    result[:, 1:, back] = clips[:, :-1, back]
    result[:, 0, back] = 0
    return result.view_as(maps)


def _joined(maps: Tensor, num_frames: int) -> Tensor:
    """Write the shift without assignments, of which an exported graph makes scatters of single elements."""
    clips = maps.view(-1, num_frames, *maps.shape[1:])
    share = clips.shape[2] // _SHARE
    ahead = functional.pad(clips[:, 1:, :share], (0, 0, 0, 0, 0, 0, 0, 1))
    back = functional.pad(clips[:, :-1, share : 2 * share], (0, 0, 0, 0, 0, 0, 1, 0))
    return torch.cat([ahead, back, clips[:, :, 2 * share :]], 2).view_as(maps)
