"""X3D (Feichtenhofer 2020) as a feature extractor: S, M and L, under SlowFast's names.

Every stage halves the sides of the maps and none skips a frame, so each frame keeps a map of its own that
knows its neighbours. SlowFast normalises the very first shortcut and pytorchvideo does not; here it is not, and
SlowFast's normalisation is folded into the weights beside it when they are loaded (`x3d_names`).
"""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from neurofocus.model.encoders.clip_convolutions import FrameConv3d, PointwiseConv3d, TemporalConv3d
from neurofocus.model.encoders.mobilenet import make_divisible
from neurofocus.model.encoders.protocol import Encoder, initialise_
from neurofocus.model.encoders.x3d_names import to_our_names

__all__ = ["X3D"]

_STAGE_CHANNELS = (24, 48, 96, 192)
# Blocks a stage: the basis 1, 2, 5, 3 times the depth factor 2.2 (S, M) or 5.0 (L), rounded up.
_REPEATS = {"s": (3, 5, 11, 7), "m": (3, 5, 11, 7), "l": (5, 10, 25, 15)}
_BOTTLENECK = 2.25
_SQUEEZE = 16


class X3D(Encoder):
    """Residual network of depthwise 3x3x3 convolutions, up to conv_5 with its normalisation and ReLU.

    S and M are the same network; their published inputs differ (13 frames of 160, 16 of 224 pixels).

    Args:
        in_channels: channels of an image.
        variant: the published depth.
        width: multiplier of every channel count, rounded to a multiple of 8; 1.45 makes L the published XL.
    """

    mixes_frames = True
    stem_key = "s1.pathway0_stem.conv_xy.weight"
    head_prefixes = ("head.lin_5.", "head.projection.")

    def __init__(self, in_channels: int = 3, *, variant: Literal["s", "m", "l"], width: float = 1.0) -> None:
        super().__init__()
        dims = [make_divisible(channels * width) for channels in _STAGE_CHANNELS]
        self.s1 = nn.ModuleDict({"pathway0_stem": _Stem(in_channels, dims[0])})
        stages = []
        channels = dims[0]
        for dim, repeats in zip(dims, _REPEATS[variant], strict=True):
            blocks = {}
            for index in range(repeats):
                blocks[f"pathway0_res{index}"] = _Block(
                    channels, dim, first=index == 0, squeeze=index % 2 == 0
                )
                channels = dim
            stages.append(nn.ModuleDict(blocks))
        self.s2, self.s3, self.s4, self.s5 = stages
        self.out_channels = int(_BOTTLENECK * channels)
        self.head = _LastConvolution(channels, self.out_channels)
        initialise_(self)

    def forward(self, images: Tensor, num_frames: int = 1) -> Tensor:
        """Return the maps [N, D, h/32, w/32] of images [N, C, h, w], N frames of clips of ``num_frames``.

        Raises:
            ValueError: if N is not a multiple of ``num_frames``.
        """
        if len(images) % num_frames:
            raise ValueError(f"{len(images)} images are not whole clips of {num_frames} frames")
        clips = images.view(-1, num_frames, *images.shape[1:]).transpose(1, 2)  # [B, C, T, h, w]
        for stage in (self.s1, self.s2, self.s3, self.s4, self.s5):
            for block in stage.values():
                clips = block(clips)
        maps: Tensor = self.head(clips)
        return maps.transpose(1, 2).flatten(0, 1)

    def recomputable(self) -> list[nn.Module]:
        """Return all blocks: wide inside, narrow between them."""
        stages = (self.s2, self.s3, self.s4, self.s5)
        return [block for stage in stages for block in stage.values()]

    @classmethod
    def translate(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Accept SlowFast's and pytorchvideo's states."""
        return to_our_names(state)


class _Stem(nn.Module):
    """A 1x3x3 convolution with stride 2 in space, then 5 frames a channel."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv_xy = FrameConv3d(in_channels, channels, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)
        self.conv = TemporalConv3d(
            channels, channels, (5, 1, 1), padding=(2, 0, 0), groups=channels, bias=False
        )
        self.bn = nn.BatchNorm3d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, clips: Tensor) -> Tensor:
        """Return [B, channels, T, h/2, w/2]."""
        maps: Tensor = self.relu(self.bn(self.conv(self.conv_xy(clips))))
        return maps


class _Block(nn.Module):
    """A bottleneck and its shortcut.

    Args:
        in_channels: of the maps that come in.
        channels: of the maps that go out.
        first: of its stage: halves the sides, and the shortcut is a convolution.
        squeeze: whether the bottleneck reweighs its channels.
    """

    def __init__(self, in_channels: int, channels: int, *, first: bool, squeeze: bool) -> None:
        super().__init__()
        stride = 2 if first else 1
        self.branch1 = PointwiseConv3d(in_channels, channels, 1, (1, 2, 2), bias=False) if first else None
        self.branch1_bn = nn.BatchNorm3d(channels) if in_channels != channels else None
        self.branch2 = _Bottleneck(in_channels, channels, stride=stride, squeeze=squeeze)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, clips: Tensor) -> Tensor:
        """Return the block's output [B, channels, T, h/stride, w/stride]."""
        shortcut = clips if self.branch1 is None else self.branch1(clips)
        if self.branch1_bn is not None:
            shortcut = self.branch1_bn(shortcut)
        maps: Tensor = self.relu(self.branch2(clips) + shortcut)
        return maps


class _Bottleneck(nn.Module):
    """Expand 1x1x1, filter 3x3x3 a channel (with the stride), project 1x1x1."""

    def __init__(self, in_channels: int, channels: int, *, stride: int, squeeze: bool) -> None:
        super().__init__()
        inner = int(_BOTTLENECK * channels)
        self.a = PointwiseConv3d(in_channels, inner, 1, bias=False)
        self.a_bn = nn.BatchNorm3d(inner)
        self.b = nn.Conv3d(inner, inner, 3, (1, stride, stride), 1, groups=inner, bias=False)
        self.b_bn = nn.BatchNorm3d(inner)
        self.se = _SqueezeExcitation(inner) if squeeze else nn.Identity()
        self.c = PointwiseConv3d(inner, channels, 1, bias=False)
        self.c_bn = nn.BatchNorm3d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.swish = nn.SiLU(inplace=True)

    def forward(self, clips: Tensor) -> Tensor:
        """Return the maps before the sum with the shortcut."""
        maps = self.relu(self.a_bn(self.a(clips)))
        maps = self.swish(self.se(self.b_bn(self.b(maps))))
        result: Tensor = self.c_bn(self.c(maps))
        return result


class _SqueezeExcitation(nn.Module):
    """Weigh each channel by what all channels hold on average over the clip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = make_divisible(channels / _SQUEEZE)
        self.fc1 = PointwiseConv3d(channels, squeezed, 1)
        self.fc2 = PointwiseConv3d(squeezed, channels, 1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, clips: Tensor) -> Tensor:
        """Return the weighted clips, [B, channels, T, h, w]."""
        means = clips.mean((2, 3, 4), keepdim=True)
        weighted: Tensor = clips * self.fc2(self.relu(self.fc1(means))).sigmoid()
        return weighted


class _LastConvolution(nn.Module):
    """The convolution before the pooling, which SlowFast counts to the head."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv_5 = PointwiseConv3d(in_channels, channels, 1, bias=False)
        self.conv_5_bn = nn.BatchNorm3d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, clips: Tensor) -> Tensor:
        """Return the maps [B, channels, T, h, w]."""
        maps: Tensor = self.relu(self.conv_5_bn(self.conv_5(clips)))
        return maps
