"""Training steps that hold less and take less time, with the same losses and gradients up to rounding.

Encoders get their images channels last, which spares a CPU the reordering before and after every convolution. Blocks
that hold much and cost little forget their inside after the forward pass and compute it again in the backward pass.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from neurofocus.model.build import Model
from neurofocus.model.encoders.protocol import Encoder
from neurofocus.training.batch_statistics import summing_in_blocks

__all__ = ["KEPT_BELOW", "saving_memory"]

# Bytes. Kept blocks of any size would fall to pieces: glibc gives an aligned one to no later request of its size.
KEPT_BELOW = 40 * 2**20


@contextmanager
def saving_memory(model: Model, *, on: bool = True) -> Iterator[None]:
    """Let a model train in less memory inside the block; parameters, buffers and their names stay as they are.

    Args:
        model: whose encoders are to save; without gradients only the order of their images in memory changes.
        on: False: nothing happens.
    """
    encoders = [model.global_encoder, model.local_encoder] if on else []
    blocks = [block for encoder in encoders for block in encoder.recomputable()]
    hooks = [encoder.register_forward_pre_hook(_channels_last) for encoder in encoders]
    for block in blocks:
        # On the instance it goes before the class's method, and before no hook.
        block.__dict__["forward"] = _recomputing(block)
    try:
        with summing_in_blocks(nn.ModuleList(encoders)):
            yield
    finally:
        for block in blocks:
            del block.__dict__["forward"]
        for hook in hooks:
            hook.remove()


def _channels_last(encoder: Encoder, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    images, *rest = arguments
    # contiguous() would leave images of one channel as they are: their strides fit both orders.
    return images.to(memory_format=torch.channels_last), *rest


def _recomputing(block: nn.Module) -> Callable[..., Tensor]:
    """Return the block's forward pass, computed again when gradients need its inside."""
    forward = block.forward

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _buffers_kept(block)

    def run(*arguments: Any) -> Tensor:
        if not torch.is_grad_enabled():
            result: Tensor = forward(*arguments)
            return result
        # Blocks draw nothing (no dropout inside), so the random state need not be put back.
        computed: Tensor = checkpoint(
            forward, *arguments, use_reentrant=False, preserve_rng_state=False, context_fn=contexts
        )
        return computed

    return run


@contextmanager
def _buffers_kept(block: nn.Module) -> Iterator[None]:
    """Let a block write to copies of its buffers: a batch enters the running statistics once, not twice."""
    kept = [
        (part, name, value) for part in block.modules() for name, value in part.named_buffers(recurse=False)
    ]
    for part, name, value in kept:
        setattr(part, name, value.clone())
    try:
        yield
    finally:
        for part, name, value in kept:
            setattr(part, name, value)
