from typing import Any

import pytest
from pydantic import ValidationError

from neurofocus.schema.model import (
    ClassifierConfig,
    EncoderConfig,
    ModelConfig,
    PatchConfig,
    without_initial_weights,
)


def test_defaults_are_the_papers() -> None:
    """Section 5 and appendix H.1: ActivityNet with MobileNetV2 and ResNet-50."""
    config = ModelConfig()
    assert (config.num_frames, config.num_glance_frames, config.num_focus_frames) == (48, 16, 16)
    assert (config.frame_size, config.patch_size) == (224, 128)
    assert (config.global_encoder.name, config.local_encoder.name) == ("mobilenet_v2", "resnet50")
    assert config.patches.min_fraction == pytest.approx(96 / 224)
    assert config.patches.max_fraction == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_glance_frames": 5}, "num_glance_frames 5 does not divide num_frames 48"),
        ({"num_focus_frames": 49}, "num_focus_frames 49 exceeds num_frames 48"),
        ({"patch_size": 256}, "patch_size 256 exceeds frame_size 224; .* choose a smaller one"),
        (
            {"patches": {"min_fraction": 0.8, "max_fraction": 0.5}},
            "min_fraction 0.8 exceeds max_fraction 0.5",
        ),
        ({"patches": {"padding": "zeros"}}, "padding 'zeros' needs antialias false"),
        (
            {"global_encoder": {"name": "efficientnet_lite0", "temporal_shift": True}},
            "temporal_shift is not available for efficientnet_lite0; set it to false or choose one of mobilenet_v2",
        ),
        (
            {"local_encoder": {"name": "resnet50", "temporal_shift": True}},
            "classifier.kind max_pooling predicts frame by frame, temporal_shift a clip at a time; set",
        ),
        ({"kind": "tsm_plus"}, "kind max_pooling predicts frame by frame, kind tsm_plus a clip at a time"),
        ({"frame_channels": 2}, "1 or 3"),
        ({"num_classes": 1}, "greater than or equal to 2"),
        ({"classifier": {"dropout": 1.0}}, "less than 1"),
        ({"global_encoder": {"name": "resnet18", "width": 0}}, "greater than 0"),
        ({"global_encoder": {"name": "resnet18", "weights_sha256": "abc"}}, "should match pattern"),
    ],
)
def test_what_does_not_fit(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ModelConfig.model_validate(changes)


def test_what_does_fit() -> None:
    ModelConfig(num_frames=48, num_glance_frames=48, num_focus_frames=48)
    ModelConfig(patch_size=224)
    ModelConfig(kind="tsm_plus", classifier=ClassifierConfig(kind="average"), patch_size=256)  # not used
    PatchConfig(padding="zeros", antialias=False)
    PatchConfig(min_fraction=0.5, max_fraction=0.5)


def test_what_mixes_frames() -> None:
    shifted = EncoderConfig(name="resnet18", temporal_shift=True)
    average = ClassifierConfig(kind="average")
    assert not ModelConfig().mixes_frames and not ModelConfig().classifies_clips
    one = ModelConfig(local_encoder=shifted, classifier=average)
    assert one.mixes_frames and one.classifies_clips
    baseline = ModelConfig(kind="tsm_plus", classifier=average)
    assert not baseline.mixes_frames and baseline.classifies_clips


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ModelConfig().num_frames = 3  # type: ignore[misc]  # the refusal is what is tested


def test_dropping_initial_weights() -> None:
    encoder = EncoderConfig(name="resnet18", width=0.5, weights="x.pt", weights_sha256="0" * 64)
    config = ModelConfig(global_encoder=encoder, local_encoder=encoder, num_classes=7)
    bare = without_initial_weights(config)
    assert bare.global_encoder == bare.local_encoder == EncoderConfig(name="resnet18", width=0.5)
    assert bare.num_classes == 7
    assert config.global_encoder.weights == "x.pt"
