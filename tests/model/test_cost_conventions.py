"""Published figures: TSM models within 0.5 %, and the constants of the released tables to the last digit."""

from functools import cache

import pytest
import torch
from torch import Tensor, nn

from neurofocus.model.build import build_model
from neurofocus.model.classifier import ClassifierSizes, build_classifier
from neurofocus.model.cost import CONVENTIONS, Convention, count_operations, measure_cost
from neurofocus.model.encoders.build import build_encoder
from neurofocus.model.spatial_policy import SpatialPolicy
from neurofocus.model.temporal_policy import TemporalPolicy
from neurofocus.schema.load import load_run_config
from neurofocus.schema.model import ClassifierConfig, EncoderConfig


def tsm(num_focus_frames: int, patch_size: int, *more: str) -> list[str]:
    return [
        f"model.num_focus_frames={num_focus_frames}",
        f"model.num_frames={3 * num_focus_frames}",
        f"model.patch_size={patch_size}",
        *more,
    ]


@pytest.mark.parametrize(
    ("name", "changes", "paper"),
    [
        ("sthv1", tsm(8, 96), 8.82),
        ("sthv2", tsm(12, 96), 11.82),
        ("sthv2", [], 18.83),
        ("jester", tsm(12, 128), 18.83),
        ("diving48", [], 18.83),
        ("sthv1", tsm(16, 128), 24.17),
        ("tsm-plus", [], 35.1),
    ],
)
@pytest.mark.parametrize("convention", ["mac", "paper"])
def test_tsm_is_the_papers(name: str, changes: list[str], paper: float, convention: Convention) -> None:
    cost = measure_cost(load_run_config(name, changes).model, convention=convention)
    assert cost.gflops == pytest.approx(paper, rel=0.002)
    assert cost.executed_gflops <= 1.01 * cost.gflops
    assert cost.exit_gflops[-1] == pytest.approx(cost.gflops)


def test_the_exits_of_tsm_are_with_and_without_focus() -> None:
    cost = measure_cost(load_run_config("sthv1", tsm(8, 96)).model, convention="paper")
    parts = {part.name: part for part in cost.parts}
    assert len(cost.exit_gflops) == 2
    # Eight frames and FC_G; the released table counts f_C's half of the glance here, too (0.299956768 a frame).
    assert cost.exit_gflops[0] == pytest.approx(8 * (0.299511328 + 1280 * 174 / 1e9), abs=1e-12)
    each = parts["global_encoder"].gflops_each + parts["global_head"].gflops_each
    assert each + parts["classifier_glance"].gflops_each == pytest.approx(0.299956768, abs=1e-12)
    # The released total has FC_L, too, which no prediction runs.
    assert cost.gflops + 8 * 2048 * 174 / 1e9 == pytest.approx(8.8245, abs=5e-5)
    assert cost.parameters == 28_622_054
    assert cost.crop_gflops > 0


def test_without_reuse_of_global_features_tsm_has_one_exit() -> None:
    cost = measure_cost(load_run_config("sthv1", ["model.classifier.reuse_global=false"]).model)
    assert cost.exit_gflops == pytest.approx((cost.gflops,))
    assert "global_head" not in {part.name for part in cost.parts}


def test_the_baseline_has_no_policy_no_crops_and_one_exit() -> None:
    config = load_run_config("tsm-plus").model
    cost = measure_cost(config)
    assert cost.crop_gflops == 0
    assert cost.exit_gflops == pytest.approx((cost.gflops,))
    with torch.device("meta"):
        model = build_model(config)
    assert cost.parameters == sum(p.numel() for p in model.parameters())
    assert [part.name for part in cost.parts] == [
        "global_encoder",
        "classifier_glance",
        "local_encoder",
        "classifier_focus",
    ]


def gflops(module: nn.Module, *shapes: tuple[int, ...], convention: Convention = "paper") -> float:
    inputs = [torch.zeros(shape) for shape in shapes]
    return count_operations(module.eval(), *inputs).gflops(convention)[type(module).__name__]


@cache
def encoder_gflops(name: str, side: int) -> dict[Convention, float]:
    with torch.device("meta"):
        encoder = build_encoder(EncoderConfig.model_validate({"name": name}), 3).eval()
        operations = count_operations(encoder, torch.zeros(1, 3, side, side))
    root = type(encoder).__name__
    return {convention: operations.gflops(convention)[root] for convention in CONVENTIONS}


@pytest.mark.parametrize(
    ("name", "side", "operations"),
    [
        ("mobilenet_v2", 224, 299_511_328),
        ("resnet50", 96, 750_725_056),
        ("resnet50", 128, 1_334_601_664),
        ("resnet50", 160, 2_085_300_160),
        ("resnet50", 192, 3_002_820_544),
    ],
)
def test_constants_of_the_encoders(name: str, side: int, operations: int) -> None:
    assert encoder_gflops(name, side)["paper"] == operations / 1e9
    rounded = {96: 0.750725, 128: 1.334602, 160: 2.085300, 192: 3.002821, 224: 0.299511}[side]
    assert round(operations / 1e9, 6) == rounded


@pytest.mark.parametrize(
    ("channels", "num_frames", "side", "scope", "constant"),
    [
        (1280, 16, 7, "frame", 0.822485),
        (1280, 8, 7, "clip", 0.411243),
        (432, 16, 5, "clip", 0.376218),
    ],
)
def test_constants_of_the_spatial_policy(
    channels: int, num_frames: int, side: int, scope: str, constant: float
) -> None:
    policy = SpatialPolicy(channels, channels=128, num_frames=num_frames, map_size=side, scope=scope)
    assert round(gflops(policy, (1, num_frames, channels, side, side)), 6) == constant


@pytest.mark.parametrize(
    ("channels", "num_frames", "constant"), [(1280, 16, 0.004130), (1280, 8, 0.002065), (432, 16, 0.001525)]
)
def test_constants_of_the_temporal_policy(channels: int, num_frames: int, constant: float) -> None:
    assert round(gflops(TemporalPolicy(channels, channels=64), (1, num_frames, channels)), 6) == constant


def test_constant_of_the_classifier() -> None:
    classifier = build_classifier(ClassifierConfig(), ClassifierSizes((1280, 2048), (16, 16), 200))
    assert round(gflops(classifier, (1, 16, 1280), (1, 16, 2048)), 6) == 0.257556


class Volume(nn.Module):
    """Three-dimensional layers, as X3D has them: one grouped convolution and one normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv3d(4, 6, 3, padding=1, groups=2, bias=False), nn.BatchNorm3d(6))

    def forward(self, clip: Tensor) -> Tensor:
        """Return the filtered clip."""
        filtered: Tensor = self.layers(clip)
        return filtered


@pytest.mark.parametrize(
    ("convention", "operations"),
    [
        ("mac", 2 * 5 * 7 * 7 * 6 * 2 * 27),
        ("paper", 2 * 5 * 7 * 7 * 6 * 2 * 27 + 2 * 6),
        ("fvcore", 2 * 5 * 7 * 7 * 6 * 2 * 27 + 2 * 2 * 5 * 7 * 7 * 6),
        ("flop2x", 2 * 2 * 5 * 7 * 7 * 6 * 2 * 27),
    ],
)
def test_conventions_by_hand(convention: Convention, operations: int) -> None:
    assert gflops(Volume(), (2, 4, 5, 7, 7), convention=convention) * 1e9 == pytest.approx(
        operations, abs=1e-3
    )


def test_counting_leaves_the_module_as_it_was() -> None:
    module = Volume()
    gflops(module, (1, 4, 2, 2, 2))
    assert not module.layers[1]._forward_pre_hooks


@pytest.mark.parametrize(
    ("name", "mac", "published"),
    [("resnet50", 4_087_136_256, 4.111), ("mobilenet_v2", 299_494_272, 0.3141)],
)
def test_networks_with_their_classifier_in_other_tables(name: str, mac: int, published: float) -> None:
    channels = {"resnet50": 2048, "mobilenet_v2": 1280}[name]
    head = 1000 * channels / 1e9
    seen = encoder_gflops(name, 224)
    assert seen["mac"] == mac / 1e9
    assert seen["fvcore"] + head == pytest.approx(published, abs=6e-4)
    assert seen["flop2x"] == 2 * mac / 1e9


def test_every_convention_says_what_it_counts() -> None:
    config = load_run_config("activitynet").model
    reports = {name: measure_cost(config, convention=name) for name in CONVENTIONS}
    assert all(report.convention == name for name, report in reports.items())
    assert reports["flop2x"].gflops == pytest.approx(2 * reports["mac"].gflops)
    assert reports["mac"].gflops < reports["paper"].gflops < 1.0001 * reports["mac"].gflops
    assert reports["paper"].gflops < reports["fvcore"].gflops
    assert measure_cost(config) == reports["mac"]
