"""The converter of released checkpoints: nothing is left over, nothing is left random."""

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


def config(*overrides: str) -> ModelConfig:
    """Return a narrow model with the released architecture's names."""
    narrow = [
        "model.num_classes=5",
        "model.frame_size=64",
        "model.patch_size=32",
        "model.num_frames=6",
        "model.num_glance_frames=3",
        "model.num_focus_frames=2",
        "model.global_encoder.width=0.25",
        "model.local_encoder.width=0.1",
        "model.classifier.hidden=8",
    ]
    return load_run_config("activitynet", [*narrow, *overrides]).model


@pytest.fixture(scope="module")
def model() -> UniAdaFocus:
    torch.manual_seed(4)
    return UniAdaFocus(config())


@pytest.fixture
def released(model: UniAdaFocus) -> State:
    """Return what a released file holds: our state under its names, and ImageNet's heads."""
    heads = {
        "global_CNN.classifier.weight": torch.zeros(1000, 1280),
        "global_CNN.classifier.bias": torch.zeros(1000),
        "local_CNN.fc.weight": torch.zeros(1000, 204),
        "local_CNN.fc.bias": torch.zeros(1000),
    }
    return to_released(model) | heads


def save(path: Path, state: State) -> Path:
    torch.save({"epoch": 1, "state_dict": {f"module.{name}": value for name, value in state.items()}}, path)
    return path


def test_round_trip(tmp_path: Path, model: UniAdaFocus, released: State) -> None:
    loaded = load_released(str(save(tmp_path / "a.pth.tar", released)), config())
    assert not loaded.training
    expected = model.state_dict()
    assert list(loaded.state_dict()) == list(expected)
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())


def test_released_names_are_the_recorded_ones(released: State) -> None:
    keys = (Path(__file__).parents[1] / "golden" / "activitynet_mn2_r50.keys.json").read_text()
    recorded = [line.split('"')[1] for line in keys.splitlines() if ":" in line]
    missing = [name for name in released if name not in recorded]
    assert not missing
    # The narrow model has fewer heads and nothing else less.
    left = {name for name in recorded if name not in released}
    assert all(
        name.startswith(("classifier.global_classifiers.", "classifier.local_classifiers.")) for name in left
    )


def test_a_name_too_many_is_refused(tmp_path: Path, released: State) -> None:
    path = save(tmp_path / "a.pth", released | {"stray.weight": torch.zeros(1)})
    with pytest.raises(BundleError, match=r"1 unexpected: stray\.weight; use the shipped configuration"):
        load_released(path, config())


def test_missing_and_misshapen_tensors_are_named_as_in_the_file(tmp_path: Path, released: State) -> None:
    missing = ("global_CNN.features.1.conv.4.weight", "temporal_policy.Tconv.6.weight", "aux_fc.bias")
    for name in missing:
        del released[name]
    released["global_CNN_fc.1.bias"] = torch.zeros(9)
    with pytest.raises(BundleError) as error:
        load_released(save(tmp_path / "a.pth", released), config())
    message = str(error.value)
    assert f"3 missing: {', '.join(missing)}; " in message
    assert "1 other shape: global_CNN_fc.1.bias (9,) instead of (5,); use" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("model.num_classes=7", r"set model\.num_classes=5 \(configured: 7\)$"),
        ("model.num_glance_frames=6", r"set model\.num_glance_frames=3 \(configured: 6\)$"),
        ("model.num_focus_frames=4", r"set model\.num_focus_frames=2 \(configured: 4\)$"),
    ],
)
def test_a_mismatch_names_the_setting(tmp_path: Path, released: State, override: str, hint: str) -> None:
    path = save(tmp_path / "a.pth", released)
    with pytest.raises(BundleError, match=hint) as error:
        load_released(path, config(override))
    assert "\n" not in str(error.value)


def test_another_architecture_is_refused(tmp_path: Path, released: State) -> None:
    path = save(tmp_path / "a.pth", released)
    with pytest.raises(BundleError, match="other shape"):
        load_released(path, config("model.spatial_policy.channels=64"))
    with pytest.raises(BundleError, match=r"198 unexpected: local_CNN\.layer1\.0\.conv3"):
        load_released(path, config("model.local_encoder.name=resnet18"))


@pytest.mark.parametrize(
    ("name", "family"),
    [
        (
            "global_CNN.base_model.features.3.conv.0.net.weight",
            "a TSM checkpoint .*use the shipped configuration",
        ),
        ("local_CNN.s1.pathway0_stem.conv.weight", "an X3D checkpoint .*only"),
    ],
)
def test_other_families_are_named(tmp_path: Path, name: str, family: str) -> None:
    path = save(tmp_path / "a.pth", {name: torch.zeros(1)})
    with pytest.raises(BundleError, match=f"is {family}"):
        load_released(path, config())


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(BundleError, match="not a readable weight file"):
        load_released(tmp_path / "a.pth", config())
    with pytest.raises(BundleError, match="not a readable weight file"):
        load_released(tmp_path / "absent.pth", config())


def test_settings_that_load_silently_are_mentioned(
    tmp_path: Path, released: State, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path / "actnet_p128.pth.tar", released)
    load_released(path, config("model.patches={antialias: true, padding: border}"))
    assert "patches of 128 pixels by its name, model.patch_size is 32" in caplog.text
    assert "set model.patches.antialias=false" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        load_released(path.rename(tmp_path / "actnet_p32.pth.tar"), config())
    assert not caplog.text
