"""The compact encoder: its promised scale, size and field of view."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from neurofocus.model.encoders.compact import Compact


@pytest.mark.parametrize(("side", "cells"), [(32, 4), (33, 5), (48, 6), (96, 12)])
@pytest.mark.parametrize("in_channels", [1, 3])
def test_a_cell_of_the_map_is_eight_pixels(side: int, cells: int, in_channels: int) -> None:
    encoder = Compact(in_channels)
    maps = encoder(torch.randn(2, in_channels, side, side))
    assert maps.shape == (2, encoder.out_channels, cells, cells)
    assert encoder.stride == 8 and -(-side // encoder.stride) == cells
    assert encoder.get_parameter(encoder.stem_key).shape[1] == in_channels


def test_cost_is_the_promised_one() -> None:
    encoder = Compact().eval()
    with FlopCounterMode(display=False) as counter:
        encoder(torch.zeros(1, 3, 32, 32))
    by_hand = 256 * 75 * 24 + 64 * 9 * 24 * 48 + 16 * 9 * 48 * 96 + 16 * 9 * 96 * 128
    assert counter.get_total_flops() == 2 * by_hand
    assert by_hand / 1e6 == pytest.approx(3.6, abs=0.05)


def test_width_multiplies_channels() -> None:
    assert Compact(width=0.5).out_channels == 64
    assert Compact(width=0.01).out_channels == 4


def test_a_cell_sees_thirty_three_pixels_and_every_image_by_itself() -> None:
    encoder = Compact(1).eval()
    images = torch.zeros(2, 1, 96, 96)
    images.requires_grad_()
    torch.manual_seed(0)
    encoder(images + torch.rand(images.shape))[0, :, 6, 6].sum().backward()
    assert images.grad is not None
    touched = images.grad.abs().sum(1) > 0
    assert not touched[1].any()
    rows, columns = touched[0].any(1).nonzero().flatten(), touched[0].any(0).nonzero().flatten()
    for seen in (rows, columns):
        assert seen[-1] - seen[0] + 1 == 33


def test_the_number_of_frames_changes_nothing() -> None:
    encoder = Compact().eval()
    images = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(encoder(images, 4), encoder(images, 1))
