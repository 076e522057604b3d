"""Random numbers for the cases of a batch; several processes that share a batch each take their part of them."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Draws"]


@dataclass(frozen=True)
class Draws:
    """A stream of random numbers, drawn on its generator's device so that a run does not depend on the accelerator.

    Every process of a distributed run draws the numbers of the whole batch and keeps those of its own cases. So
    the numbers a case meets do not depend on how many processes there are.

    Attributes:
        generator: the source.
        start: position of this process's first case in the batch.
        total: cases in the whole batch; None: all of them are here.
    """

    generator: torch.Generator
    start: int = 0
    total: int | None = None

    def uniform(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        """Return numbers in [0, 1) of a shape [B, ...], B being the cases here."""
        values = torch.rand(self._whole(shape), dtype=dtype, generator=self.generator, device=self._device)
        return self._own(values, shape)

    def integers(self, high: int, shape: tuple[int, ...]) -> Tensor:
        """Return int64 numbers in 0..high-1 of a shape [B, ...]."""
        values = torch.randint(high, self._whole(shape), generator=self.generator, device=self._device)
        return self._own(values, shape)

    def exponential(self, shape: tuple[int, ...]) -> Tensor:
        """Return exponential noise of rate 1 of a shape [B, ...]."""
        values = torch.empty(self._whole(shape), device=self._device)
        return self._own(values.exponential_(generator=self.generator), shape)

    @property
    def _device(self) -> torch.device:
        return self.generator.device

    def _whole(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0] if self.total is None else self.total, *shape[1:])

    def _own(self, values: Tensor, shape: tuple[int, ...]) -> Tensor:
        return values[self.start : self.start + shape[0]]
