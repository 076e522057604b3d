"""The embedded digits benchmark: its data, its stills for the encoders' first lessons, and its truth."""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurofocus.data.seeds import derive_seed
from neurofocus.data.video.augment import normalise
from neurofocus.data.video.reader import open_video
from neurofocus.data.video.source import FullSize
from neurofocus.errors import ConfigError
from neurofocus.files import cache_dir, mendable
from neurofocus.model.build import Model
from neurofocus.model.draws import Draws
from neurofocus.model.outputs import FocusOutput
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.pretrain import PretrainConfig
from neurofocus.schema.run import RunConfig
from neurofocus.simulate.digits.dataset import ensure_digits
from neurofocus.simulate.digits.recipe import DigitsConfig
from neurofocus.simulate.digits.truth import read_truth
from neurofocus.training.diagnostics import diagnose_evidence
from neurofocus.training.inference import CaseOutputs
from neurofocus.training.pretrain import Stills, pretrain_encoders

__all__ = ["digits_root", "evidence_found", "pretrain_on_stills"]

_LOGGER = logging.getLogger("neurofocus.workflows.video")


def digits_root() -> Path:
    """Return the folder of the digits videos, made at the first call."""
    with mendable(cache_dir()):
        return ensure_digits(DigitsConfig(), cache_dir())


def pretrain_on_stills(model: Model, root: Path, config: RunConfig) -> None:
    """Let the encoders of a fresh model learn on the stills, if the configuration says so.

    Args:
        model: freshly initialised, on its device; it learns in place.
        root: of the digits.
        config: of the run.

    Raises:
        ConfigError: the model has no policy, or frames are not as large as the stills.
    """
    if config.pretrain is None:
        return
    if not isinstance(model, UniAdaFocus):
        raise ConfigError(
            f"pretrain: model.kind {config.model.kind} has no policy head; set pretrain to null"
        )
    truth = read_truth(root, "stills")
    images = _stills(root, truth.paths)
    if images.shape[2] != config.model.frame_size:
        raise ConfigError(
            f"pretrain: stills are {images.shape[2]} pixels wide, model.frame_size is {config.model.frame_size}; set "
            f"model.frame_size={images.shape[2]}, or pretrain to null"
        )
    boxes = torch.from_numpy(truth.boxes).flatten(0, 1)
    labels = torch.from_numpy(truth.labels).repeat_interleave(truth.boxes.shape[1])
    draws = Draws(torch.Generator().manual_seed(derive_seed("stills", config.seed)))
    batches = partial(_batches, images, labels, boxes, config, config.pretrain)
    for epoch, record in enumerate(pretrain_encoders(model, batches, config.pretrain, draws=draws), start=1):
        _LOGGER.info(
            "stills  epoch %d/%d  accuracy of glances %.3f, of crops %.3f",
            epoch,
            config.pretrain.epochs,
            record.global_accuracy,
            record.local_accuracy,
        )


def evidence_found(root: Path, part: str, outputs: CaseOutputs, names: list[str]) -> dict[str, float]:
    """Return how often the policy found the digit: means over the videos of a part.

    ``frame_hits`` is the share of focus frames that show it, ``coverage`` the share of it inside the patch on them.

    Args:
        root: of the digits.
        part: train, validation or test.
        outputs: of the model.
        names: the clips' identifiers, in their order.
    """
    truth = read_truth(root, part)
    row = {str(Path(path).with_suffix("")): place for place, path in enumerate(truth.paths)}
    boxes = torch.from_numpy(truth.boxes[[row[name] for name in names]])
    nothing = torch.zeros(0)
    focus = FocusOutput(outputs.frame_indices, outputs.boxes, nothing, nothing)
    found = diagnose_evidence(focus, boxes)
    return {"frame_hits": float(found.frame_hits.mean()), "coverage": float(found.coverage.nanmean())}


def _stills(root: Path, paths: tuple[str, ...]) -> NDArray[np.uint8]:
    """Return all stills, [N, H, W, 3]."""
    found = []
    for path in paths:
        with open_video(root / path) as source:
            found.append(source.read(range(source.num_frames), size=FullSize()))
    return np.concatenate(found)


def _batches(
    images: NDArray[np.uint8],
    labels: Tensor,
    boxes: Tensor,
    config: RunConfig,
    pretrain: PretrainConfig,
    epoch: int,
) -> Iterator[Stills]:
    """Yield the stills of an epoch in an order that depends on (seed, epoch); the last, smaller batch is left out."""
    order = np.random.default_rng(derive_seed("stills order", config.seed, epoch)).permutation(len(images))
    size = pretrain.batch_size
    for start in range(0, len(order) - size + 1, size):
        chosen = order[start : start + size]
        pixels = torch.from_numpy(np.ascontiguousarray(images[chosen])).permute(0, 3, 1, 2)
        shown = normalise(pixels, config.video.normalisation)
        yield Stills(shown, labels[chosen], boxes[chosen])
