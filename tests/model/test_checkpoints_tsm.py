"""Released TSM checkpoints: round trip, refusals that name the tensors, settings that would load silently."""

import logging
from pathlib import Path

import pytest
import torch

from neurofocus.errors import BundleError
from neurofocus.model.checkpoints import load_released, to_released
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.load import load_run_config
from neurofocus.schema.model import ModelConfig

State = dict[str, torch.Tensor]
FIRST = "global_CNN.base_model.features.3.conv.0"


def config(*overrides: str) -> ModelConfig:
    """Return a narrow model with the released architecture's names."""
    narrow = [
        "model.num_classes=5",
        "model.frame_size=64",
        "model.patch_size=32",
        "model.num_frames=9",
        "model.num_glance_frames=4",
        "model.num_focus_frames=3",
        "model.global_encoder.width=0.25",
        "model.local_encoder.width=0.1",
    ]
    return load_run_config("sthv1", [*narrow, *overrides]).model


@pytest.fixture(scope="module")
def model() -> UniAdaFocus:
    torch.manual_seed(4)
    return UniAdaFocus(config())


@pytest.fixture
def released(model: UniAdaFocus) -> State:
    return to_released(model)


def save(path: Path, state: State) -> Path:
    """Write a file as the released code does."""
    content = {
        "epoch": 1,
        "arch": "TSN",
        "state_dict": {f"module.{name}": value for name, value in state.items()},
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": [{"lr": 0.01}]},
        "best_prec1": torch.tensor(47.5),
    }
    torch.save(content, path)
    return path


def test_round_trip(tmp_path: Path, model: UniAdaFocus, released: State) -> None:
    loaded = load_released(save(tmp_path / "a.pth.tar", released), config())
    assert not loaded.training
    expected = model.state_dict()
    assert list(loaded.state_dict()) == list(expected)
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())
    assert len(released) == 672


def test_a_plain_state_without_prefix_loads(tmp_path: Path, released: State) -> None:
    torch.save(released, tmp_path / "plain.pth")
    load_released(tmp_path / "plain.pth", config())


def test_missing_extra_and_misshapen_tensors_are_named_as_in_the_file(
    tmp_path: Path, released: State
) -> None:
    del released["local_CNN.new_fc.bias"]
    released |= {"stray.weight": torch.zeros(1), "aux_fc.bias": torch.zeros(9)}
    with pytest.raises(BundleError) as error:
        load_released(save(tmp_path / "a.pth", released), config())
    message = str(error.value)
    assert "1 missing: local_CNN.new_fc.bias; 1 unexpected: stray.weight" in message
    assert "1 other shape: aux_fc.bias (9,) instead of (5,)" in message
    assert message.endswith(
        "use the shipped configuration 'sthv1', 'sthv2' or 'jester' with this file's settings"
    )
    assert "\n" not in message


def test_shifts_in_other_places_are_refused(tmp_path: Path, released: State) -> None:
    """Both networks have the same tensors; only the names tell where the file's sees its neighbours."""
    moved = {name.replace(f"{FIRST}.net.", f"{FIRST}."): value for name, value in released.items()}
    with pytest.raises(BundleError, match=rf"1 missing: {FIRST}\.net\.weight; 1 unexpected: {FIRST}\.weight"):
        load_released(save(tmp_path / "a.pth", moved), config())
    half = config("model.local_encoder.temporal_shift=false")
    with pytest.raises(
        BundleError, match=r"unexpected: local_CNN\.base_model\.layer1\.0\.conv1\.net\.weight"
    ):
        load_released(save(tmp_path / "b.pth", released), half)


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("model.num_classes=7", r"set model\.num_classes=5 \(configured: 7\)$"),
        ("model.num_glance_frames=6", r"set model\.num_glance_frames=4 \(configured: 6\)$"),
        ("model.spatial_policy.scope=frame", r"use the shipped configuration 'sthv1', 'sthv2' or 'jester'"),
    ],
)
def test_a_mismatch_names_the_setting(tmp_path: Path, released: State, override: str, hint: str) -> None:
    with pytest.raises(BundleError, match=hint) as error:
        load_released(save(tmp_path / "a.pth", released), config(override))
    assert "\n" not in str(error.value)


def test_the_other_family_is_named(tmp_path: Path, released: State) -> None:
    path = save(tmp_path / "a.pth", released)
    with pytest.raises(BundleError, match=r"is a TSM checkpoint .*'sthv1', 'sthv2' or 'jester'"):
        load_released(path, load_run_config("activitynet").model)
    frames = {"global_CNN.features.0.0.weight": torch.zeros(1)}
    with pytest.raises(BundleError, match=r"is a MobileNetV2 \+ ResNet-50 checkpoint .*'activitynet'"):
        load_released(save(tmp_path / "b.pth", frames), config())
    with pytest.raises(BundleError, match=r"model\.kind is tsm_plus, of which none is released"):
        load_released(path, config("model.kind=tsm_plus"))


def test_settings_that_load_silently_are_mentioned(
    tmp_path: Path, released: State, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path / "sthv2_p128_8and12.pth.tar", released)
    load_released(path, config())
    assert "patches of 128 pixels by its name, model.patch_size is 32" in caplog.text
    assert "8 glance and 12 focus frames by its name, configured are 4 and 3" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        load_released(path.rename(tmp_path / "sthv2_p32_4and3.pth.tar"), config())
    assert not caplog.text
