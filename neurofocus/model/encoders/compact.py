"""A small encoder for small pictures: three convolutions, trained from nothing in seconds."""

from collections import OrderedDict
from typing import ClassVar

from torch import Tensor, nn

from neurofocus.model.encoders.protocol import Encoder, initialise_

__all__ = ["Compact"]

_CHANNELS = (24, 48, 96)
_STRIDES = (2, 2, 1)
_SMALLEST = 4


class Compact(Encoder):
    """Three 3x3 convolutions, each with batch normalisation and ReLU, for pictures of 32 to 96 pixels.

    The map has a cell for every 4 x 4 pixels, and a cell sees 15 x 15 of them. At width 1 it has 96 channels and
    takes 3.5 million multiply-adds for 32 x 32 pixels.

    Args:
        in_channels: channels of an image.
        width: multiplier of every channel count, rounded to a whole number, at least 4.
    """

    stem_key = "conv1.weight"
    head_prefixes = ("head.",)
    stride: ClassVar[int] = 4

    def __init__(self, in_channels: int = 3, *, width: float = 1.0) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = in_channels
        for number, (base, stride) in enumerate(zip(_CHANNELS, _STRIDES, strict=True), start=1):
            out_channels = max(_SMALLEST, round(base * width))
            layers[f"conv{number}"] = nn.Conv2d(channels, out_channels, 3, stride, padding=1, bias=False)
            layers[f"bn{number}"] = nn.BatchNorm2d(out_channels)
            layers[f"relu{number}"] = nn.ReLU(inplace=True)
            channels = out_channels
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.out_channels = channels
        initialise_(self)

    def forward(self, images: Tensor, num_frames: int = 1) -> Tensor:
        """Return the maps [N, D, h/4, w/4] (rounded up) of images [N, C, h, w]; each image by itself."""
        maps = images
        for layer in self.children():
            maps = layer(maps)
        return maps
