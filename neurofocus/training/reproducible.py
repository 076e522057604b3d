"""What makes two runs agree to the last bit, and how precise the arithmetic is."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from neurofocus.errors import ConfigError

__all__ = ["Precision", "reproducible"]


@contextmanager
def reproducible(*, threads: int, deterministic: bool) -> Iterator[None]:
    """Pin torch's thread count, and its algorithms if ``deterministic``; put everything back afterwards.

    Sums over threads depend on how many there are: results agree to the last bit at equal thread counts only,
    so the count is part of a run's record. torch's global random stream is put back too.

    Args:
        threads: CPU threads inside the block.
        deterministic: refuse operations without a deterministic algorithm.
    """
    # cuBLAS reads it when it starts; without it, torch refuses deterministic matrix products on CUDA.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    cudnn = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
    with torch.random.fork_rng():
        try:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic)
            torch.backends.cudnn.deterministic = deterministic
            torch.backends.cudnn.benchmark = not deterministic
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.use_deterministic_algorithms(before[1])
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn


@dataclass(frozen=True)
class Precision:
    """Mixed precision of the training step; validation and prediction always run in float32.

    Attributes:
        mode: ``off``, ``bf16`` (CUDA or CPU) or ``fp16`` (CUDA, with a gradient scaler).
        device: where the model is.
    """

    mode: Literal["off", "bf16", "fp16"]
    device: torch.device

    def __post_init__(self) -> None:
        if self.mode == "fp16" and self.device.type != "cuda":
            raise ConfigError(
                f"train.amp: fp16 needs a CUDA device, this run is on {self.device.type}; choose bf16 or off"
            )

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context for the forward pass; the policies stay in float32 by themselves."""
        dtype = torch.float16 if self.mode == "fp16" else torch.bfloat16
        return torch.autocast(self.device.type, dtype=dtype, enabled=self.mode != "off")

    def scaler(self) -> torch.amp.GradScaler:
        """Return a gradient scaler that does something in fp16 only."""
        return torch.amp.GradScaler(self.device.type, enabled=self.mode == "fp16")
