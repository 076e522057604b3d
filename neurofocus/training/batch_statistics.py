"""Batch normalisation of channels-last maps on a CPU, with sums in blocks.

torch adds up a channel of channels-last maps one value after the other in float32: over 32 maps of 112 x 112 its variance
is off by about 1e-4, and gradients at the far end of a deep network by several percent. Sums of short blocks that are put
together in float64 are off by less than 1e-6 and take as long (Chan, Golub and LeVeque, "Updating formulae and a pairwise
algorithm for computing sample variances", 1979).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["batch_statistics", "follow_statistics", "summing_in_blocks"]

BLOCK = 1024  # values of a channel that are added up in float32
_Norm = nn.BatchNorm2d | nn.BatchNorm3d


@contextmanager
def summing_in_blocks(model: nn.Module) -> Iterator[None]:
    """Let a model's batch norms train on exact statistics inside the block; modules and their names stay."""
    norms = [module for module in model.modules() if type(module) in (nn.BatchNorm2d, nn.BatchNorm3d)]
    for norm in norms:
        norm.__dict__["forward"] = _Forward(norm)
    try:
        yield
    finally:
        for norm in norms:
            del norm.__dict__["forward"]


def batch_statistics(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of each channel, [C], float64.

    Args:
        maps: [B, C, ...], channels last, on a CPU.
    """
    rows = maps.movedim(1, -1).flatten(0, -2)
    blocks = torch.split(rows, BLOCK)
    found = [torch.batch_norm_update_stats(block.t()[None, :, :, None], None, None, 0.0) for block in blocks]
    counts = torch.tensor([len(block) for block in blocks], dtype=torch.float64)[:, None]
    means, variances = (torch.stack(values).double() for values in zip(*found, strict=True))
    mean = (means * counts).sum(0) / len(rows)
    return mean, ((variances + (means - mean).square()) * counts).sum(0) / len(rows)


@torch.no_grad()
def follow_statistics(norm: _BatchNorm, mean: Tensor, variance: Tensor, count: float | Tensor) -> None:
    """Update a batch norm's running statistics as torch does: with the unbiased variance.

    Args:
        norm: without running statistics, or with cumulative ones, it stays as it is.
        mean: of the batch, [C].
        variance: biased, [C].
        count: of values a channel.
    """
    if norm.running_mean is None or norm.running_var is None or norm.momentum is None:
        return
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_(mean.to(norm.running_mean), norm.momentum)
    norm.running_var.lerp_((variance * (count / (count - 1))).to(norm.running_var), norm.momentum)


class _Forward:
    """What a batch norm does instead: with its own parameters, buffers and mode."""

    def __init__(self, norm: nn.Module) -> None:
        assert isinstance(norm, _Norm)
        self.norm = norm

    def __call__(self, maps: Tensor) -> Tensor:
        norm = self.norm
        count = maps.numel() // max(maps.shape[1], 1)
        if not (
            norm.training and norm.track_running_stats and norm.momentum and count > 1 and _careless(maps)
        ):
            return type(norm).forward(norm, maps)
        mean, variance = batch_statistics(maps.detach())
        follow_statistics(norm, mean, variance, count)
        result: Tensor = _Normalise.apply(maps, norm.weight, norm.bias, (mean, variance), norm.eps)  # type: ignore[no-untyped-call]  # torch does not annotate it
        return result


def _careless(maps: Tensor) -> bool:
    """Tell whether torch would add up all values of a channel in a row."""
    wide = maps.dtype in (torch.float32, torch.float64)
    return maps.device.type == "cpu" and wide and maps.is_contiguous(memory_format=_order(maps))


def _order(maps: Tensor) -> torch.memory_format:
    return torch.channels_last if maps.dim() == 4 else torch.channels_last_3d


class _Normalise(torch.autograd.Function):
    """Normalise by statistics of the maps themselves, through which gradients flow, too."""

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, statistics: tuple[Tensor, Tensor], eps: float
    ) -> Tensor:
        mean, variance = statistics
        ctx.save_for_backward(maps, weight, mean.to(maps), (variance + eps).rsqrt().to(maps))
        ctx.eps = eps
        return functional.batch_norm(maps, mean.to(maps), variance.to(maps), weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight, mean, inverse = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=_order(maps))
        needed = list(ctx.needs_input_grad[:3])
        found = torch.ops.aten.native_batch_norm_backward(
            gradient, maps, weight, None, None, mean, inverse, True, ctx.eps, needed
        )
        return *found, None, None
