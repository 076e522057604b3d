"""One fold on several processes (torchrun, through ignite.distributed): same batches, same draws, same result.

Every process computes its part of each batch. Batch statistics cover the whole batch, losses are divided by the
whole batch's weights and gradients are summed: the numbers are those of one process, but for the order of sums.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import ignite.distributed as idist
import torch
from torch import Tensor, distributed, nn

from neurofocus.training.losses import LossTerms

__all__ = ["BatchShare", "gather_cases", "is_main", "joined", "main_first", "part", "sum_gradients"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class BatchShare:
    """This process's part of a batch.

    Attributes:
        weighted: its share of the batch's class weights.
        plain: its share of the batch's cases.
    """

    weighted: float = 1.0
    plain: float = 1.0

    @classmethod
    def of(cls, labels: Tensor, mine: slice, weights: Tensor | None) -> "BatchShare":
        """Return the share of the cases ``mine`` of a batch with these labels [B] and class weights [K]."""
        plain = labels[mine].numel() / labels.numel()
        if weights is None:
            return cls(plain, plain)
        found = weights[labels].double()
        return cls(float(found[mine].sum() / found.sum()), plain)

    def total(self, terms: LossTerms) -> Tensor:
        """Return what this process adds to the batch's objective: means over its cases become parts of means."""
        if self.plain == 1.0:
            return terms.total
        return self.weighted * (terms.total - terms.size) + self.plain * terms.size

    def values(self, terms: LossTerms, names: tuple[str, ...]) -> list[float]:
        """Return the whole batch's loss terms by name, the same in every process."""
        values = torch.stack([getattr(terms, name).detach().float() for name in names])
        if self.plain == 1.0:
            return [float(value) for value in values.tolist()]
        factors = [self.plain if name == "size" else self.weighted for name in names]
        mine = values * torch.tensor(factors, device=values.device)
        mine[names.index("total")] = self.total(terms).detach()
        return [float(value) for value in idist.all_reduce(mine).tolist()]


def part() -> tuple[int, int]:
    """Return (number of this process, how many there are); (0, 1) without torchrun."""
    return idist.get_rank(), idist.get_world_size()


def is_main() -> bool:
    """Whether this process writes the files and the log: the first one, or the only one."""
    return bool(idist.get_rank() == 0)


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; yield the device of this one.

    Args:
        device: as chosen; with CUDA every process takes the GPU of its local number.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    cuda = device.type == "cuda"
    idist.initialize("nccl" if cuda else "gloo")
    logger = logging.getLogger("neurofocus")
    level = logger.level
    if not is_main():
        logger.setLevel(logging.WARNING)
    try:
        yield torch.device("cuda", idist.get_local_rank()) if cuda else device
    finally:
        logger.setLevel(level)
        idist.finalize()


@contextmanager
def main_first() -> Iterator[None]:
    """Let the first process run the block before the others do: they find its files."""
    with idist.one_rank_first():
        yield


def sum_gradients(model: nn.Module) -> None:
    """Add the gradients of all processes; a parameter without one in this process counts as zero there."""
    if idist.get_world_size() == 1:
        return
    parameters = [value for value in model.parameters() if value.requires_grad]
    has = torch.tensor([value.grad is not None for value in parameters], dtype=torch.float32)
    everywhere = idist.all_reduce(has.to(parameters[0].device)) > 0
    used = [value for value, known in zip(parameters, everywhere.tolist(), strict=True) if known]
    for value in used:
        if value.grad is None:
            value.grad = torch.zeros_like(value)
    flat = idist.all_reduce(torch.cat([_gradient(value).flatten() for value in used]))
    start = 0
    for value in used:
        _gradient(value).copy_(flat[start : start + value.numel()].view_as(value))
        start += value.numel()


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def gather_cases(found: Mapping[int, _T]) -> dict[int, _T]:
    """Return what all processes found, by the position of the case."""
    if idist.get_world_size() == 1:
        return dict(found)
    parts: list[Any] = [None] * idist.get_world_size()
    distributed.all_gather_object(parts, dict(found))
    return {position: value for one in parts for position, value in one.items()}
