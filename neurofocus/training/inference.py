"""Deterministic forward passes in evaluation mode, for validation, testing and prediction."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from ignite.engine import Engine
from torch import Tensor, nn
from torch.utils.data import DataLoader

from neurofocus.data.dataset import Batch
from neurofocus.model.outputs import UniAdaFocusOutput
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.training.distributed import gather_cases

__all__ = ["evaluating", "predict_frames", "predict_logits", "quiet_engine"]

_IGNITE_LOGGER = logging.getLogger("neurofocus.ignite")
_IGNITE_LOGGER.setLevel(logging.CRITICAL + 1)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode without gradients; its mode comes back afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def predict_frames(model: UniAdaFocus, frames: Tensor) -> tuple[npt.NDArray[np.float64], UniAdaFocusOutput]:
    """Return the class probabilities of a batch and everything that the model did on the way.

    Args:
        model: on any device.
        frames: [B, T0, C, H, W] as ``data.dataset.evaluation_frames`` gives them (stacked).

    Returns:
        Probabilities of the last step [B, K], summing to 1 in float64, and the model's output.
    """
    with evaluating(model):
        output: UniAdaFocusOutput = model(frames.to(_device(model)))
        probabilities = output.logits[:, -1].double().softmax(-1)
    return probabilities.cpu().numpy(), output


def predict_logits(model: UniAdaFocus, loader: DataLoader[Batch]) -> Tensor:
    """Return the last step's logits of every case, float64 [N, K] on the CPU, in the dataset's order.

    Processes that share the work each bring a loader of their part and get the whole.
    """
    found: dict[int, Tensor] = {}

    def step(engine: Engine, batch: Batch) -> None:
        with evaluating(model):
            output: UniAdaFocusOutput = model(batch["frames"].to(_device(model), non_blocking=True))
            logits = output.logits[:, -1].double().cpu()
        found.update(zip(batch["index"].tolist(), logits, strict=True))

    if len(loader):
        quiet_engine(step).run(loader)
    whole = gather_cases(found)
    return torch.stack([whole[index] for index in sorted(whole)])


def quiet_engine(step: Callable[[Engine, Batch], Any]) -> Engine:
    """Return an Ignite engine that logs nothing by itself: errors are printed once, where they are handled."""
    engine = Engine(step)
    engine.logger = _IGNITE_LOGGER
    return engine


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
