"""What every encoder promises, so that f_G and f_L can be any of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

__all__ = ["Encoder", "initialise_"]


class Encoder(nn.Module, ABC):
    """Images in, one feature map an image out; frames of one clip may look at each other on the way.

    Attributes:
        out_channels: D, the channels of the feature map.
        stride: pixels of an image a cell of the map, each side.
        mixes_frames: whether a frame's map depends on the other frames of its clip.
        stem_key: the name of the first convolution's weight.
        head_prefixes: names that an ImageNet state has and a feature extractor drops.
    """

    out_channels: int
    stride: int = 32
    mixes_frames: bool = False
    stem_key: ClassVar[str]
    head_prefixes: ClassVar[tuple[str, ...]]

    @abstractmethod
    def forward(self, images: Tensor, num_frames: int = 1) -> Tensor:
        """Return the maps [N, D, h/stride, w/stride] (rounded up) of images [N, C, h, w].

        Args:
            images: the frames of clip after clip.
            num_frames: of a clip, a divisor of N; encoders that look at single frames do without it.
        """

    def recomputable(self) -> list[nn.Module]:
        """Return blocks that hold much for what they cost: training may forget their inside and compute it again."""
        return []

    @classmethod
    def translate(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return an ImageNet state under this encoder's names; most files need no translation."""
        return dict(state)


def initialise_(module: nn.Module) -> None:
    """Draw convolutions as He et al. 2015 (fan out) and set batch normalisations to the identity, in place."""
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Conv3d)):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, (nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
