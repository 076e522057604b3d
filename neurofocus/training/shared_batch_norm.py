"""Batch normalisation over a batch that several processes share, on CPU and CUDA (torch's own needs CUDA)."""

from typing import Any

import ignite.distributed as idist
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from neurofocus.training.batch_statistics import follow_statistics

__all__ = ["SharedBatchNorm", "share_batch_norms"]


class SharedBatchNorm(_BatchNorm):
    """Normalises by the statistics of all processes' cases; alone or in evaluation it is torch's batch norm."""

    def _check_input_dim(self, input: Tensor) -> None:  # torch's name
        if input.dim() < 2:
            raise ValueError(f"at least 2 axes are needed, got {input.dim()}")

    def forward(self, input: Tensor) -> Tensor:  # torch's name
        """Normalise [B, C, ...] over all axes but the second."""
        if not self.training or idist.get_world_size() == 1:
            return super().forward(input)
        values = input.float()
        axes = [axis for axis in range(values.dim()) if axis != 1]
        shape = [1, -1] + [1] * (values.dim() - 2)
        own = values.new_tensor([values.numel() / values.shape[1]])
        sums = _sum_of_all(torch.cat([values.sum(axes), own]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = values - mean.view(shape)
        variance = _sum_of_all(centred.square().sum(axes)) / count
        follow_statistics(self, mean.detach(), variance.detach(), count)
        result = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            result = result * self.weight.view(shape) + self.bias.view(shape)
        return result.to(input.dtype)


class _SumOfAll(torch.autograd.Function):
    """The sum over processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return _reduced(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _reduced(gradients[0])


def _reduced(value: Tensor) -> Tensor:
    result: Tensor = idist.all_reduce(value.clone())
    return result


def _sum_of_all(value: Tensor) -> Tensor:
    result: Tensor = _SumOfAll.apply(value)  # type: ignore[no-untyped-call]  # torch does not annotate it
    return result


def share_batch_norms(model: nn.Module) -> None:
    """Replace every batch norm of a model by one that several processes share; parameters stay the same objects."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm) and not isinstance(child, SharedBatchNorm):
                setattr(parent, name, _shared(child))


def _shared(norm: _BatchNorm) -> SharedBatchNorm:
    result = SharedBatchNorm(
        norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
    )
    if norm.affine:
        result.weight, result.bias = norm.weight, norm.bias
    result.running_mean, result.running_var = norm.running_mean, norm.running_var
    result.num_batches_tracked = norm.num_batches_tracked
    return result.train(norm.training)
