"""Cross-entropy of a batch, weighted by class where the run says so."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["CrossEntropy"]


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy against the case's label, averaged over cases and steps.

    With class weights the mean is weighted by the case's class, as in torch's ``cross_entropy``.

    Attributes:
        labels: class indices, int64 [B].
        class_weights: [K], or None.
        smoothing: of the labels.
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
