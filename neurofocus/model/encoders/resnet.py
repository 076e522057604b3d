"""ResNet-18, -34 and -50 (He et al. 2016) as feature extractors under torchvision's names.

The stride of a bottleneck sits on its 3x3 convolution, as in torchvision ("ResNet v1.5") and in the
released Uni-AdaFocus checkpoints.
"""

import re
from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from neurofocus.model.encoders.protocol import Encoder, initialise_
from neurofocus.model.encoders.temporal_shift import from_shift_names, temporal_shift

__all__ = ["ResNet"]

_STAGE_CHANNELS = (64, 128, 256, 512)
_REPEATS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
_SMALLEST = 4

# MMAction2 pairs each convolution with its normalisation.
_PAIRED_NAMES = (
    (re.compile(r"^backbone\."), ""),
    (re.compile(r"\bconv(\d)\.conv\."), r"conv\1."),
    (re.compile(r"\bconv(\d)\.bn\."), r"bn\1."),
    (re.compile(r"\bdownsample\.conv\."), "downsample.0."),
    (re.compile(r"\bdownsample\.bn\."), "downsample.1."),
)


class ResNet(Encoder):
    """Residual network without its classifier.

    Args:
        in_channels: channels of an image.
        depth: the published variant.
        width: multiplier of every channel count, rounded to a whole number, at least 4.
        shift: whether every block looks at the neighbouring frames (TSM), before its first convolution.
    """

    stem_key = "conv1.weight"
    head_prefixes = ("fc.", "new_fc.", "cls_head.")

    def __init__(
        self, in_channels: int = 3, *, depth: Literal[18, 34, 50], width: float = 1.0, shift: bool = False
    ) -> None:
        super().__init__()
        self.mixes_frames = shift
        stages = [max(_SMALLEST, round(channels * width)) for channels in _STAGE_CHANNELS]
        block = _Bottleneck if depth == 50 else _BasicBlock
        channels = stages[0]
        self.conv1 = nn.Conv2d(in_channels, channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        layers = []
        for index, (inner, repeats) in enumerate(zip(stages, _REPEATS[depth], strict=True)):
            blocks = []
            for repeat in range(repeats):
                stride = 2 if index > 0 and repeat == 0 else 1
                blocks.append(block(channels, inner, stride=stride, shift=shift))
                channels = inner * block.expansion
            layers.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.out_channels = channels
        initialise_(self)

    def forward(self, images: Tensor, num_frames: int = 1) -> Tensor:
        """Return the maps [N, D, h/32, w/32] of images [N, C, h, w]."""
        maps: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in layer:
                maps = block(maps, num_frames)
        return maps

    def recomputable(self) -> list[nn.Module]:
        """Return the first two stages: two thirds of what training holds, two fifths of the multiply-adds."""
        return [*self.layer1, *self.layer2]

    @classmethod
    def translate(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Accept the names of the TSM authors and of MMAction2 as well as torchvision's."""
        return {_torchvision_name(name): tensor for name, tensor in from_shift_names(state).items()}


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, inner: int, *, stride: int, shift: bool) -> None:
        super().__init__()
        self.shift = shift
        self.conv1 = nn.Conv2d(in_channels, inner, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, inner * self.expansion, stride)

    def forward(self, maps: Tensor, num_frames: int) -> Tensor:
        """Return the block's output [N, inner, h/stride, w/stride]."""
        residual = maps if self.downsample is None else self.downsample(maps)
        shifted = temporal_shift(maps, num_frames) if self.shift else maps
        result = self.relu(self.bn1(self.conv1(shifted)))
        result = self.bn2(self.conv2(result))
        output: Tensor = self.relu(result + residual)
        return output


class _Bottleneck(nn.Module):
    """1x1 reduce, 3x3 (with the stride), 1x1 expand, and a shortcut."""

    expansion = 4

    def __init__(self, in_channels: int, inner: int, *, stride: int, shift: bool) -> None:
        super().__init__()
        self.shift = shift
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, inner * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(inner * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, inner * self.expansion, stride)

    def forward(self, maps: Tensor, num_frames: int) -> Tensor:
        """Return the block's output [N, 4 * inner, h/stride, w/stride]."""
        residual = maps if self.downsample is None else self.downsample(maps)
        shifted = temporal_shift(maps, num_frames) if self.shift else maps
        result = self.relu(self.bn1(self.conv1(shifted)))
        result = self.relu(self.bn2(self.conv2(result)))
        result = self.bn3(self.conv3(result))
        output: Tensor = self.relu(result + residual)
        return output


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


def _torchvision_name(name: str) -> str:
    for pattern, replacement in _PAIRED_NAMES:
        name = pattern.sub(replacement, name)
    return name
