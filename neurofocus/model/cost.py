"""What a forward pass costs, measured: multiply-adds of every part and of every exit step.

One case is run through the whole model on tensors without data, and every convolution and matrix product
that it executes is counted under the module that executed it. What no network module accounts for (cutting
the patches out of the frames) is reported on its own line: the paper's figures leave it out.

GFLOPs are 1e9 multiply-adds, as in the paper. Element-wise work is not counted, there and here. Other conventions
count the same run otherwise, for comparison with other tables; see `CONVENTIONS`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from neurofocus.model.build import build_model
from neurofocus.model.classifier import PooledMlpClassifier
from neurofocus.model.tsm_plus import TsmPlus
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import ModelConfig, without_initial_weights

__all__ = [
    "CONVENTIONS",
    "Convention",
    "CostReport",
    "Operations",
    "PartCost",
    "count_operations",
    "measure_cost",
]

Convention = Literal["mac", "paper", "fvcore", "flop2x"]

# What one GFLOP is, by convention.
CONVENTIONS: dict[Convention, str] = {
    "mac": "GFLOPs = 1e9 multiply-adds",
    "paper": "GFLOPs = 1e9 multiply-adds, and one operation a batch-normalised channel of every call",
    "fvcore": "GFLOPs = 1e9 multiply-adds, and two operations a batch-normalised value",
    "flop2x": "GFLOPs = 1e9 operations, two a multiply-add",
}


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
            policies, and every focus step one patch and one step of the classifier. Where an encoder mixes
            frames there are two steps: glance only, and all.
        convention: how the figures were counted.
    """

    parts: tuple[PartCost, ...]
    training_parameters: int
    crop_gflops: float
    exit_gflops: tuple[float, ...]
    convention: Convention = "mac"

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


@dataclass(frozen=True)
class Operations:
    """What the modules of a network executed, by dotted name from the class's name.

    Attributes:
        products: multiply-adds of convolutions and matrix products.
        normalised_channels: batch-normalised channels of every call.
        normalised_values: batch-normalised values.
    """

    products: Mapping[str, int]
    normalised_channels: Mapping[str, int]
    normalised_values: Mapping[str, int]

    def gflops(self, convention: Convention) -> dict[str, float]:
        """Return the 1e9 operations of every module as a convention counts them."""
        if convention == "flop2x":
            return {name: 2 * count / 1e9 for name, count in self.products.items()}
        found = Counter(self.products)
        if convention == "paper":
            found.update(self.normalised_channels)
        if convention == "fvcore":
            found.update({name: 2 * count for name, count in self.normalised_values.items()})
        return {name: count / 1e9 for name, count in found.items()}


def measure_cost(config: ModelConfig, *, convention: Convention = "mac") -> CostReport:
    """Measure the cost of one case; needs no weights, no data and no memory for either.

    Args:
        config: the model; its initial weights are not fetched.
        convention: what counts as an operation; see `CONVENTIONS`.
    """
    model, operations = _run(without_initial_weights(config))
    gflops = operations.gflops(convention)
    parts = _parts(model, gflops)
    return CostReport(
        parts=parts,
        training_parameters=_parameters(model) - sum(part.parameters for part in parts),
        # To a single operation: what is left of the difference of equal sums is rounding.
        crop_gflops=round(gflops[type(model).__name__] - sum(part.gflops for part in parts), 9),
        exit_gflops=_exit_gflops(model, {part.name: part for part in parts}),
        convention=convention,
    )


@lru_cache(maxsize=16)  # the folds of a run, and the clips that one model predicts, cost the same
def _run(config: ModelConfig) -> tuple[UniAdaFocus | TsmPlus, Operations]:
    """Return the model without data, and what it executes for one case."""
    side, colours = config.frame_size, config.frame_channels
    with FakeTensorMode(), torch.no_grad():
        model = build_model(config).eval()
        frames = torch.empty(1, config.num_frames, colours, side, side)
        glance = torch.empty(1, config.num_glance_frames, colours, side, side)
        return model, count_operations(model, frames, glance)


def count_operations(module: nn.Module, *inputs: Tensor) -> Operations:
    """Run a module and return what every module in it executes.

    Args:
        module: in evaluation mode.
        inputs: what it is called with.
    """
    root = type(module).__name__
    channels: Counter[str] = Counter()
    normalised: Counter[str] = Counter()

    def count(name: str, values: Tensor) -> None:
        parts = [root, *name.split(".")]
        for depth in range(1, len(parts) + 1):
            channels[".".join(parts[:depth])] += values.shape[0] * values.shape[1]
            normalised[".".join(parts[:depth])] += values.numel()

    hooks = [
        part.register_forward_pre_hook(lambda _, values, name=name: count(name, values[0]))
        for name, part in module.named_modules()
        if isinstance(part, _BatchNorm)
    ]
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module(*inputs)
    for hook in hooks:
        hook.remove()
    # The counter reports two operations a multiply-add.
    products = {name: sum(counts.values()) // 2 for name, counts in counter.get_flop_counts().items()}
    return Operations(products, channels, normalised)


def _parts(model: UniAdaFocus | TsmPlus, gflops: Mapping[str, float]) -> tuple[PartCost, ...]:
    config, root = model.config, type(model).__name__
    glance, focus = config.num_glance_frames, config.num_focus_frames

    def part(name: str, count: int) -> PartCost:
        module = getattr(model, name, None)
        parameters = 0 if module is None else _parameters(module)
        return PartCost(name, parameters, gflops.get(f"{root}.{name}", 0.0), count)

    def classifier_part(name: str, stage: str, count: int) -> PartCost:
        children = [
            (f"{root}.classifier.{key}", child)
            for key, child in model.classifier.named_children()
            if key.startswith(stage)
        ]
        spent = sum(_gflops_under(prefix, gflops) for prefix, _ in children)
        return PartCost(name, sum(_parameters(child) for _, child in children), spent, count)

    pooled = isinstance(model.classifier, PooledMlpClassifier)
    policies = ("spatial_policy", "temporal_policy") if isinstance(model, UniAdaFocus) else ()
    return (
        part("global_encoder", glance),
        *(part(name, glance) for name in _exit_heads(model)),
        classifier_part("classifier_glance", "global", 1 if pooled else glance),
        *(part(name, 1) for name in policies),
        part("local_encoder", focus),
        classifier_part("classifier_focus", "local", 1 if pooled else focus),
    )


def _exit_heads(model: UniAdaFocus | TsmPlus) -> tuple[str, ...]:
    """Return the heads that prediction uses to stop after the glance."""
    return ("global_head",) if isinstance(model, UniAdaFocus) and model.exits_by_head else ()


def _gflops_under(prefix: str, gflops: Mapping[str, float]) -> float:
    """Return the count of a module, or of its children where it is a list, which is never called itself."""
    if prefix in gflops:
        return gflops[prefix]
    depth = prefix.count(".") + 1
    return sum(
        value for name, value in gflops.items() if name.startswith(f"{prefix}.") and name.count(".") == depth
    )


def _exit_gflops(model: UniAdaFocus | TsmPlus, parts: Mapping[str, PartCost]) -> tuple[float, ...]:
    if model.config.classifies_clips:
        whole = sum(part.gflops for part in parts.values())
        heads = _exit_heads(model)
        if model.classifier.num_global_exits:
            heads = ("classifier_glance",)
        first = parts["global_encoder"].gflops + sum(parts[name].gflops for name in heads)
        return (first, whole) if heads else (whole,)
    glance = parts["global_encoder"].gflops + parts["classifier_glance"].gflops
    decided = glance + parts["spatial_policy"].gflops + parts["temporal_policy"].gflops
    step = parts["local_encoder"].gflops_each + parts["classifier_focus"].gflops_each
    focus_steps = model.config.num_focus_frames
    return (glance,) * model.classifier.num_global_exits + tuple(
        decided + step * done for done in range(1, focus_steps + 1)
    )


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
