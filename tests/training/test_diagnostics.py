"""Diagnostics of the policy by hand."""

import math

import pytest
import torch

from neurofocus.model.outputs import Decision
from neurofocus.training.diagnostics import policy_diagnostics


def test_by_hand() -> None:
    actions = torch.tensor([[[0.5, 0.5, 0.0, 0.5], [0.5, 0.5, 0.99, 0.06]]])
    boxes = torch.tensor([[[50.0, 50.0, 20.0, 40.0], [50.0, 50.0, 100.0, 40.0]]])
    weights = torch.tensor([[0.75, 0.25]])
    found = policy_diagnostics(Decision(actions, boxes, weights), 100)
    nats = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert found == {
        "box_side": pytest.approx(0.5),
        "box_saturated": 0.5,
        "frame_entropy": pytest.approx(nats / math.log(2)),
    }


def test_equal_weights_one_sided_weights_and_no_policy() -> None:
    half = torch.full((2, 4, 4), 0.5)
    even, certain = torch.full((2, 4), 0.25), torch.eye(4)[:2]
    assert policy_diagnostics(Decision(half, half, even), 1)["frame_entropy"] == pytest.approx(1)
    assert policy_diagnostics(Decision(half, half, certain), 1)["frame_entropy"] == 0
    assert policy_diagnostics(Decision(half[:, :1], half[:, :1], even[:, :1]), 1)["frame_entropy"] == 1
    assert policy_diagnostics(None, 1) == {}
