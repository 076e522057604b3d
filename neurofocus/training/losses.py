"""The training objective (Eq. 22): recognition (Eq. 11, 12), box placement (Eq. 15) and frame weights (Eq. 21).

Which part learns from which term, with everything switched on:

    classification     f_G, f_L, f_C             Eq. 10, both passes
    global_auxiliary   f_G, FC_G                 Eq. 11
    local_auxiliary    f_L, FC_L                 Eq. 11, both passes
    spatial            spatial policy, FC_Aux    Eq. 14
    size               spatial policy            Eq. 15, the regulariser
    temporal           temporal policy           Eq. 21
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from neurofocus.model.draws import Draws
from neurofocus.model.frame_sampling import expected_frame_loss, num_mc_draws
from neurofocus.model.outputs import Decision, FocusOutput, GlanceOutput
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.run import ObjectiveConfig

__all__ = ["LossTerms", "uni_adafocus_loss"]


@dataclass(frozen=True)
class LossTerms:
    """The objective of one batch; the terms are scalars as they enter the total, zero where switched off.

    Attributes:
        total: the sum of the terms below (Eq. 22).
        classification: cross-entropy of f_C over all exit steps, mean of the passes.
        global_auxiliary: cross-entropy of FC_G over glance frames.
        local_auxiliary: cross-entropy of FC_L over focus frames, mean of the passes.
        spatial: cross-entropy of FC_Aux over glance frames, on features inside the boxes.
        size: the size regulariser times its weight.
        temporal: expected loss of the sampled frames.
        logits: f_C's predictions in the pass with the policy's boxes, detached, [B, E, K].
    """

    total: Tensor
    classification: Tensor
    global_auxiliary: Tensor
    local_auxiliary: Tensor
    spatial: Tensor
    size: Tensor
    temporal: Tensor
    logits: Tensor


@dataclass(frozen=True)
class _CrossEntropy:
    """Cross-entropy against the case's label, averaged over cases and steps.

    With class weights the mean is weighted by the case's class, as in torch's ``cross_entropy``.
    """

    labels: Tensor
    class_weights: Tensor | None
    smoothing: float

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the mean over logits [B, S, K] of S steps."""
        targets = self.labels.repeat_interleave(logits.shape[1])
        return functional.cross_entropy(
            logits.float().flatten(0, 1), targets, weight=self.class_weights, label_smoothing=self.smoothing
        )

    def mean_of(self, passes: list[Tensor]) -> Tensor:
        """Return the mean of the passes' losses (the 1/2 of Eq. 12)."""
        return torch.stack([self(logits) for logits in passes]).mean()

    def per_step(self, logits: Tensor) -> Tensor:
        """Return the plain losses, without weights or smoothing, [B, S]."""
        targets = self.labels.repeat_interleave(logits.shape[1])
        losses = functional.cross_entropy(logits.float().flatten(0, 1), targets, reduction="none")
        return losses.view(logits.shape[:2])

    def weighted_mean(self, values: Tensor) -> Tensor:
        """Return the mean of one value a case, [B], with the same case weights."""
        if self.class_weights is None:
            return values.mean()
        weights = self.class_weights[self.labels]
        return (values * weights).sum() / weights.sum()


def uni_adafocus_loss(
    model: UniAdaFocus,
    frames: Tensor,
    labels: Tensor,
    *,
    objective: ObjectiveConfig,
    class_weights: Tensor | None,
    draws: Draws,
) -> LossTerms:
    """Run the model as in training and return the objective of one batch (Eq. 22).

    Args:
        model: in training mode.
        frames: [B, T0, C, H, W].
        labels: class indices, int64 [B].
        objective: which terms are on.
        class_weights: [K], or None.
        draws: draws glance frames, focus frames, random boxes and Monte Carlo samples. Dropout is the only
            other randomness.
    """
    cross_entropy = _CrossEntropy(labels, class_weights, objective.label_smoothing)
    glance = model.glance(frames, draws=draws)
    decision = model.decide(glance, stop_gradient=objective.stop_gradient)
    passes = _focus_passes(model, frames, decision, objective, draws)
    logits = [model.classify(glance, focus) for focus in passes]

    classification = cross_entropy.mean_of(logits)
    global_auxiliary = local_auxiliary = spatial = size = temporal = torch.zeros((), device=frames.device)
    if objective.auxiliary:
        local_auxiliary = cross_entropy.mean_of([model.local_head(focus.local_features) for focus in passes])
    if objective.auxiliary or model.temporal_policy is not None:
        # The temporal loss needs FC_G even without auxiliary supervision; then it learns on constant features.
        features = glance.global_features if objective.auxiliary else glance.global_features.detach()
        global_logits = model.global_head(features)
        global_auxiliary = cross_entropy(global_logits)
    if model.temporal_policy is not None:
        frame_losses = cross_entropy.per_step(global_logits.detach())
        expected = _expected_loss(model, decision, frame_losses, objective.num_mc_samples, draws)
        temporal = cross_entropy.weighted_mean(expected)
    if objective.policy_gradient == "features":
        spatial = cross_entropy(_box_logits(model, glance, decision))
    if model.config.patches.deformable:
        size = objective.size_weight * _size_regulariser(decision)
    return LossTerms(
        total=classification + global_auxiliary + local_auxiliary + spatial + size + temporal,
        classification=classification,
        global_auxiliary=global_auxiliary,
        local_auxiliary=local_auxiliary,
        spatial=spatial,
        size=size,
        temporal=temporal,
        logits=logits[0].detach(),
    )


def _focus_passes(
    model: UniAdaFocus,
    frames: Tensor,
    decision: Decision,
    objective: ObjectiveConfig,
    draws: Draws,
) -> list[FocusOutput]:
    """Focus with the policy's boxes and, for diversity, again with random ones on the same frames (Eq. 12).

    f_L sees both passes as one batch, so that its batch statistics cover both. Pixels train the policy only where
    the objective says so (Eq. 8); otherwise the boxes are constants here.
    """
    indices = model.select_frames(decision, draws=draws)
    placed = decision if objective.policy_gradient == "pixels" else decision.detach()
    boxes = [model.place_boxes(placed, indices)]
    if objective.diversity:
        boxes.append(model.draw_boxes(indices, draws=draws))
    patches = [model.crop(frames, chosen, indices) for chosen in boxes]
    features = model.encode_patches(torch.cat(patches)).chunk(len(patches))
    return [FocusOutput(indices, *result) for result in zip(boxes, patches, features, strict=True)]


def _box_logits(model: UniAdaFocus, glance: GlanceOutput, decision: Decision) -> Tensor:
    """Return FC_Aux of the global features inside every glance frame's box, [B, T, K] (Eq. 13, 14).

    The map is a constant: the gradient reaches the policy through the box alone. The crop has P / H of the map's
    cells a side, at least one.
    """
    maps = glance.global_maps.detach()
    batch, number, _, side, _ = maps.shape
    scale = side / model.config.frame_size
    cells = max(1, int(scale * model.config.patch_size + 0.5))
    crops = model.resample(maps.flatten(0, 1), decision.boxes.flatten(0, 1) * scale, cells)
    logits: Tensor = model.policy_head(crops.mean((-2, -1)))
    return logits.view(batch, number, -1)


def _size_regulariser(decision: Decision) -> Tensor:
    """Return the mean of (1 - a)^2 over frames and both side lengths (Eq. 15, in normalised units).

    a is the size as a fraction of its free range, so 1 - a = (H_max - H_p) / (H_max - H_min). With H_max = H, a
    weight alpha here is alpha / (2 (H - H_min)^2) per square pixel in Eq. 15: alpha / 32768 for 96 to 224 pixels.
    """
    return (1 - decision.actions[..., 2:]).square().mean()


def _expected_loss(
    model: UniAdaFocus,
    decision: Decision,
    frame_losses: Tensor,
    num_samples: int,
    draws: Draws,
) -> Tensor:
    """Return Eq. 21 among the glance frames, [B], from FC_G's loss on each of them, [B, T] (appendix C)."""
    config = model.config
    return expected_frame_loss(
        decision.frame_weights,
        frame_losses,
        num_draws=num_mc_draws(config.num_frames, config.num_glance_frames, config.num_focus_frames),
        num_samples=num_samples,
        draws=draws,
    )
