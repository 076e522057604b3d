"""Flat convolutions against torch's own 3-D kernel: values, gradients and counted cost."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from neurofocus.model.encoders.clip_convolutions import FrameConv3d, PointwiseConv3d, TemporalConv3d

LAYERS = [
    PointwiseConv3d(6, 10, 1),
    PointwiseConv3d(6, 10, 1, (1, 2, 2), bias=False),
    FrameConv3d(6, 4, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False),
    FrameConv3d(6, 4, (1, 3, 5), padding=(0, 1, 2)),
    TemporalConv3d(6, 6, (5, 1, 1), padding=(2, 0, 0), groups=6, bias=False),
    TemporalConv3d(6, 6, (3, 1, 1), padding=(1, 0, 0), groups=6),
]
ORDERS = [torch.contiguous_format, torch.channels_last_3d]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("order", ORDERS)
def test_computes_what_a_conv3d_computes(layer: nn.Conv3d, order: torch.memory_format) -> None:
    torch.manual_seed(0)
    clips = torch.randn(2, 6, 5, 9, 8).contiguous(memory_format=order).requires_grad_()
    parameters = [clips, *layer.parameters()]
    seen, expected = layer(clips), nn.Conv3d.forward(layer, clips)
    torch.testing.assert_close(seen, expected)
    weights = torch.randn_like(expected)
    gradients = torch.autograd.grad((seen * weights).sum(), parameters)
    for one, other in zip(
        gradients, torch.autograd.grad((expected * weights).sum(), parameters), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", LAYERS)
def test_costs_what_a_conv3d_costs(layer: nn.Conv3d) -> None:
    clips = torch.randn(1, 6, 4, 8, 8)
    counts = []
    for call in (layer.forward, lambda clips: nn.Conv3d.forward(layer, clips)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            call(clips)
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0
