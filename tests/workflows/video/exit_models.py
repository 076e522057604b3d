"""Untrained models of clips whose answers differ from clip to clip, and ten clips to show them."""

from dataclasses import replace
from pathlib import Path

import torch
from data.video.clips import picture, write_video
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from workflows.video.tiny_video import data_of, small_config

from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.video.source import VideoData

CLASSES = tuple("abcdefg")
LABELS = [(0,), (1, 3), (2,), (3,), (4, 0), (5,), (0,), (1,), (5, 2, 1), (3,)]  # nobody shows g

_TWO_EXITS = ("model.streams=separate", "model.spatial_policy.scope=clip", "model.num_glance_frames=4")
MODELS = {
    "frames": ("exit.every=1", "model.num_focus_frames=3"),
    "frames by weight": ("exit.every=1", "model.num_focus_frames=3", "exit.order=weight"),
    "temporal shift": (
        *_TWO_EXITS,
        "model.classifier.kind=average",
        "model.global_encoder.name=resnet18",
        "model.local_encoder.name=resnet18",
        "model.global_encoder.temporal_shift=true",
        "model.local_encoder.temporal_shift=true",
    ),
    "x3d": (
        *_TWO_EXITS,
        "model.global_encoder.name=x3d_s",
        "model.local_encoder.name=x3d_l",
        "model.classifier.kind=pooled_mlp",
        "model.auxiliary_hidden=16",
    ),
}


def put_ten(root: Path) -> VideoData:
    """Write ten clips with one to three labels each, judged by mAP; six are the test split, four validation."""
    rows = [
        (f"clip {place}", labels, "test" if place < 6 else "validation")
        for place, labels in enumerate(LABELS)
    ]
    for place, (name, _, _) in enumerate(rows):
        write_video(root / f"{name}.mp4", images=[picture(20 * place + number) for number in range(12)])
    data = data_of(rows, classes=CLASSES, root=root)
    spec = data.spec.model_copy(update={"metric": "map", "multi_label": True})
    return replace(data, spec=spec, left_out={"train": 0, "validation": 0, "test": 0})


def settings_of(name: str, *changes: str) -> RunConfig:
    return small_config("model.num_classes=7", *MODELS[name], *changes)


def model_of(config: RunConfig) -> UniAdaFocus:
    """Return a model in evaluation mode whose exits disagree."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = UniAdaFocus(config.model)
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.weight.data *= 4  # untrained answers would hardly differ
            if isinstance(module, _BatchNorm):
                module.momentum = 0.5  # statistics that are far from the clips' would hide them
        shape = (4, config.model.num_frames, 3, config.model.frame_size, config.model.frame_size)
        frames = torch.randn(shape) + torch.randn(4, shape[1], 3, 1, 1)
        glance = frames[:, : config.model.num_glance_frames] if config.model.streams == "separate" else None
        with torch.no_grad():
            model(frames, glance)
    return model.eval()
