"""Small models of every kind, with batch statistics and answers that differ from case to case."""

import functools
from typing import Any

import torch
from inference import exit_models
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from neurofocus.model.build import Model, build_model
from neurofocus.schema.model import ModelConfig

SIZES = {"num_frames": 8, "num_focus_frames": 3, "patch_size": 32}
FRAMEWISE: dict[str, Any] = exit_models.FRAMEWISE | SIZES
CLIPS: dict[str, Any] = exit_models.CLIPS | SIZES
CLIPS |= {
    "global_encoder": {"name": "mobilenet_v2", "width": 0.25, "temporal_shift": True},
    "local_encoder": {"name": "resnet50", "width": 0.125, "temporal_shift": True},
}
MODELS: dict[str, dict[str, Any]] = {
    "compact": FRAMEWISE,
    "mobilenet and resnet50": FRAMEWISE
    | {
        "global_encoder": {"name": "mobilenet_v2", "width": 0.25},
        "local_encoder": {"name": "resnet50", "width": 0.125},
    },
    "efficientnet and resnet18": FRAMEWISE
    | {
        "global_encoder": {"name": "efficientnet_lite0"},
        "local_encoder": {"name": "resnet18", "width": 0.125},
        "classifier": {"kind": "average"},
    },
    "grey resnet34, no reuse": FRAMEWISE
    | {
        "frame_channels": 1,
        "glance_size": 24,
        "local_encoder": {"name": "resnet34", "width": 0.125},
        "classifier": {"hidden": 16, "reuse_global": False},
        "temporal_policy": {"dynamic": False},
    },
    "temporal shift": CLIPS,
    "tsm+": CLIPS | {"kind": "tsm_plus"},
    "x3d and resnet18": CLIPS
    | {
        "global_encoder": {"name": "x3d_s", "width": 0.25},
        "local_encoder": {"name": "resnet18", "width": 0.125, "temporal_shift": True},
        "classifier": {"kind": "pooled_mlp", "hidden": 16},
        "auxiliary_hidden": 16,
    },
}


@functools.cache
def lively(name: str) -> Model:
    """Return a model whose batch normalisations are not the identity and whose answers are not all alike."""
    torch.manual_seed(0)
    model = build_model(ModelConfig.model_validate(MODELS[name]))
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight.data *= 4
        if isinstance(module, _BatchNorm):
            module.momentum = 0.5
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    with torch.no_grad():
        model(*videos(model, 8))
    return model.eval()


def videos(model: Model, number: int) -> tuple[Tensor, Tensor | None]:
    """Return frames with a colour of their own each, and glance frames where the streams differ."""
    config, generator = model.config, torch.Generator().manual_seed(1)
    shape = (number, config.num_frames, config.frame_channels)
    frames = torch.randn(*shape, 1, 1, generator=generator) + torch.randn(*shape, 32, 32, generator=generator)
    return frames, frames[:, ::2].contiguous() if config.streams == "separate" else None
