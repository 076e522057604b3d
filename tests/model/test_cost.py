"""Measured cost against the paper's figures, and against what a real forward pass executes."""

from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from neurofocus.model.cost import CostReport, measure_cost
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.load import load_run_config
from neurofocus.schema.model import ModelConfig

_SMALL = [
    "model.num_classes=3",
    "model.frame_size=96",
    "model.num_frames=8",
    "model.num_glance_frames=4",
    "model.num_focus_frames=3",
    "model.patch_size=64",
    "model.global_encoder={name: resnet18, width: 0.25}",
    "model.local_encoder={name: resnet18, width: 0.25}",
    "model.classifier.hidden=32",
]


def activitynet(patch_size: int = 128) -> ModelConfig:
    return load_run_config("activitynet", [f"model.patch_size={patch_size}"]).model


def small(*overrides: str) -> ModelConfig:
    return load_run_config("activitynet", [*_SMALL, *overrides]).model


def executed(config: ModelConfig) -> float:
    """Count a real forward pass, 1e9 multiply-adds."""
    model = UniAdaFocus(config).eval()
    side = config.frame_size
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(torch.randn(1, config.num_frames, config.frame_channels, side, side))
    return counter.get_total_flops() / 2e9


@pytest.fixture(scope="module")
def report() -> CostReport:
    return measure_cost(activitynet())


@pytest.mark.parametrize(("patch_size", "paper"), [(96, 17.89), (128, 27.23), (160, 39.24)])
def test_activitynet_is_the_papers_and_executes_at_most_one_percent_more(
    patch_size: int, paper: float
) -> None:
    cost = measure_cost(activitynet(patch_size))
    assert cost.gflops == pytest.approx(paper, abs=0.005)
    assert cost.gflops < cost.executed_gflops <= 1.01 * cost.gflops


def test_parts_are_the_papers(report: CostReport) -> None:
    each = {part.name: part.gflops_each for part in report.parts}
    assert each["global_encoder"] == pytest.approx(0.2995, abs=5e-5)
    assert each["local_encoder"] == pytest.approx(1.3346, abs=5e-5)
    whole = {part.name: part.gflops for part in report.parts}
    assert whole["spatial_policy"] == pytest.approx(0.8225, abs=5e-5)
    assert whole["temporal_policy"] == pytest.approx(0.0041, abs=5e-5)
    assert whole["classifier_glance"] + whole["classifier_focus"] == pytest.approx(0.2574, abs=5e-5)


def test_classifier_by_hand(report: CostReport) -> None:
    parts = {part.name: part for part in report.parts}
    # 16 frames 1280 -> 4096 and 16 heads 4096 -> 200; then 2048 -> 4096 and 8192 -> 200 a focus step.
    assert parts["classifier_glance"].gflops == pytest.approx(16 * (1280 * 4096 + 4096 * 200) / 1e9)
    assert parts["classifier_focus"].gflops_each == pytest.approx((2048 * 4096 + 8192 * 200) / 1e9)


def test_parameters(report: CostReport) -> None:
    parameters = {part.name: part.parameters for part in report.parts}
    assert parameters["spatial_policy"] == 1_074_432
    assert parameters["temporal_policy"] == 258_368
    assert parameters["classifier_glance"] + parameters["classifier_focus"] == 52_984_064
    assert report.training_parameters == 200 * (1280 + 1) * 2 + 200 * (2048 + 1)
    with torch.device("meta"):
        model = UniAdaFocus(activitynet())
    assert report.parameters == sum(p.numel() for p in model.parameters())


def test_exit_steps_are_the_released_tables(report: CostReport) -> None:
    steps = report.exit_gflops
    assert len(steps) == 32
    assert set(steps[:16]) == {steps[0]}  # all glance frames are processed at once
    assert steps[15] == pytest.approx(4.889, abs=5e-4)
    assert steps[16] == pytest.approx(7.060, abs=5e-4)
    assert steps[-1] == pytest.approx(27.230, abs=1e-3)
    assert steps[-1] == pytest.approx(report.gflops)
    gains = [after - before for before, after in pairwise(steps[16:])]
    assert max(gains) == pytest.approx(min(gains))


@pytest.mark.parametrize(
    ("overrides", "exits"),
    [
        ((), 7),
        (("model.classifier.kind=average",), 7),
        (("model.classifier.reuse_global=false",), 3),
        (("model.classifier={kind: average, reuse_global: false}",), 3),
        (("model.temporal_policy.dynamic=false",), 7),
        (("model.spatial_policy.scope=clip",), 7),
        (("model.glance_size=64", "model.patches={antialias: true, padding: border}"), 7),
        (("model.frame_channels=1", "model.gray_input=average"), 7),
        (("model.frame_channels=1",), 7),
    ],
)
def test_every_variant_is_counted_completely(overrides: tuple[str, ...], exits: int) -> None:
    config = small(*overrides)
    cost = measure_cost(config)
    model = UniAdaFocus(config).eval()
    assert len(cost.exit_gflops) == exits == model.classifier.num_exits
    assert cost.exit_gflops[-1] == pytest.approx(cost.gflops)
    assert list(cost.exit_gflops) == sorted(cost.exit_gflops)
    assert executed(config) == pytest.approx(cost.executed_gflops, rel=1e-9)
    assert 0 < cost.crop_gflops < 0.02 * cost.gflops
    assert cost.parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", ["demo", "mri"])
def test_shipped_configurations_execute_at_most_one_percent_more(name: str) -> None:
    cost = measure_cost(load_run_config(name).model)
    assert cost.executed_gflops <= 1.01 * cost.gflops


def test_measuring_fetches_no_weights_and_draws_no_random_numbers() -> None:
    setting = "{name: resnet18, width: 0.25, weights: absent.pth}"
    config = small("model.num_classes=4", f"model.global_encoder={setting}", f"model.local_encoder={setting}")
    before = torch.get_rng_state()
    assert measure_cost(config) == measure_cost(small("model.num_classes=4"))
    assert torch.equal(torch.get_rng_state(), before)
