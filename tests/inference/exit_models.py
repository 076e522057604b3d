"""Tiny models whose answers differ from case to case, what they answer without exits, and thresholds for them."""

import functools
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from neurofocus.early_exit.criteria import uncertainty
from neurofocus.early_exit.plan import exit_ladder, solve_plan
from neurofocus.inference.torch_stages import TorchStages
from neurofocus.model.cost import measure_cost
from neurofocus.model.frame_sampling import by_weight
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.early_exit import ExitConfig, ExitPlan, ExitRule
from neurofocus.schema.model import ModelConfig

FRAMEWISE: dict[str, Any] = {
    "num_classes": 3,
    "frame_size": 32,
    "num_frames": 12,
    "num_glance_frames": 4,
    "num_focus_frames": 5,
    "patch_size": 16,
    "global_encoder": {"name": "compact", "width": 0.25},
    "local_encoder": {"name": "compact", "width": 0.25},
    "classifier": {"hidden": 16},
    "spatial_policy": {"channels": 8},
    "temporal_policy": {"channels": 8},
}
CLIPS: dict[str, Any] = FRAMEWISE | {
    "streams": "separate",
    "classifier": {"kind": "average"},
    "spatial_policy": {"channels": 8, "scope": "clip"},
}
MODELS: dict[str, dict[str, Any]] = {
    "max pooling": FRAMEWISE,
    "average": FRAMEWISE | {"classifier": {"kind": "average"}},
    "no reuse": FRAMEWISE | {"classifier": {"hidden": 16, "reuse_global": False}},
    "uniform frames": FRAMEWISE | {"temporal_policy": {"dynamic": False}},
    "temporal shift": CLIPS
    | {
        "global_encoder": {"name": "resnet18", "width": 0.25, "temporal_shift": True},
        "local_encoder": {"name": "resnet18", "width": 0.25, "temporal_shift": True},
    },
    "x3d": CLIPS
    | {
        "global_encoder": {"name": "x3d_s", "width": 0.25},
        "local_encoder": {"name": "x3d_l", "width": 0.25},
        "classifier": {"kind": "pooled_mlp", "hidden": 16},
        "auxiliary_hidden": 16,
    },
}
COUNT = 16
Order = Literal["time", "weight"]


@functools.cache
def build(name: str) -> UniAdaFocus:
    torch.manual_seed(0)
    model = UniAdaFocus(ModelConfig.model_validate(MODELS[name]))
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight.data *= 4  # untrained answers would hardly differ
        if isinstance(module, _BatchNorm):
            module.momentum = 0.5  # one pass moves them half of the way: channels without variance stay tame
    with torch.no_grad():
        model(*videos(model))
    return model.eval()


def videos(model: UniAdaFocus, crops: int = 1) -> tuple[Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(1)
    level = torch.randn(COUNT * crops, 12, 3, 1, 1, generator=generator)
    frames = level + torch.randn(COUNT * crops, 12, 3, 32, 32, generator=generator)
    return frames, frames[:, ::3].contiguous() if model.config.streams == "separate" else None


@functools.cache
def complete(model: UniAdaFocus, order: Order, crops: int = 1) -> np.ndarray:
    """Probabilities of every exit step without any exit, [N, E, K], one case at a time."""
    frames, glances = videos(model, crops)
    found = []
    with torch.no_grad():
        for number in range(len(frames)):
            output = model(
                frames[number : number + 1], None if glances is None else glances[number : number + 1]
            )
            logits = output.logits
            if order == "weight" and not model.local_encoder.mixes_frames:
                places = by_weight(output.frame_weights, 12, output.frame_indices)[0]
                logits = model.classifier(
                    output.glance.global_features, output.focus.local_features[:, places]
                )
            found.append(logits.double().softmax(-1))
    return torch.cat(found).view(COUNT, crops, *found[0].shape[1:]).mean(1).numpy()


def planned(model: UniAdaFocus, probabilities: np.ndarray, order: Order) -> ExitPlan:
    costs = measure_cost(model.config).exit_gflops
    focus = len(costs) - TorchStages(model).num_global_exits
    worth = np.random.default_rng(0).random(probabilities.shape[:2])
    settings = ExitConfig(order=order, num_budgets=5, solver="geometric")
    return solve_plan(probabilities, worth, exit_ladder(costs, focus, every=2), settings)


def near(probabilities: np.ndarray, plan: ExitPlan, rule: ExitRule) -> np.ndarray:
    """Which cases have an uncertainty so near a threshold that rounding decides, [N]."""
    unsure = uncertainty(probabilities[:, plan.ladder.steps[:-1]], plan.criterion)
    found: np.ndarray = (np.abs(unsure - np.array(rule.thresholds)) < 1e-5).any(1)
    return found
