"""What every 2-D encoder promises, so that f_G and f_L can be any of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

__all__ = ["Encoder", "initialise_"]


class Encoder(nn.Module, ABC):
    """Images in, a feature map out.

    Attributes:
        out_channels: D, the channels of the feature map.
        stride: pixels of an image a cell of the map, each side.
        stem_key: the name of the first convolution's weight.
        head_prefixes: names that an ImageNet state has and a feature extractor drops.
    """

    out_channels: int
    stride: ClassVar[int] = 32
    stem_key: ClassVar[str]
    head_prefixes: ClassVar[tuple[str, ...]]

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Return the maps [N, D, h/32, w/32] (rounded up) of images [N, C, h, w]."""

    @classmethod
    def translate(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return an ImageNet state under this encoder's names; most files need no translation."""
        return dict(state)


def initialise_(module: nn.Module) -> None:
    """Draw convolutions as He et al. 2015 (fan out) and set batch normalisations to the identity, in place."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
