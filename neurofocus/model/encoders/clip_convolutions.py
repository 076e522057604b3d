"""Convolutions over clips whose kernels are flat in some direction, computed the way a CPU is fast at.

They are `nn.Conv3d` in every other respect: same parameters, same names, same result up to rounding. With
torch's own 3-D kernels a whole X3D takes 1.3 to 1.8 times as long on a CPU (`benchmarks/x3d_convolutions.py`); on
other devices they are used as they are.
"""

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FrameConv3d", "PointwiseConv3d", "TemporalConv3d"]


class PointwiseConv3d(nn.Conv3d):
    """1x1x1: one matrix product over all positions, which leaves the channels last in memory.

    The depthwise 3x3x3 convolutions that follow it are 2 to 8 times faster in that order.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return [B, out, T, h/stride, w/stride] of clips [B, C, T, h, w]."""
        if input.device.type != "cpu":
            return super().forward(input)
        kept = input[..., :: self.stride[1], :: self.stride[2]].movedim(1, -1)
        return functional.linear(kept, self.weight.flatten(1), self.bias).movedim(-1, 1)


class FrameConv3d(nn.Conv3d):
    """1 x k x k: a 2-D convolution of every frame."""

    def forward(self, input: Tensor) -> Tensor:
        """Return [B, out, T, h/stride, w/stride] of clips [B, C, T, h, w]."""
        if input.device.type != "cpu":
            return super().forward(input)
        frames = input.transpose(1, 2).flatten(0, 1)
        padding = [int(side) for side in self.padding[1:]]
        maps = functional.conv2d(frames, self.weight[:, :, 0], self.bias, self.stride[1:], padding)
        return maps.view(len(input), -1, *maps.shape[1:]).transpose(1, 2)


class TemporalConv3d(nn.Conv3d):
    """k x 1 x 1, a filter a channel: a 2-D convolution over frames by positions."""

    def forward(self, input: Tensor) -> Tensor:
        """Return [B, C, T, h, w] of clips [B, C, T, h, w]."""
        if input.device.type != "cpu":
            return super().forward(input)
        lines = input.flatten(3)  # [B, C, T, h * w]
        padding = (int(self.padding[0]), 0)
        maps = functional.conv2d(lines, self.weight[..., 0], self.bias, padding=padding, groups=self.groups)
        return maps.view(*maps.shape[:3], *input.shape[3:])
