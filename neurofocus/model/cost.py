"""What a forward pass costs, measured: multiply-adds of every part and of every exit step.

One case is run through the whole model on tensors without data, and every convolution and matrix product
that it executes is counted under the module that executed it. What no network module accounts for (cutting
the patches out of the frames) is reported on its own line: the paper's figures leave it out.

GFLOPs are 1e9 multiply-adds, as in the paper. Element-wise work is not counted, there and here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import ModelConfig, without_initial_weights

__all__ = ["CostReport", "PartCost", "measure_cost"]

_ROOT = UniAdaFocus.__name__


@dataclass(frozen=True)
class PartCost:
    """One part of the model.

    Attributes:
        name: the part.
        parameters: how many numbers are learned in it.
        gflops: of one case, 1e9 multiply-adds.
        count: how often it runs in one case: frames, patches or steps.
    """

    name: str
    parameters: int
    gflops: float
    count: int

    @property
    def gflops_each(self) -> float:
        """One run of the part, 1e9 multiply-adds."""
        return self.gflops / self.count


@dataclass(frozen=True)
class CostReport:
    """The cost of one case.

    Attributes:
        parts: the network in the order in which it runs; their sum is what the paper counts.
        training_parameters: of the auxiliary heads, which only training uses.
        crop_gflops: of cutting and resizing the patches, which the paper does not count.
        exit_gflops: the cost of stopping at each of the E exit steps, without the crops. All glance frames are
            processed at once, so every glance step costs the whole glance; the first focus step adds both
            policies, and every focus step one patch and one step of the classifier.
    """

    parts: tuple[PartCost, ...]
    training_parameters: int
    crop_gflops: float
    exit_gflops: tuple[float, ...]

    @property
    def gflops(self) -> float:
        """The whole network by the paper's count, which is the cost of the last exit step."""
        return sum(part.gflops for part in self.parts)

    @property
    def executed_gflops(self) -> float:
        """Every convolution and matrix product that a forward pass executes."""
        return self.gflops + self.crop_gflops

    @property
    def parameters(self) -> int:
        """All learned numbers, those of the auxiliary heads included."""
        return sum(part.parameters for part in self.parts) + self.training_parameters


def measure_cost(config: ModelConfig) -> CostReport:
    """Measure the cost of one case; needs no weights, no data and no memory for either.

    Args:
        config: the model; its initial weights are not fetched.
    """
    with FakeTensorMode(), torch.no_grad():
        model = UniAdaFocus(without_initial_weights(config)).eval()
        side = config.frame_size
        frames = torch.empty(1, config.num_frames, config.frame_channels, side, side)
        counter = FlopCounterMode(display=False)
        with counter:
            model(frames)
    gflops = {name: _gflops(counts) for name, counts in counter.get_flop_counts().items()}
    parts = _parts(model, gflops)
    heads = (model.global_head, model.local_head, model.policy_head)
    return CostReport(
        parts=parts,
        training_parameters=sum(_parameters(head) for head in heads),
        crop_gflops=gflops[_ROOT] - sum(part.gflops for part in parts),
        exit_gflops=_exit_gflops(model, {part.name: part for part in parts}),
    )


def _parts(model: UniAdaFocus, gflops: Mapping[str, float]) -> tuple[PartCost, ...]:
    config = model.config
    glance, focus = config.num_glance_frames, config.num_focus_frames

    def part(name: str, count: int) -> PartCost:
        module = getattr(model, name)
        parameters = 0 if module is None else _parameters(module)
        return PartCost(name, parameters, gflops.get(f"{_ROOT}.{name}", 0.0), count)

    def classifier_part(name: str, stage: str, count: int) -> PartCost:
        children = [
            (f"{_ROOT}.classifier.{key}", child)
            for key, child in model.classifier.named_children()
            if key.startswith(stage)
        ]
        spent = sum(_gflops_under(prefix, gflops) for prefix, _ in children)
        return PartCost(name, sum(_parameters(child) for _, child in children), spent, count)

    return (
        part("global_encoder", glance),
        classifier_part("classifier_glance", "global", glance),
        part("spatial_policy", 1),
        part("temporal_policy", 1),
        part("local_encoder", focus),
        classifier_part("classifier_focus", "local", focus),
    )


def _gflops_under(prefix: str, gflops: Mapping[str, float]) -> float:
    """Return the count of a module, or of its children where it is a list, which is never called itself."""
    if prefix in gflops:
        return gflops[prefix]
    depth = prefix.count(".") + 1
    return sum(
        value for name, value in gflops.items() if name.startswith(f"{prefix}.") and name.count(".") == depth
    )


def _exit_gflops(model: UniAdaFocus, parts: Mapping[str, PartCost]) -> tuple[float, ...]:
    glance = parts["global_encoder"].gflops + parts["classifier_glance"].gflops
    decided = glance + parts["spatial_policy"].gflops + parts["temporal_policy"].gflops
    step = parts["local_encoder"].gflops_each + parts["classifier_focus"].gflops_each
    focus_steps = model.config.num_focus_frames
    return (glance,) * model.classifier.num_global_exits + tuple(
        decided + step * done for done in range(1, focus_steps + 1)
    )


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _gflops(counts: Mapping[Any, int]) -> float:
    """The counter reports two operations a multiply-add."""
    return sum(counts.values()) / 2e9
