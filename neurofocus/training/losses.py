"""The training objective (Eq. 22): recognition (Eq. 11, 12), box placement (Eq. 15) and frame weights (Eq. 21).

Which part learns from which term, with everything switched on:

    classification     f_G, f_L, f_C             Eq. 10, both passes
    global_auxiliary   f_G, FC_G                 Eq. 11
    local_auxiliary    f_L, FC_L                 Eq. 11, both passes
    spatial            spatial policy, FC_Aux    Eq. 14
    size               spatial policy            Eq. 15, the regulariser
    temporal           temporal policy           Eq. 21

The profile "released" is what the released training code computes. It differs for models of single frames in

    temporal           temporal policy, f_G, FC_G

and for models of whole clips (an encoder mixes frames) in

    classification     f_C
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from neurofocus.model.draws import Draws
from neurofocus.model.outputs import Decision, FocusOutput
from neurofocus.model.tsm_plus import TsmPlus
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.run import ObjectiveConfig
from neurofocus.training.cross_entropy import CrossEntropy
from neurofocus.training.policy_losses import (
    released_temporal_loss,
    size_regulariser,
    spatial_loss,
    temporal_loss,
)
from neurofocus.training.recognition_losses import Recognition, recognition_losses

__all__ = ["LossTerms", "training_loss"]

# The T0 frames, or of separate streams the candidates for focus and the glance frames.
Frames = Tensor | tuple[Tensor, Tensor]


@dataclass(frozen=True)
class LossTerms:
    """The objective of one batch; the terms are scalars as they enter the total, zero where switched off.

    Attributes:
        total: the sum of the terms below (Eq. 22).
        classification: cross-entropy of f_C over its exit steps, mean of the passes.
        global_auxiliary: cross-entropy of FC_G over glance frames; released, of clips: on their mean.
        local_auxiliary: the same of FC_L over focus frames, mean of the passes.
        spatial: cross-entropy of FC_Aux over glance frames, on features inside the boxes; released: on their mean.
        size: the size regulariser times its weight.
        temporal: expected loss of the sampled frames; released: loss of their expected logits.
        logits: f_C's predictions in the pass with the policy's boxes, detached, [B, E, K].
        decision: the policy's, detached; None without a policy.
    """

    total: Tensor
    classification: Tensor
    global_auxiliary: Tensor
    local_auxiliary: Tensor
    spatial: Tensor
    size: Tensor
    temporal: Tensor
    logits: Tensor
    decision: Decision | None


def training_loss(
    model: UniAdaFocus | TsmPlus,
    frames: Frames,
    labels: Tensor,
    *,
    objective: ObjectiveConfig,
    class_weights: Tensor | None,
    draws: Draws,
) -> LossTerms:
    """Run the model as in training and return the objective of one batch (Eq. 22).

    Of the baseline TSM+ that is recognition with auxiliary supervision (Eq. 11); what concerns the policy has no
    effect.

    Args:
        model: in training mode.
        frames: [B, T0, C, H, W]; of separate streams these candidates for focus and the glance frames,
            [B, T, C, H, W].
        labels: class indices, int64 [B].
        objective: which terms are on, and in which form.
        class_weights: [K], or None.
        draws: draws glance frames, focus frames, random boxes and Monte Carlo samples. Dropout is the only
            other randomness.
    """
    streams = frames if isinstance(frames, tuple) else (frames, frames)
    cross_entropy = CrossEntropy(labels, class_weights, objective.label_smoothing)
    if isinstance(model, TsmPlus):
        return _tsm_plus_loss(model, streams, cross_entropy, objective, draws)
    return _uni_adafocus_loss(model, streams, cross_entropy, objective, draws)


def _uni_adafocus_loss(
    model: UniAdaFocus,
    streams: tuple[Tensor, Tensor],
    cross_entropy: CrossEntropy,
    objective: ObjectiveConfig,
    draws: Draws,
) -> LossTerms:
    candidates, shown = streams
    released = objective.profile == "released"
    glance = model.glance(shown, draws=draws)
    decision = model.decide(
        glance,
        stop_gradient=objective.stop_gradient,
        temporal_gradient=released and not model.config.classifies_clips,
    )
    passes = _focus_passes(model, candidates, decision, objective, draws)
    features = glance.global_features, [focus.local_features for focus in passes]
    recognition = recognition_losses(model, *features, cross_entropy, objective)
    spatial = size = temporal = torch.zeros((), device=candidates.device)
    if model.temporal_policy is not None:
        temporal = _temporal(model, decision, recognition.global_logits, cross_entropy, objective, draws)
    if objective.policy_gradient == "features":
        spatial = spatial_loss(model, glance, decision, cross_entropy, of_clips=released)
    if model.config.patches.deformable:
        size = objective.size_weight * size_regulariser(decision)
    return _collect(recognition, spatial, size, temporal, decision=decision.detach())


def _tsm_plus_loss(
    model: TsmPlus,
    streams: tuple[Tensor, Tensor],
    cross_entropy: CrossEntropy,
    objective: ObjectiveConfig,
    draws: Draws,
) -> LossTerms:
    seen = model.encode(*streams, draws=draws)
    recognition = recognition_losses(
        model, seen.global_features, [seen.local_features], cross_entropy, objective
    )
    none = torch.zeros((), device=seen.global_features.device)
    return _collect(recognition, none, none, none, decision=None)


def _temporal(
    model: UniAdaFocus,
    decision: Decision,
    global_logits: Tensor,
    cross_entropy: CrossEntropy,
    objective: ObjectiveConfig,
    draws: Draws,
) -> Tensor:
    """Return Eq. 21 or, released, its stand-in; that one trains FC_G and f_G, too, where models see single frames."""
    samples = objective.num_mc_samples
    if objective.profile == "paper":
        return temporal_loss(model, decision, global_logits, cross_entropy, num_samples=samples, draws=draws)
    logits = global_logits.detach() if model.config.classifies_clips else global_logits
    return released_temporal_loss(decision, logits, cross_entropy, num_samples=samples, draws=draws)


def _collect(
    recognition: Recognition, spatial: Tensor, size: Tensor, temporal: Tensor, *, decision: Decision | None
) -> LossTerms:
    classification, global_auxiliary, local_auxiliary, logits, _ = recognition
    return LossTerms(
        total=classification + global_auxiliary + local_auxiliary + spatial + size + temporal,
        classification=classification,
        global_auxiliary=global_auxiliary,
        local_auxiliary=local_auxiliary,
        spatial=spatial,
        size=size,
        temporal=temporal,
        logits=logits.detach(),
        decision=decision,
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
    indices = model.select_frames(decision, draws=draws, stratified=objective.profile == "released")
    placed = decision if objective.policy_gradient == "pixels" else decision.detach()
    boxes = [model.place_boxes(placed, indices)]
    if objective.diversity:
        boxes.append(model.draw_boxes(indices, draws=draws))
    patches = [model.crop(frames, chosen, indices) for chosen in boxes]
    features = model.encode_patches(torch.cat(patches)).chunk(len(patches))
    return [FocusOutput(indices, *result) for result in zip(boxes, patches, features, strict=True)]
