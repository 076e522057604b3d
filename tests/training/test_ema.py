"""The moving average of the weights, by hand."""

import pytest
import torch
from torch import nn

from neurofocus.training.ema import WeightAverage


def test_average_by_hand() -> None:
    model = nn.BatchNorm1d(1)
    average = WeightAverage(model, decay=0.25)
    expected = 1.0
    for update, value in enumerate((2.0, 5.0, 3.0), start=1):
        nn.init.constant_(model.weight, value)
        average.update(model)
        decay = min(0.25, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * value
    assert average.weights["weight"].item() == pytest.approx(expected, rel=1e-6)
    assert average.updates == 3


def test_running_statistics_are_averaged_and_counters_copied() -> None:
    model = nn.BatchNorm1d(1)
    average = WeightAverage(model, decay=0.99)
    model.train()(torch.randn(8, 1, generator=torch.Generator().manual_seed(0)) + 4)
    average.update(model)
    assert average.weights["running_mean"].item() == pytest.approx((1 - 2 / 11) * model.running_mean.item())
    assert average.weights["num_batches_tracked"].item() == 1


def test_average_does_not_share_memory_with_the_model() -> None:
    model = nn.Linear(2, 2)
    average = WeightAverage(model, decay=0.9)
    before = average.weights["weight"].clone()
    nn.init.constant_(model.weight, 7.0)
    assert torch.equal(average.weights["weight"], before)
