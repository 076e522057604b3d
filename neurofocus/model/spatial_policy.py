"""The branch of the policy that places the boxes (section 4.1.2, appendix H.1)."""

from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["SpatialPolicy"]


class SpatialPolicy(nn.Module):
    """Global maps in, one action a glance frame (or one a clip) out.

    A 1x1x1 convolution compresses the channels, two 3x3x3 convolutions look at neighbouring frames, and a last
    one spans the whole map. No convolution has a bias, as in the released code, so that a fresh policy starts at
    centred boxes. Submodule names are those of the released checkpoints.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        channels: int,
        num_frames: int,
        map_size: int,
        scope: Literal["frame", "clip"],
    ) -> None:
        super().__init__()
        depth = num_frames if scope == "clip" else 1
        self.num_frames = num_frames
        self.map_size = map_size
        self.encoder = nn.Sequential(
            nn.Conv3d(in_channels, channels, 1, bias=False),
            nn.BatchNorm3d(channels),
            nn.ReLU(),
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm3d(channels),
            nn.ReLU(),
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm3d(channels),
            nn.ReLU(),
            nn.Conv3d(channels, 4, (depth, map_size, map_size), bias=False),
            nn.Sigmoid(),
        )

    def forward(self, global_maps: Tensor) -> Tensor:
        """Return actions (y, x, h, w) in (0, 1), [B, T, 4], of maps [B, T, D, h, w].

        Raises:
            ValueError: if the maps have another number of frames or another size than the policy was built for.
        """
        expected = (self.num_frames, self.map_size, self.map_size)
        seen = (global_maps.shape[1], *global_maps.shape[3:])
        if seen != expected:
            raise ValueError(f"global maps are (frames, height, width) {seen}, the policy expects {expected}")
        # In float32 even under autocast: bfloat16 would place boxes no finer than half a pixel.
        with torch.autocast(global_maps.device.type, enabled=False):
            actions: Tensor = self.encoder(global_maps.float().transpose(1, 2))  # [B, 4, T or 1, 1, 1]
        return actions.flatten(2).transpose(1, 2).expand(-1, self.num_frames, -1)
