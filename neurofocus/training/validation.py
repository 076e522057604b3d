"""How good an epoch is, measured on the inner validation part."""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["class_measures", "class_weights", "validation_loss"]


def class_weights(labels: list[int], num_classes: int) -> Tensor:
    """Return weights [K] that give every class the same share: N / (K n_k); 0 for an absent class."""
    counts = torch.bincount(torch.tensor(labels, dtype=torch.int64), minlength=num_classes).double()
    weights = torch.where(counts > 0, len(labels) / (num_classes * counts.clamp(min=1)), 0.0)
    return weights.float()


def validation_loss(logits: Tensor, labels: list[int], weights: Tensor | None) -> float:
    """Return the cross-entropy of logits float64 [N, K] against labels [N], weighted like the training loss.

    Args:
        logits: of the last step.
        labels: class numbers.
        weights: of the classes [K] in the loss; None: all 1.
    """
    targets = torch.tensor(labels, dtype=torch.int64)
    shares = None if weights is None else weights.cpu().double()
    return float(functional.cross_entropy(logits, targets, weight=shares))


def class_measures(logits: Tensor, labels: list[int]) -> dict[str, float | None]:
    """Return balanced accuracy and ROC-AUC of logits float64 [N, K] against labels [N].

    Balanced accuracy is the mean recall of the classes present, at the largest probability. ROC-AUC is that of
    the positive class, or the mean of one class against the rest; None where the cases do not define it.
    """
    from sklearn.metrics import recall_score, roc_auc_score

    present = sorted(set(labels))
    predicted = logits.argmax(-1).tolist()
    recall = recall_score(labels, predicted, labels=present, average="macro", zero_division=0)
    auc: float | None = None
    num_classes = logits.shape[-1]
    if len(present) == num_classes and bool(torch.isfinite(logits).all()):
        scores = logits.softmax(-1).numpy()
        shown = scores[:, 1] if num_classes == 2 else scores
        auc = float(roc_auc_score(labels, shown, multi_class="ovr"))
    return {"balanced_accuracy": float(recall), "roc_auc": auc}
