"""Diagnostics against hand-computed boxes."""

import math

import pytest
import torch

from neurofocus.model.outputs import FocusOutput
from neurofocus.schema.model import PatchConfig
from neurofocus.training.diagnostics import diagnose_evidence, diagnose_policy

NAN = math.nan


def _focus(boxes: list[list[list[float]]], indices: list[list[int]]) -> FocusOutput:
    empty = torch.zeros(0)
    return FocusOutput(torch.tensor(indices), torch.tensor(boxes), empty, empty)


def test_sizes_saturation_and_entropy() -> None:
    focus = _focus(
        [[[50, 50, 20, 60], [50, 50, 40, 40]], [[50, 50, 59.9, 20.1], [50, 50, 60, 20]]], [[0, 1]] * 2
    )
    weights = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0]])
    seen = diagnose_policy(
        weights, focus.boxes, PatchConfig(min_fraction=0.2, max_fraction=0.6), frame_size=100
    )
    torch.testing.assert_close(seen.box_size, torch.tensor([0.4, 0.4]))
    torch.testing.assert_close(seen.saturated_sizes, torch.tensor([0.5, 1.0]))
    torch.testing.assert_close(seen.weight_entropy, torch.tensor([1.0, 0.5]))


@pytest.mark.parametrize(
    "patches",
    [
        PatchConfig(min_fraction=0.2, max_fraction=0.6, deformable=False),
        PatchConfig(min_fraction=0.4, max_fraction=0.4),
    ],
)
def test_sizes_that_cannot_change_are_not_saturated(patches: PatchConfig) -> None:
    focus = _focus([[[50, 50, 60, 60]]], [[0]])
    assert diagnose_policy(torch.ones(1, 1), focus.boxes, patches, frame_size=100).saturated_sizes.item() == 0


def test_hits_and_coverage() -> None:
    nothing = [NAN] * 4
    evidence = torch.tensor(
        [
            [nothing, [10.0, 10, 4, 4], [20.0, 10, 4, 8]],
            [nothing, nothing, [5.0, 5, 2, 2]],
        ]
    )
    focus = _focus(
        # frame 1: all of it; frame 2: the right half (x 20..24) and of that the lowest quarter (y 11..12)
        [[[10, 10, 8, 8], [24, 15, 8, 8]], [[5, 5, 9, 9], [5, 5, 9, 9]]],
        [[1, 2], [0, 1]],
    )
    seen = diagnose_evidence(focus, evidence)
    torch.testing.assert_close(seen.frame_hits, torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(seen.coverage, torch.tensor([(1 + 0.125) / 2, NAN]), equal_nan=True)
