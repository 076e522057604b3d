"""Uni-AdaFocus-X3D: two exits of f_C's own, Kinetics weights in all heads, cost and configuration of the paper."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from neurofocus.errors import BundleError
from neurofocus.model.checkpoints import load_released, to_released
from neurofocus.model.classifier import PooledMlpClassifier
from neurofocus.model.cost import measure_cost
from neurofocus.model.encoders.x3d import X3D
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.load import load_run_config
from neurofocus.schema.model import ModelConfig, without_initial_weights

TINY: dict[str, Any] = {
    "num_classes": 3,
    "frame_size": 64,
    "glance_size": 48,
    "streams": "separate",
    "num_frames": 6,
    "num_glance_frames": 4,
    "num_focus_frames": 3,
    "patch_size": 32,
    "global_encoder": {"name": "x3d_s", "width": 0.25},
    "local_encoder": {"name": "x3d_l", "width": 0.25},
    "classifier": {"kind": "pooled_mlp", "hidden": 16, "dropout": 0.5},
    "auxiliary_hidden": 16,
    "spatial_policy": {"channels": 8, "scope": "clip"},
}


def _model(**changes: object) -> UniAdaFocus:
    torch.manual_seed(0)
    return UniAdaFocus(ModelConfig.model_validate(TINY | changes)).eval()


def _frames(number: int, seed: int = 1) -> Tensor:
    return torch.randn(2, number, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_two_exits_of_pooled_features() -> None:
    model = _model()
    output = model(_frames(6), glance_frames=_frames(4, 2))
    classifier = model.classifier
    assert isinstance(classifier, PooledMlpClassifier)
    glanced = classifier.global_classifier(output.glance.global_maps.mean((1, 3, 4)))
    focused = classifier.local_classifier(output.focus.local_features.mean(1))
    assert output.logits.shape == (2, 2, 3) == (2, classifier.num_exits, 3)
    torch.testing.assert_close(output.logits, torch.stack([glanced, glanced + focused], dim=1))
    assert output.glance.global_maps.shape == (2, 4, 108, 2, 2)  # 48 pixels
    torch.testing.assert_close(output.boxes, output.boxes[:, :1].expand(2, 3, 4))  # one box a clip


@torch.no_grad()
def test_the_glance_exit_needs_no_focus() -> None:
    model = _model()
    output = model(_frames(6), glance_frames=_frames(4))
    none = output.focus.local_features[:, :0]
    assert torch.equal(model.classifier(output.glance.global_features, none), output.logits[:, :1])


@torch.no_grad()
def test_without_reuse_of_global_features_there_is_one_exit() -> None:
    model = _model(classifier={"kind": "pooled_mlp", "hidden": 16, "reuse_global": False})
    output = model(_frames(6), glance_frames=_frames(4))
    expected = model.classifier.local_classifier(output.focus.local_features.mean(1))  # type: ignore[operator]
    torch.testing.assert_close(output.logits, expected[:, None])
    assert len(measure_cost(model.config).exit_gflops) == 1


def _kinetics(path: Path, variant: Any, num_classes: int) -> dict[str, Tensor]:
    encoder = X3D(variant=variant, width=0.25)
    state = encoder.state_dict() | {
        "head.lin_5.weight": torch.randn(16, encoder.out_channels, 1, 1, 1),
        "head.projection.weight": torch.randn(num_classes, 16),
        "head.projection.bias": torch.randn(num_classes),
    }
    torch.save({"model_state": state}, path)
    return state


@pytest.mark.parametrize(("num_classes", "filled"), [(3, True), (4, False)])
def test_kinetics_weights_fill_encoders_and_heads(num_classes: int, filled: bool, tmp_path: Path) -> None:
    states = {
        "global": _kinetics(tmp_path / "s.pyth", "s", num_classes),
        "local": _kinetics(tmp_path / "l.pyth", "l", num_classes),
    }
    model = _model(
        global_encoder={"name": "x3d_s", "width": 0.25, "weights": str(tmp_path / "s.pyth")},
        local_encoder={"name": "x3d_l", "width": 0.25, "weights": str(tmp_path / "l.pyth")},
    )
    ours = model.state_dict()
    for stage, state in states.items():
        assert torch.equal(
            ours[f"{stage}_encoder.s5.pathway0_res3.branch2.c.weight"],
            state["s5.pathway0_res3.branch2.c.weight"],
        )
        for head in (f"classifier.{stage}_classifier", f"{stage}_head"):
            fits = ours[f"{head}.projection.bias"].shape == state["head.projection.bias"].shape
            assert fits == filled
            same = torch.equal(ours[f"{head}.lin_5.weight"], state["head.lin_5.weight"].flatten(1))
            assert same == filled
    bare = UniAdaFocus(without_initial_weights(model.config))  # trained weights follow: no file is read
    bare.load_state_dict(ours)


def test_cost_is_the_papers() -> None:
    cost = measure_cost(load_run_config("kinetics400").model, convention="paper")
    parts = {part.name: part.gflops for part in cost.parts}
    assert round(cost.gflops, 2) == 8.78
    assert cost.executed_gflops <= 1.005 * cost.gflops
    assert round(parts["global_encoder"] + parts["classifier_glance"], 6) == 2.415453
    assert round(parts["local_encoder"] + parts["classifier_focus"], 6) == 5.984521
    assert round(parts["spatial_policy"], 6) == 0.376218
    assert round(parts["temporal_policy"], 6) == 0.001525
    assert cost.exit_gflops == pytest.approx((2.415453, 8.777717), abs=1e-6)


def test_reported_cost_is_executed() -> None:
    model = _model()
    cost = measure_cost(model.config)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(_frames(6)[:1], glance_frames=_frames(4)[:1])
    assert counter.get_total_flops() / 2e9 == pytest.approx(cost.executed_gflops, rel=1e-6)
    assert cost.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert cost.exit_gflops[-1] == pytest.approx(cost.gflops)


def test_the_setting_of_the_paper() -> None:
    config = load_run_config("kinetics400")
    model, train, rates = config.model, config.train, config.train.learning_rates
    assert (model.num_frames, model.num_glance_frames, model.num_focus_frames) == (96, 16, 32)
    assert (model.frame_size, model.glance_size, model.patch_size) == (224, 160, 128)
    assert (model.global_encoder.name, model.local_encoder.name) == ("x3d_s", "x3d_l")
    assert (model.num_classes, model.streams, model.spatial_policy.scope) == (400, "separate", "clip")
    assert (train.epochs, train.batch_size, train.optimizer, train.momentum) == (50, 64, "sgd", 0.9)
    assert (train.weight_decay, train.grad_clip, train.objective.size_weight) == (5e-5, 20.0, 0.5)
    assert (rates.global_encoder, rates.local_encoder, rates.policy) == (0.0025, 0.005, 0.002)


def test_no_checkpoint_of_this_model_was_released(tmp_path: Path) -> None:
    config = load_run_config("kinetics400").model
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "a.pth")
    with pytest.raises(BundleError, match=r"no Uni-AdaFocus-X3D checkpoint was released.*X3D-S and X3D-L"):
        load_released(tmp_path / "a.pth", config)
    with pytest.raises(ValueError, match="no Uni-AdaFocus-X3D checkpoint was released"):
        to_released(_model())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"classifier": {"kind": "max_pooling"}},
            "X3D a clip at a time; set classifier.kind to average or pooled_mlp",
        ),
        (
            {"kind": "tsm_plus"},
            "pooled_mlp predicts twice, kind tsm_plus once; set classifier.kind to average",
        ),
        ({"global_encoder": {"name": "x3d_s", "temporal_shift": True}}, "not available for x3d_s"),
    ],
)
def test_what_does_not_fit(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ModelConfig.model_validate(TINY | changes)
