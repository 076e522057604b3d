"""Deterministic forward passes in evaluation mode, for validation, testing and prediction."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from ignite.engine import Engine
from torch import Tensor, nn
from torch.utils.data import DataLoader

from neurofocus.data.dataset import Batch
from neurofocus.model.build import Model
from neurofocus.model.frame_sampling import by_weight, take_frames
from neurofocus.model.outputs import ModelOutput, UniAdaFocusOutput
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.training.distributed import gather_cases

__all__ = [
    "CaseOutputs",
    "evaluating",
    "model_frames",
    "predict_cases",
    "predict_frames",
    "predict_logits",
    "quiet_engine",
]

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


@dataclass(frozen=True)
class CaseOutputs:
    """What a model answered for N cases, in the dataset's order, on the CPU.

    Attributes:
        logits: of every exit step, float64 [N, E, K], or [N, C, E, K] of C crops.
        boxes: of the focus frames, [N, F, 4], in time; of the middle crop where there are several.
        frame_weights: over the glance frames, [N, T].
        frame_indices: the focus frames, int64 [N, F], in time.
    """

    logits: Tensor
    boxes: Tensor
    frame_weights: Tensor
    frame_indices: Tensor


def predict_cases(
    model: Model, loader: DataLoader[Batch], *, order: Literal["time", "weight"] = "time"
) -> CaseOutputs:
    """Return what the model answers for every case of a loader.

    Processes that share the work each bring a loader of their part and get the whole.

    Args:
        model: on any device.
        loader: of cases that are neither drawn nor augmented.
        order: which focus frames the exit steps see first. The last step sees all of them and is the same, to the
            bit; so are all steps where f_L needs its frames at once.
    """
    found: dict[int, tuple[Tensor, ...]] = {}

    def step(engine: Engine, batch: Batch) -> None:
        found.update(zip(batch["index"].tolist(), _answers(model, batch, order), strict=True))

    if len(loader):
        quiet_engine(step).run(loader)
    whole = gather_cases(found)
    columns = zip(*(whole[index] for index in sorted(whole)), strict=True)
    return CaseOutputs(*(torch.stack(column) for column in columns))


def predict_logits(model: Model, loader: DataLoader[Batch]) -> Tensor:
    """Return the last step's logits of every case, float64 [N, K]; cases have one crop."""
    return predict_cases(model, loader).logits[:, -1]


def model_frames(batch: Batch, device: torch.device) -> Tensor | tuple[Tensor, Tensor]:
    """Return a batch's frames on a device; of separate streams the candidates for focus and the glance frames."""
    frames = batch["frames"].to(device, non_blocking=True)
    if "glance_frames" not in batch:
        return frames
    return frames, batch["glance_frames"].to(device, non_blocking=True)


def _answers(model: Model, batch: Batch, order: Literal["time", "weight"]) -> Iterator[tuple[Tensor, ...]]:
    """Yield what `CaseOutputs` holds for each case of a batch."""
    given = model_frames(batch, _device(model))
    streams = given if isinstance(given, tuple) else (given,)
    crops = streams[0].shape[1] if streams[0].dim() == 6 else 0
    with evaluating(model):
        output: ModelOutput = model(*(stream.flatten(0, 1) if crops else stream for stream in streams))
        step_logits = output.logits if order == "time" else _by_weight(model, output)
    parts = (step_logits.double(), output.boxes, output.frame_weights, output.frame_indices)
    logits, *others = (part.cpu() for part in parts)
    if crops:
        logits = logits.view(-1, crops, *logits.shape[1:])
        others = [part[crops // 2 :: crops] for part in others]
    yield from zip(logits, *others, strict=True)


def _by_weight(model: Model, output: ModelOutput) -> Tensor:
    """Return the logits of every exit step when the focus frames come by falling weight, [B, E, K]."""
    if not isinstance(output, UniAdaFocusOutput) or model.local_encoder.mixes_frames:
        return output.logits
    assert isinstance(model, UniAdaFocus)
    places = by_weight(output.frame_weights, model.config.num_frames, output.frame_indices)
    features = take_frames(output.focus.local_features, places)
    reordered = model.classify(output.glance, replace(output.focus, local_features=features))
    return torch.cat([reordered[:, :-1], output.logits[:, -1:]], dim=1)


def quiet_engine(step: Callable[[Engine, Batch], Any]) -> Engine:
    """Return an Ignite engine that logs nothing by itself: errors are printed once, where they are handled."""
    engine = Engine(step)
    engine.logger = _IGNITE_LOGGER
    return engine


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
