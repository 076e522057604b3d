"""A small encoder for small pictures: four convolutions, trained from nothing in seconds."""

from torch import Tensor, nn

from neurofocus.model.encoders.protocol import Encoder, initialise_

__all__ = ["Compact"]

# channels, kernel, stride
_LAYERS = ((24, 5, 2), (48, 3, 2), (96, 3, 2), (128, 3, 1))
_SMALLEST = 4


class Compact(Encoder):
    """Four convolutions, each with batch normalisation and ReLU, for pictures of 32 to 96 pixels.

    The map has a cell for every 8 x 8 pixels, and a cell sees 33 x 33 of them: enough to tell shapes apart after
    the map is averaged. At width 1 it has 128 channels and takes 3.6 million multiply-adds for 32 x 32 pixels.

    Args:
        in_channels: channels of an image.
        width: multiplier of every channel count, rounded to a whole number, at least 4.
    """

    stem_key = "conv1.weight"
    head_prefixes = ("head.",)
    stride = 8

    def __init__(self, in_channels: int = 3, *, width: float = 1.0) -> None:
        super().__init__()
        channels = in_channels
        for number, (base, kernel, stride) in enumerate(_LAYERS, start=1):
            out_channels = max(_SMALLEST, round(base * width))
            convolution = nn.Conv2d(channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
            self.add_module(f"conv{number}", convolution)
            self.add_module(f"bn{number}", nn.BatchNorm2d(out_channels))
            self.add_module(f"relu{number}", nn.ReLU(inplace=True))
            channels = out_channels
        self.out_channels = channels
        initialise_(self)

    def forward(self, images: Tensor, num_frames: int = 1) -> Tensor:
        """Return the maps [N, D, h/8, w/8] (rounded up) of images [N, C, h, w]; each image by itself."""
        maps = images
        for layer in self.children():
            maps = layer(maps)
        return maps
