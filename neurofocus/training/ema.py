"""Exponential moving average of the weights (optional; the paper uses none)."""

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]


class WeightAverage:
    """Follows a model's weights: average <- d average + (1 - d) weights after every step.

    The decay starts low, d_n = min(decay, (1 + n) / (10 + n)), so that the random start is soon forgotten.
    Running statistics are averaged alike, as they belong to the weights; counters are copied.

    Args:
        model: the model to follow; its current weights are the first average.
        decay: the final d, below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.weights: dict[str, Tensor] = {
            name: value.detach().clone() for name, value in model.state_dict().items()
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after one optimiser step."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in model.state_dict().items():
            average = self.weights[name]
            if average.is_floating_point():
                average.lerp_(value.detach(), 1 - decay)
            else:
                average.copy_(value)
