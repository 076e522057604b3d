"""YAML and ``--set`` become settings; every mistake is named, in one line."""

import re
import time
from pathlib import Path

import pytest

from neurofocus.errors import ConfigError
from neurofocus.schema.load import load_cohort_spec, load_run_config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def refused(source: str | Path, *words: str, overrides: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigError) as caught:
        load_run_config(source, overrides)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def test_shipped_names_and_files_load_alike(file: Path) -> None:
    file.write_text("model: {patch_size: 96}\ntrain:\n  epochs: 3\n", encoding="utf-8")
    config = load_run_config(file)
    assert config.model.patch_size == 96
    assert config.train.epochs == 3
    assert config.train.momentum == 0.9
    assert load_run_config("activitynet").model.patch_size == 128
    file.write_bytes(b"\xef\xbb\xbfseed: 4\r\n")  # as some editors save it
    assert load_run_config(str(file)).seed == 4


def test_overrides_win_in_order() -> None:
    config = load_run_config(
        "demo",
        [
            "train.epochs=2",
            "train.epochs=5",
            "prepare.range_mm=[-30, 10]",
            "model.global_encoder={name: resnet34}",
        ],
    )
    assert config.train.epochs == 5
    assert config.prepare.range_mm == (-30, 10)
    assert config.model.global_encoder.name == "resnet34"
    assert load_run_config("demo", ["train.grad_clip=null"]).train.grad_clip is None


@pytest.mark.parametrize("text", ["train: {amp: off}", "train: {amp: 'off'}", "train: {amp: OFF}"])
def test_off_is_a_word(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    assert load_run_config(file).train.amp == "off"
    assert load_run_config("demo", ["train.amp=off"]).train.amp == "off"


def test_every_mistake_at_once(file: Path) -> None:
    file.write_text(
        "seed: x\nmodel:\n  patch_sise: 3\ntrian: {epochs: 3}\ndata: {folds: 1}\n", encoding="utf-8"
    )
    message = refused(
        file,
        "seed: input should be a valid integer",
        "(got 'x')",
        "model.patch_sise: unknown key (value 3); did you mean 'patch_size'?",
        "trian: unknown key (value {'epochs': 3}); did you mean 'train'?",
        "data.folds: input should be greater than or equal to 2 (got 1)",
    )
    assert message.startswith(f"{file}: ")


def test_a_setting_without_its_group_is_suggested_with_it() -> None:
    with pytest.raises(ConfigError, match=r"epochs: unknown key \(value 3\); did you mean 'train\.epochs'\?"):
        load_run_config("demo", ["epochs=3"])


def test_names_are_suggested_whatever_their_case() -> None:
    with pytest.raises(ConfigError, match=r"cohort 'ADNI' is not shipped; did you mean 'adni'\?"):
        load_cohort_spec("ADNI")


def test_no_suggestion_without_a_near_name(file: Path) -> None:
    file.write_text("qqqq: 1", encoding="utf-8")
    assert "did you mean" not in refused(file, "qqqq: unknown key (value 1)")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: ${oc.env:HOME}", "'${…}' is refused in files"),
        ("seed: 1\nseed: 2", "found duplicate key seed"),
        ("- 1\n- 2", "must hold 'key: value' lines"),
        ("", "must hold 'key: value' lines"),
        ("# only words", "must hold 'key: value' lines"),
        ("null", "must hold 'key: value' lines"),
        ("model:", "model: input should be a valid dictionary"),
        ("model: []", "model: input should be a valid dictionary"),
        ("a: [1", "not valid YAML"),
        ("a:\tb\n\t- x", "not valid YAML"),
        ("seed: \0", "not valid YAML"),
        ("!!python/object/apply:os.system ['echo']", "not valid YAML"),
        ("seed: 1\n---\nseed: 2", "expected a single document"),
        ("a: &a [*a]", "not valid YAML"),
        ("1: 2", "keys should be strings"),
        ("seed: ???", "seed: input should be a valid integer"),
        ("train: {epochs: 2.5}", "train.epochs: input should be a valid integer"),
        ("train: {weight_decay: .inf}", "train.weight_decay: input should be a finite number"),
        ("train: {learning_rates: {policy: .nan}}", "policy: input should be a finite number"),
        ("seed: 4294967296", "seed: input should be less than 4294967296"),
        ("seed: -1", "seed: input should be greater than or equal to 0"),
        ("cohort: 7", "cohort: input should be a valid string (got 7); put it in quotes"),
        ("prepare: {axis: up}", "input should be 'coronal', 'axial' or 'sagittal' (got 'up')"),
    ],
)
def test_refused_files(file: Path, text: str, words: str) -> None:
    file.write_text(text, encoding="utf-8")
    refused(file, words, "mine.yaml")


def test_bombs_are_answered_quickly(file: Path) -> None:
    start = time.monotonic()
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n + 1}: &a{n + 1} [{','.join([f'*a{n}'] * 9)}]" for n in range(9)]
    file.write_text("\n".join(lines), encoding="utf-8")
    refused(file, "not valid YAML")
    file.write_text("[" * 5000 + "]" * 5000, encoding="utf-8")
    refused(file, "nested too deeply")
    file.write_text("x: " + "a" * 2**21, encoding="utf-8")
    refused(file, "bytes are no settings")
    assert time.monotonic() - start < 5


def test_long_values_are_shortened(file: Path) -> None:
    file.write_text("seed: " + "a" * 100_000, encoding="utf-8")
    assert len(refused(file, "aaaa…")) < 400


def test_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    refused(tmp_path / "absent.yaml", "absent.yaml: cannot be read (No such file or directory)")
    refused(tmp_path / "folder.yaml", "folder.yaml: cannot be read (Is a directory)")
    refused(tmp_path / "binary.yaml", "binary.yaml: cannot be read (not UTF-8 text)")


@pytest.mark.parametrize("source", ["demmo", "", ".", "demo.yml.txt", "/etc/passwd", "../configs/demo"])
def test_only_shipped_names_and_yaml_files_are_read(source: str) -> None:
    message = refused(source, f"config {source!r} is not shipped", "or a .yaml file")
    assert ("did you mean 'demo'?" in message) == (source == "demmo")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed", "--set 'seed': write it as a.b=VALUE"),
        ("=3", "write it as a.b=VALUE"),
        (" =3", "write it as a.b=VALUE"),
        ("seed=${x}", "write it as a.b=VALUE"),
        ("seed=[1", "--set 'seed=[1': "),
        ("seed=!!python/name:os.system", "--set 'seed=!!python/name:os.system': "),
        ("train.epoch=3", "train.epoch: unknown key (value 3); did you mean 'epochs'?"),
        ("model.patch_size=", "model.patch_size: input should be a valid integer (got None)"),
        ("model.patch_size=big", "(got 'big')"),
        ("model=3", "model: input should be a valid dictionary"),
        ("model.patch_size.x=3", "model.patch_size: input should be a valid integer"),
        ("model..patch_size=3", "unknown key"),
        ("prepare.range_mm.0=3", "a list has no keys; give the whole list"),
        ("prepare.range_mm=[1]", "prepare.range_mm"),
        ("model.global_encoder.name=resnet", "'mobilenet_v2', 'resnet18'"),
    ],
)
def test_refused_overrides(override: str, words: str) -> None:
    refused("demo", words, overrides=(override,))


def test_cohort_mistakes(file: Path) -> None:
    file.write_text("name: x\nlayout: bds\nsimulation: {subjects: 4, voxl_mm: 3}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_cohort_spec(file)
    message = str(caught.value)
    for words in (
        "title: field required",
        "layout: input should be 'bids', 'caps', 'ida', 'oasis1', 'oasis2', 'oasis3' or 'table' (got 'bds')",
        "simulation.subjects: input should be greater than or equal to 8 (got 4)",
        "simulation.voxl_mm: unknown key (value 3); did you mean 'voxel_mm'?",
    ):
        assert words in message
    with pytest.raises(ConfigError, match=re.escape("cohort 'dem' is not shipped; did you mean 'demo'?")):
        load_cohort_spec("dem")
