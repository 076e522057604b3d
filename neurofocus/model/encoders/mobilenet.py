"""MobileNetV2 (Sandler et al. 2018) as a feature extractor under torchvision's names."""

import re
from collections.abc import Mapping

from torch import Tensor, nn

from neurofocus.model.encoders.protocol import Encoder, initialise_
from neurofocus.model.encoders.temporal_shift import from_shift_names, temporal_shift

__all__ = ["MobileNetV2", "from_flat_names", "make_divisible", "to_flat_names"]

# Table 2 of the paper: expansion, output channels, repeats, stride of the first repeat.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)

# The released checkpoints and many ImageNet files list a block's layers flat (with the activations
# counted); torchvision nests each convolution with its normalisation.
_FLAT_FIRST = {"0": "0.0", "1": "0.1", "3": "1", "4": "2"}
_FLAT_BLOCK = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"}
_FLAT_NAME = re.compile(r"features\.(\d+)\.conv\.(\d+)\.(\w+)$")
_NESTED_NAME = re.compile(r"features\.(\d+)\.conv\.(\d+(?:\.\d+)?)\.([a-z]\w*)$")


class MobileNetV2(Encoder):
    """Inverted residuals with linear bottlenecks.

    Args:
        in_channels: channels of an image.
        width: multiplier of every channel count but the last, which never shrinks below 1280.
        shift: whether the blocks with an expansion and a skip connection (10 of 17) look at the neighbouring
            frames (TSM), before their first 1x1 convolution.
    """

    stem_key = "features.0.0.weight"
    head_prefixes = ("classifier.", "new_fc.")

    def __init__(self, in_channels: int = 3, *, width: float = 1.0, shift: bool = False) -> None:
        super().__init__()
        self.mixes_frames = shift
        channels = make_divisible(32 * width)
        self.out_channels = make_divisible(1280 * max(1.0, width))
        layers: list[nn.Module] = [_conv_unit(in_channels, channels, kernel=3, stride=2)]
        for expansion, stage_channels, repeats, first_stride in _STAGES:
            out_channels = make_divisible(stage_channels * width)
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                block = _InvertedResidual(channels, out_channels, stride=stride, expansion=expansion)
                block.shift = shift and block.skip and expansion != 1
                layers.append(block)
                channels = out_channels
        layers.append(_conv_unit(channels, self.out_channels, kernel=1))
        self.features = nn.Sequential(*layers)
        initialise_(self)

    def forward(self, images: Tensor, num_frames: int = 1) -> Tensor:
        """Return the maps [N, D, h/32, w/32] of images [N, C, h, w]."""
        maps = images
        for layer in self.features:
            maps = layer(maps, num_frames) if isinstance(layer, _InvertedResidual) else layer(maps)
        return maps

    def recomputable(self) -> list[nn.Module]:
        """Return all layers: most are wide inside and narrow between them."""
        return list(self.features)

    @classmethod
    def translate(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Accept the flat layout and the TSM authors' as well as torchvision's."""
        state = from_shift_names(state)
        # Block 1 has no index 4 in torchvision's layout.
        return from_flat_names(state) if "features.1.conv.4.weight" in state else state


class _InvertedResidual(nn.Module):
    """Expand 1x1, filter 3x3 a channel, project 1x1 without activation; skip where shapes allow."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(_conv_unit(in_channels, hidden, kernel=1))
        layers += [
            _conv_unit(hidden, hidden, kernel=3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        ]
        self.conv = nn.Sequential(*layers)
        self.skip = stride == 1 and in_channels == out_channels
        self.shift = False

    def forward(self, maps: Tensor, num_frames: int = 1) -> Tensor:
        """Return the block's output [N, out, h/stride, w/stride]."""
        result: Tensor = self.conv(temporal_shift(maps, num_frames) if self.shift else maps)
        return maps + result if self.skip else result


def _conv_unit(
    in_channels: int, out_channels: int, *, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    padding = (kernel - 1) // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round to a multiple of ``divisor`` without losing more than a tenth (TensorFlow's rule)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def from_flat_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename ``features.N.conv.{0,1,3,4,6,7}`` to torchvision's names; other names pass unchanged."""
    return {_rename(name, _FLAT_NAME, _FLAT_FIRST, _FLAT_BLOCK): tensor for name, tensor in state.items()}


def to_flat_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo ``from_flat_names``."""
    first = {nested: flat for flat, nested in _FLAT_FIRST.items()}
    block = {nested: flat for flat, nested in _FLAT_BLOCK.items()}
    return {_rename(name, _NESTED_NAME, first, block): tensor for name, tensor in state.items()}


def _rename(name: str, pattern: re.Pattern[str], first: dict[str, str], block: dict[str, str]) -> str:
    match = pattern.match(name)
    if match is None:
        return name
    index, layer, leaf = match.groups()
    layers = first if index == "1" else block
    return f"features.{index}.conv.{layers[layer]}.{leaf}" if layer in layers else name
