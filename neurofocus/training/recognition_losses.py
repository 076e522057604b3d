"""What encoders and classifiers learn from: f_C and the auxiliary heads (Eq. 10 to 12)."""

from typing import NamedTuple

import torch
from torch import Tensor

from neurofocus.model.tsm_plus import TsmPlus
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.run import ObjectiveConfig
from neurofocus.training.cross_entropy import CrossEntropy

__all__ = ["Recognition", "recognition_losses"]


class Recognition(NamedTuple):
    """The terms of Eq. 11 and 12, f_C's logits of the first pass and FC_G's of every glance frame."""

    classification: Tensor
    global_auxiliary: Tensor
    local_auxiliary: Tensor
    logits: Tensor
    global_logits: Tensor


def recognition_losses(
    model: UniAdaFocus | TsmPlus,
    global_features: Tensor,
    local_features: list[Tensor],
    cross_entropy: CrossEntropy,
    objective: ObjectiveConfig,
) -> Recognition:
    """Return the losses of f_C, FC_G and FC_L.

    The released code of clip models trains f_C on constant features, and FC_G and FC_L by the mean of a clip's
    logits. FC_G is needed by the temporal loss and by the exit after the glance even without auxiliary
    supervision; then it learns on constant features.

    Args:
        model: gives the classifier and the heads.
        global_features: [B, T, D].
        local_features: of every pass, [B, F, D'].
        cross_entropy: the loss.
        objective: which terms are on, and in which form.
    """
    released = objective.profile == "released" and model.classifier.of_clips

    def constant(features: Tensor) -> Tensor:
        return features.detach() if released else features

    def consensus(logits: Tensor) -> Tensor:
        return logits.mean(1, keepdim=True) if released else logits

    logits = [model.classifier(constant(global_features), constant(local)) for local in local_features]
    none = torch.zeros((), device=global_features.device)
    global_auxiliary = local_auxiliary = none
    # FC_L before FC_G: the order in which dropout drew when the shipped models were trained.
    if objective.auxiliary:
        local_auxiliary = cross_entropy.mean_of(
            [consensus(model.local_head(local)) for local in local_features]
        )
    global_logits = model.global_head(global_features if objective.auxiliary else global_features.detach())
    if objective.auxiliary or model.needs_global_head:
        global_auxiliary = cross_entropy(consensus(global_logits))
    classification = cross_entropy.mean_of(logits)
    return Recognition(classification, global_auxiliary, local_auxiliary, logits[0], global_logits)
