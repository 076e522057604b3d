"""From an encoder's configuration to the encoder, with its ImageNet weights when asked for."""

from collections.abc import Callable

from neurofocus.errors import ConfigError
from neurofocus.model.encoders.compact import Compact
from neurofocus.model.encoders.efficientnet_lite import EfficientNetLite0
from neurofocus.model.encoders.mobilenet import MobileNetV2
from neurofocus.model.encoders.protocol import Encoder
from neurofocus.model.encoders.resnet import ResNet
from neurofocus.model.encoders.weights import load_initial_weights
from neurofocus.schema.model import EncoderConfig, EncoderName

__all__ = ["build_encoder"]


def _efficientnet_lite0(in_channels: int, width: float) -> Encoder:
    if width != 1:
        raise ConfigError(
            f"width {width:g} of encoder 'efficientnet_lite0' is not available; "
            "set width to 1 or choose mobilenet_v2 or a resnet"
        )
    return EfficientNetLite0(in_channels)


_ENCODERS: dict[EncoderName, Callable[[int, float], Encoder]] = {
    "mobilenet_v2": lambda in_channels, width: MobileNetV2(in_channels, width=width),
    "resnet18": lambda in_channels, width: ResNet(in_channels, depth=18, width=width),
    "resnet34": lambda in_channels, width: ResNet(in_channels, depth=34, width=width),
    "resnet50": lambda in_channels, width: ResNet(in_channels, depth=50, width=width),
    "compact": lambda in_channels, width: Compact(in_channels, width=width),
    "efficientnet_lite0": _efficientnet_lite0,
}


def build_encoder(config: EncoderConfig, in_channels: int) -> Encoder:
    """Return the encoder that ``config`` names, for images of ``in_channels`` channels.

    Without configured weights its parameters are random, from torch's global generator.

    Raises:
        ConfigError: if the encoder does not come in the configured width, or its weights' source is
            not acceptable.
        BundleError: if the weight file is missing, damaged or of another network.
    """
    encoder = _ENCODERS[config.name](in_channels, config.width)
    if config.weights is not None:
        load_initial_weights(encoder, config)
    return encoder
