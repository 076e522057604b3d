"""A bundle comes back as it was packed, and nothing damaged is ever loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from neurofocus.errors import BundleError
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.resources import resource_path
from neurofocus.schema.bundle import BundleManifest, FoldEntry
from neurofocus.schema.load import load_run_config
from neurofocus.schema.model import EncoderConfig
from neurofocus.workflows.bundle import (
    INTENDED_USE,
    default_bundle,
    load_bundle,
    pack_weights,
    save_bundle,
)

NUM_FOLDS = 2


def make_manifest(config_path: Path, *, thresholds: tuple[float | None, ...] = (0.25, 0.5)) -> BundleManifest:
    return BundleManifest(
        name="tiny",
        created="2026-01-01T00:00:00+00:00",
        synthetic=True,
        intended_use=INTENDED_USE,
        classes=("CN", "AD"),
        config=load_run_config(config_path),
        folds=tuple(
            FoldEntry(file=f"fold-{number}.safetensors", sha256="0" * 64, threshold=threshold)
            for number, threshold in enumerate(thresholds, start=1)
        ),
        gflops_per_model=0.5,
        metrics={"pooled": {"roc_auc": {"value": 0.5}}},
        provenance={"versions": {"torch": "x"}},
    )


def states(manifest: BundleManifest) -> list[dict[str, Tensor]]:
    """Weights as after training: every parameter and running statistic is some other number."""
    found = []
    for number in range(len(manifest.folds)):
        generator = torch.Generator().manual_seed(number)
        state = UniAdaFocus(manifest.config.model).state_dict()
        found.append(
            {
                name: torch.rand(value.shape, generator=generator) if value.is_floating_point() else value + 7
                for name, value in state.items()
            }
        )
    return found


@pytest.fixture(scope="module")
def manifest(tiny_config: Path) -> BundleManifest:
    return make_manifest(tiny_config)


@pytest.fixture(scope="module")
def weights(manifest: BundleManifest) -> list[dict[str, Tensor]]:
    return states(manifest)


@pytest.fixture(scope="module")
def saved(
    manifest: BundleManifest, weights: list[dict[str, Tensor]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "bundle"
    save_bundle(folder, manifest, [pack_weights(state, "float32") for state in weights])
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "bundle"))


def test_float32_comes_back_exactly(
    saved: Path, manifest: BundleManifest, weights: list[dict[str, Tensor]]
) -> None:
    bundle = load_bundle(saved)
    assert sorted(path.name for path in saved.iterdir()) == [
        "bundle.json",
        "fold-1.safetensors",
        "fold-2.safetensors",
    ]
    for model, state in zip(bundle.models, weights, strict=True):
        assert not model.training
        loaded = model.state_dict()
        assert loaded.keys() == state.keys()
        for name, value in state.items():
            assert loaded[name].dtype == value.dtype
            assert torch.equal(loaded[name], value), name
    unsealed = {"folds": manifest.folds, "sha256": manifest.sha256}
    assert bundle.manifest.model_copy(update=unsealed) == manifest
    assert [fold.threshold for fold in bundle.manifest.folds] == [0.25, 0.5]


def test_float16_halves_kernels_only(
    manifest: BundleManifest, weights: list[dict[str, Tensor]], tmp_path: Path
) -> None:
    packed = [pack_weights(state, "float16") for state in weights]
    assert len(packed[0]) < 0.6 * len(pack_weights(weights[0], "float32"))
    save_bundle(tmp_path / "b", manifest, packed)
    exact = 0
    for model, state in zip(load_bundle(tmp_path / "b").models, weights, strict=True):
        for name, loaded in model.state_dict().items():
            assert loaded.dtype == state[name].dtype
            if state[name].ndim >= 2:
                torch.testing.assert_close(loaded, state[name], rtol=2**-11, atol=2**-24)
            else:
                assert torch.equal(loaded, state[name]), name
                exact += 1
    assert exact > 20  # biases, normalisation and its statistics


def test_the_same_input_gives_the_same_bytes(
    saved: Path, manifest: BundleManifest, weights: list[dict[str, Tensor]], tmp_path: Path
) -> None:
    save_bundle(tmp_path / "again", manifest, [pack_weights(state, "float32") for state in weights])
    for path in saved.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    assert load_bundle(saved).sha256 == load_bundle(tmp_path / "again").sha256


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [((0.25, 0.5), 0.375), ((0.25, None), 0.25), ((None, None), None), ((0.0, 0.0), 0.0)],
)
def test_the_threshold_is_the_mean_of_the_folds(
    tiny_config: Path,
    weights: list[dict[str, Tensor]],
    tmp_path: Path,
    thresholds: tuple[float | None, float | None],
    expected: float | None,
) -> None:
    manifest = make_manifest(tiny_config, thresholds=thresholds)
    save_bundle(tmp_path / "b", manifest, [pack_weights(state, "float32") for state in weights])
    assert load_bundle(tmp_path / "b").threshold == expected


def refused(folder: Path, words: str) -> None:
    with pytest.raises(BundleError, match=words) as caught:
        load_bundle(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def flip(path: Path, position: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(position * (len(data) - 1))] ^= 0x04
    path.write_bytes(bytes(data))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "flip in the header": lambda path: flip(path, 0.001),
    "flip in the data": lambda path: flip(path, 0.7),
    "flip at the end": lambda path: flip(path, 1.0),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "empty": lambda path: path.write_bytes(b""),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "missing": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["bundle.json", "fold-1.safetensors", "fold-2.safetensors"])
def test_every_damage_is_refused(copy: Path, name: str, damage: str) -> None:
    DAMAGE[damage](copy / name)
    refused(copy, name)


def test_every_flipped_bit_of_the_manifest_is_found(copy: Path) -> None:
    path = copy / "bundle.json"
    data = path.read_bytes()
    for position in range(0, len(data), 13):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(bytes(damaged))
        refused(copy, r"bundle\.json")


def edit(folder: Path, **changes: object) -> None:
    path = folder / "bundle.json"
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes, indent=2), encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "other"}, "format: .*neurofocus-bundle"),
        ({"format_version": 2}, "format_version: .*make it again"),
        ({"colour": "red"}, "colour: "),
        ({"folds": []}, "folds: "),
        ({"folds": [{"file": "../../x.safetensors", "sha256": "0" * 64}]}, r"folds\.0\.file: "),
        ({"classes": ["CN", "MCI", "AD"]}, "3 classes, but model.num_classes is 2"),
        ({"intended_use": "diagnosis"}, "damaged or edited"),
    ],
)
def test_foreign_or_edited_manifests(copy: Path, changes: dict[str, object], words: str) -> None:
    edit(copy, **changes)
    refused(copy, words)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "no json", '{"format": "neurofocus-bundle"'])
def test_other_texts(copy: Path, text: str) -> None:
    (copy / "bundle.json").write_text(text, encoding="utf-8")
    refused(copy, "bundle.json: .*use a bundle of this version")


def test_not_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        refused(path, "not a bundle .*give the folder 'bundle' of a finished 'neurofocus cv'")


def test_weights_of_another_network(
    manifest: BundleManifest, weights: list[dict[str, Tensor]], tmp_path: Path
) -> None:
    fewer = dict(list(weights[0].items())[1:])
    wider = {
        name: value.repeat(*([2] + [1] * (value.ndim - 1))) if value.ndim else value
        for name, value in weights[0].items()
    }
    for number, state in enumerate((fewer, wider)):
        data = [pack_weights(state, "float32"), pack_weights(weights[1], "float32")]
        save_bundle(tmp_path / str(number), manifest, data)
        refused(tmp_path / str(number), r"fold-1\.safetensors: does not fit the bundle's configuration")
    save_bundle(tmp_path / "pickle", manifest, [b"\x80\x04K\x01.", b""])
    refused(tmp_path / "pickle", "does not fit")


def test_initial_weights_are_not_fetched_again(
    manifest: BundleManifest, weights: list[dict[str, Tensor]], tmp_path: Path
) -> None:
    encoder = EncoderConfig(
        name="compact", width=0.25, weights="https://nowhere.invalid/w.pt", weights_sha256="0" * 64
    )
    model = manifest.config.model.model_copy(update={"global_encoder": encoder, "local_encoder": encoder})
    changed = manifest.model_copy(update={"config": manifest.config.model_copy(update={"model": model})})
    save_bundle(tmp_path / "b", changed, [pack_weights(state, "float32") for state in weights])
    bundle = load_bundle(tmp_path / "b")
    assert bundle.manifest.config.model.local_encoder.weights == "https://nowhere.invalid/w.pt"
    assert torch.equal(
        bundle.models[1].state_dict()["global_encoder.conv1.weight"],
        weights[1]["global_encoder.conv1.weight"],
    )


def test_an_interrupted_save_leaves_nothing(
    manifest: BundleManifest, weights: list[dict[str, Tensor]], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="shorter"):
        save_bundle(tmp_path / "b", manifest, [pack_weights(weights[0], "float32")])
    assert not list(tmp_path.iterdir())


def test_the_default_is_the_shipped_one() -> None:
    assert default_bundle() == resource_path("bundles", "demo")
