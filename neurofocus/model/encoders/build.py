"""From an encoder's configuration to the encoder, with its ImageNet weights when asked for."""

from collections.abc import Callable
from typing import Literal

from neurofocus.errors import ConfigError
from neurofocus.model.encoders.compact import Compact
from neurofocus.model.encoders.efficientnet_lite import EfficientNetLite0
from neurofocus.model.encoders.mobilenet import MobileNetV2
from neurofocus.model.encoders.protocol import Encoder
from neurofocus.model.encoders.resnet import ResNet
from neurofocus.model.encoders.weights import load_initial_weights
from neurofocus.model.encoders.x3d import X3D
from neurofocus.schema.model import EncoderConfig, EncoderName

__all__ = ["build_encoder"]


def _mobilenet_v2(in_channels: int, config: EncoderConfig) -> Encoder:
    return MobileNetV2(in_channels, width=config.width, shift=config.temporal_shift)


def _resnet(depth: Literal[18, 34, 50]) -> Callable[[int, EncoderConfig], Encoder]:
    def build(in_channels: int, config: EncoderConfig) -> Encoder:
        return ResNet(in_channels, depth=depth, width=config.width, shift=config.temporal_shift)

    return build


def _x3d(variant: Literal["s", "m", "l"]) -> Callable[[int, EncoderConfig], Encoder]:
    def build(in_channels: int, config: EncoderConfig) -> Encoder:
        return X3D(in_channels, variant=variant, width=config.width)

    return build


def _efficientnet_lite0(in_channels: int, config: EncoderConfig) -> Encoder:
    if config.width != 1:
        raise ConfigError(
            f"width {config.width:g} of encoder 'efficientnet_lite0' is not available; "
            "set width to 1 or choose mobilenet_v2 or a resnet"
        )
    return EfficientNetLite0(in_channels)


_ENCODERS: dict[EncoderName, Callable[[int, EncoderConfig], Encoder]] = {
    "mobilenet_v2": _mobilenet_v2,
    "resnet18": _resnet(18),
    "resnet34": _resnet(34),
    "resnet50": _resnet(50),
    "compact": lambda in_channels, config: Compact(in_channels, width=config.width),
    "efficientnet_lite0": _efficientnet_lite0,
    "x3d_s": _x3d("s"),
    "x3d_m": _x3d("m"),
    "x3d_l": _x3d("l"),
}


def build_encoder(config: EncoderConfig, in_channels: int) -> Encoder:
    """Return the encoder that ``config`` names, for images of ``in_channels`` channels.

    Without configured weights its parameters are random, from torch's global generator.

    Raises:
        ConfigError: if the encoder does not come in the configured width, or its weights' source is
            not acceptable.
        BundleError: if the weight file is missing, damaged or of another network.
    """
    encoder = _ENCODERS[config.name](in_channels, config)
    if config.weights is not None:
        load_initial_weights(encoder, config)
    return encoder
