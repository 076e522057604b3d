"""The branch of the policy that weighs the frames (section 4.2, appendix H.1)."""

import torch
from torch import Tensor, nn

__all__ = ["TemporalPolicy"]


class TemporalPolicy(nn.Module):
    """Global features in, a distribution over the glance frames out.

    Two 3x1x1 convolutions along time and a linear layer, all without bias; submodule names are those of the
    released checkpoints.
    """

    def __init__(self, in_channels: int, *, channels: int) -> None:
        super().__init__()
        self.Tconv = nn.Sequential(
            nn.Conv2d(in_channels, channels, (3, 1), padding=(1, 0), bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, (3, 1), padding=(1, 0), bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 1, 1, bias=False),
        )

    def forward(self, global_features: Tensor) -> Tensor:
        """Return weights that sum to one over frames, [B, T], of features [B, T, D]."""
        with torch.autocast(global_features.device.type, enabled=False):  # float32, as the spatial branch
            logits: Tensor = self.Tconv(global_features.float().transpose(1, 2).unsqueeze(-1))
        return logits.flatten(1).softmax(-1)
