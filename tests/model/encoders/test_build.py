"""Every configured encoder is built, at the promised scale, and refuses what it cannot be."""

from typing import get_args

import pytest
import torch

from neurofocus.errors import ConfigError
from neurofocus.model.encoders.build import build_encoder
from neurofocus.schema.model import EncoderConfig, EncoderName


@pytest.mark.parametrize("name", get_args(EncoderName))
@pytest.mark.parametrize("in_channels", [1, 3])
def test_every_name_gives_maps_at_its_stride(name: EncoderName, in_channels: int) -> None:
    encoder = build_encoder(EncoderConfig(name=name), in_channels).eval()
    with torch.no_grad():
        maps = encoder(torch.randn(2, in_channels, 64, 96))
    assert maps.shape == (2, encoder.out_channels, 64 // encoder.stride, 96 // encoder.stride)
    assert encoder.get_parameter(encoder.stem_key).shape[1] == in_channels


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
def test_width_reaches_the_encoder(name: EncoderName) -> None:
    full = build_encoder(EncoderConfig(name=name), 3)
    half = build_encoder(EncoderConfig(name=name, width=0.5), 3)
    assert half.get_parameter(half.stem_key).shape[0] * 2 == full.get_parameter(full.stem_key).shape[0]


def test_lite0_has_one_width() -> None:
    with pytest.raises(ConfigError, match=r"width 0\.5 of encoder 'efficientnet_lite0'"):
        build_encoder(EncoderConfig(name="efficientnet_lite0", width=0.5), 3)


def test_a_fresh_encoder_keeps_the_scale_of_its_input() -> None:
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name="resnet18"), 3)
    maps = encoder(torch.randn(4, 3, 64, 64))
    assert 0.1 < maps.std() < 10
