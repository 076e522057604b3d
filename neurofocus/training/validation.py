"""How good an epoch is, measured on the inner validation part."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["ValidationScores", "class_weights", "validation_scores"]


@dataclass(frozen=True)
class ValidationScores:
    """Scores of one epoch; a score that the cases do not define is None.

    Attributes:
        loss: cross-entropy of the last step, weighted like the training loss.
        balanced_accuracy: mean recall of the classes present, at the largest probability.
        roc_auc: of the positive class, or the mean of one class against the rest.
    """

    loss: float
    balanced_accuracy: float
    roc_auc: float | None


def class_weights(labels: list[int], num_classes: int) -> Tensor:
    """Return weights [K] that give every class the same share: N / (K n_k); 0 for an absent class."""
    counts = torch.bincount(torch.tensor(labels, dtype=torch.int64), minlength=num_classes).double()
    weights = torch.where(counts > 0, len(labels) / (num_classes * counts.clamp(min=1)), 0.0)
    return weights.float()


def validation_scores(logits: Tensor, labels: list[int], weights: Tensor | None) -> ValidationScores:
    """Score logits float64 [N, K] against labels [N].

    Args:
        logits: of the last step.
        labels: class numbers.
        weights: of the classes [K] in the loss; None: all 1.
    """
    from sklearn.metrics import recall_score, roc_auc_score

    targets = torch.tensor(labels, dtype=torch.int64)
    loss = functional.cross_entropy(
        logits, targets, weight=None if weights is None else weights.cpu().double()
    )
    present = sorted(set(labels))
    predicted = logits.argmax(-1).tolist()
    recall = recall_score(labels, predicted, labels=present, average="macro", zero_division=0)
    auc: float | None = None
    num_classes = logits.shape[-1]
    if len(present) == num_classes and bool(torch.isfinite(logits).all()):
        scores = logits.softmax(-1).numpy()
        shown = scores[:, 1] if num_classes == 2 else scores
        auc = float(roc_auc_score(labels, shown, multi_class="ovr"))
    return ValidationScores(float(loss), float(recall), auc)
