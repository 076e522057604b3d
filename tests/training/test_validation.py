"""Validation scores against scikit-learn and by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score
from sklearn.utils.class_weight import compute_class_weight

from neurofocus.training.validation import class_measures, class_weights, validation_loss


@pytest.mark.parametrize("num_classes", [2, 3])
def test_scores_agree_with_scikit_learn(num_classes: int) -> None:
    generator = torch.Generator().manual_seed(num_classes)
    logits = torch.randn(40, num_classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(num_classes, (40,), generator=generator).tolist()
    probabilities = logits.softmax(-1).numpy()
    assert validation_loss(logits, labels, None) == pytest.approx(log_loss(labels, probabilities))
    measures = class_measures(logits, labels)
    assert measures["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(labels, probabilities.argmax(1))
    )
    shown = probabilities[:, 1] if num_classes == 2 else probabilities
    assert measures["roc_auc"] == pytest.approx(roc_auc_score(labels, shown, multi_class="ovr"))


def test_weighted_loss_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    losses = [np.log(1 + np.exp(-2)), np.log(1 + np.exp(-1)), np.log(2)]
    loss = validation_loss(logits, [0, 1, 0], torch.tensor([0.75, 1.5]))
    assert loss == pytest.approx((0.75 * losses[0] + 1.5 * losses[1] + 0.75 * losses[2]) / 3)


def test_one_class_has_no_auc() -> None:
    measures = class_measures(torch.zeros(3, 2, dtype=torch.float64), [1, 1, 1])
    assert measures == {"balanced_accuracy": 0, "roc_auc": None}


def test_class_weights_agree_with_scikit_learn() -> None:
    labels = [0, 0, 0, 1, 2, 2]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert class_weights(labels, 3).tolist() == pytest.approx(expected)
    assert class_weights([0, 0], 2).tolist() == [0.5, 0.0]
