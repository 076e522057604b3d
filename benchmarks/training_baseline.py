"""The training objective as one would write it down from the paper: what ``benchmarks/training.py`` compares with.

Plain modules, float32, contiguous frames, crops by grid_sample, the whole graph kept. f_L's batch statistics cover
both passes, as in the released code, or the losses would differ from ours.
"""

import torch
from torch import Tensor
from torch.nn import functional

from neurofocus.model.draws import Draws
from neurofocus.model.outputs import Decision, GlanceOutput
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.run import ObjectiveConfig
from neurofocus.training.cross_entropy import CrossEntropy
from neurofocus.training.policy_losses import temporal_loss


def straightforward(
    model: UniAdaFocus, frames: Tensor, labels: Tensor, draws: Draws, *, glance_shared: bool
) -> Tensor:
    """Return Eq. 22 with every term on.

    Args:
        model: in training mode, without dropout: the passes would draw other masks than ours.
        frames: [B, T0, C, H, W].
        labels: [B].
        draws: the same random numbers as ours, in the same order.
        glance_shared: as the released code does; else every pass of Eq. 12 glances itself, and the policy is
            evaluated once for the crops and once for its losses.
    """
    entropy = CrossEntropy(labels, None, 0.0)
    shown = model.glance_frames(frames, draws=draws)
    glance = model.glance(shown)
    decision = model.decide(glance)
    placing, second = (decision, glance) if glance_shared else (model.decide(glance), model.glance(shown))
    learned, drawn = look(model, frames, placing.detach(), draws)
    passes = recognition(model, glance, learned, entropy), recognition(model, second, drawn, entropy)
    return (passes[0] + passes[1]) / 2 + policy(model, glance, decision, entropy, draws)


def recognition(model: UniAdaFocus, glance: GlanceOutput, local: Tensor, entropy: CrossEntropy) -> Tensor:
    """Return L' of one pass (Eq. 11)."""
    exits = entropy(model.classifier(glance.global_features, local))
    return exits + entropy(model.global_head(glance.global_features)) + entropy(model.local_head(local))


def look(model: UniAdaFocus, frames: Tensor, decision: Decision, draws: Draws) -> tuple[Tensor, Tensor]:
    """Return f_L's features, [B, F, D], inside the policy's boxes and inside random ones on the same frames."""
    indices = model.select_frames(decision, draws=draws)
    boxes = model.place_boxes(decision, indices), model.draw_boxes(indices, draws=draws)
    chosen = frames[torch.arange(len(frames), device=frames.device)[:, None], indices].flatten(0, 1)
    size = model.config.patch_size
    patches = torch.cat([sampled(chosen, box.flatten(0, 1), size) for box in boxes])
    features = model.local_encoder(patches, indices.shape[1]).mean((-2, -1))
    learned, drawn = features.view(2, *indices.shape, -1)
    return learned, drawn


def policy(
    model: UniAdaFocus, glance: GlanceOutput, decision: Decision, entropy: CrossEntropy, draws: Draws
) -> Tensor:
    """Return the policy's losses: Eq. 14 on features inside the boxes, the regulariser of Eq. 15, and Eq. 21."""
    maps = glance.global_maps.detach().flatten(0, 1)
    scale = maps.shape[-1] / model.config.frame_size
    crops = sampled(maps, decision.boxes.flatten(0, 1) * scale, int(scale * model.config.patch_size + 0.5))
    spatial = entropy(model.policy_head(crops.mean((-2, -1)).view(*glance.global_features.shape)))
    size = (1 - decision.actions[..., 2:]).square().mean()
    samples = ObjectiveConfig().num_mc_samples
    logits = model.global_head(glance.global_features)
    return spatial + size + temporal_loss(model, decision, logits, entropy, num_samples=samples, draws=draws)


def sampled(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Crop boxes (x_c, y_c, height, width) [N, 4] in pixels out of images [N, C, S, S], zeros outside."""
    x, y, height, width = (boxes.to(images) / images.shape[-1]).unbind(1)
    zero = torch.zeros_like(x)
    theta = torch.stack([width, zero, 2 * x - 1, zero, height, 2 * y - 1], 1).view(-1, 2, 3)
    grid = functional.affine_grid(theta, [len(images), images.shape[1], size, size], align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)
