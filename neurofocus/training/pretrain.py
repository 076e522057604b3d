"""Both encoders learn on labelled stills first: what ImageNet does for the paper's networks (appendix H.3).

From nothing, the policy has no features to follow and the whole model stays at chance for many epochs. f_G sees whole
stills at the glance's size and f_L sees crops around the object, each under its auxiliary head. FC_Aux of Eq. 14
learns from f_G's features in the same crops, so that it tells a good box from a bad one when the policy starts.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from neurofocus.model.draws import Draws
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.pretrain import PretrainConfig

__all__ = ["PretrainRecord", "Stills", "pretrain_encoders"]


@dataclass(frozen=True)
class Stills:
    """A batch of stills.

    Attributes:
        images: as the model takes frames, [N, C, H, W].
        labels: class indices, int64 [N].
        boxes: of the object, (x_c, y_c, height, width) in pixels, [N, 4].
    """

    images: Tensor
    labels: Tensor
    boxes: Tensor


@dataclass(frozen=True)
class PretrainRecord:
    """Means of an epoch: cross-entropy and accuracy of f_G on whole stills and of f_L on crops."""

    global_loss: float
    local_loss: float
    global_accuracy: float
    local_accuracy: float


def pretrain_encoders(
    model: UniAdaFocus,
    epochs: Callable[[int], Iterable[Stills]],
    config: PretrainConfig,
    *,
    draws: Draws,
) -> list[PretrainRecord]:
    """Train f_G, f_L and their heads in place.

    Args:
        model: freshly initialised; its glance size and patch range decide what the encoders see.
        epochs: gives the batches of an epoch, counted from 0.
        config: optimisation.
        draws: draws the crops; dropout draws from torch's global stream.

    Returns:
        One record an epoch.
    """
    parts = (
        model.global_encoder,
        model.global_head,
        model.local_encoder,
        model.local_head,
        model.policy_head,
    )
    parameters = [parameter for part in parts for parameter in part.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    model.train()
    records = []
    for epoch in range(config.epochs):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / config.epochs))
        sums, number = torch.zeros(4), 0
        for batch in epochs(epoch):
            loss, values = _losses(model, batch, config, draws)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            sums += values * len(batch.labels)
            number += len(batch.labels)
        records.append(PretrainRecord(*(sums / number).tolist()))
    return records


def _losses(model: UniAdaFocus, batch: Stills, config: PretrainConfig, draws: Draws) -> tuple[Tensor, Tensor]:
    """Return the sum of the three cross-entropies, and the values of a record [4]."""
    boxes = _crop_boxes(model, batch.boxes, config.margin, draws)
    maps = model.global_maps(batch.images)
    scale = maps.shape[-1] / model.config.frame_size
    cells = max(1, int(scale * model.config.patch_size + 0.5))  # as in the spatial loss
    inside = model.resample(maps, boxes * scale, cells).mean((-2, -1))
    patches = model.resample(batch.images, boxes, model.config.patch_size)
    logits = (
        model.global_head(maps.mean((-2, -1))),
        model.local_head(model.encode_patches(patches[:, None])[:, 0]),
        model.policy_head(inside),
    )
    losses = torch.stack([functional.cross_entropy(values, batch.labels) for values in logits])
    hits = torch.stack([(values.argmax(1) == batch.labels).float().mean() for values in logits])
    return losses.sum(), torch.cat([losses.detach()[:2], hits[:2]]).cpu()


def _crop_boxes(model: UniAdaFocus, objects: Tensor, margin: tuple[float, float], draws: Draws) -> Tensor:
    """Return square boxes [N, 4] in the policy's range of sizes that hold the object somewhere, inside the frame."""
    patches, frame = model.config.patches, model.config.frame_size
    low, high = margin
    share = low + (high - low) * draws.uniform((len(objects), 1)).to(objects.device)
    side = objects[:, 2:].amax(1, keepdim=True) * share
    side = side.clamp(patches.min_fraction * frame, patches.max_fraction * frame)
    room = (side - objects[:, [3, 2]]).clamp_min(0)
    offset = (draws.uniform((len(objects), 2)).to(objects.device) - 0.5) * room
    centers = (objects[:, :2] + offset).maximum(side / 2).minimum(frame - side / 2)
    return torch.cat([centers, side, side], dim=1)
