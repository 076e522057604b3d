"""Calling a cross-validation of the tiny SYNTHETIC cohort: again, in parts, wrongly, on other cohorts."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nibabel.loadsave import load

from neurofocus.errors import CohortError, ConfigError, NeurofocusError
from neurofocus.files import sha256_file
from neurofocus.schema.run import RunConfig
from neurofocus.tables import read_tsv
from neurofocus.workflows import cross_validate as module
from neurofocus.workflows.bundle import load_bundle
from neurofocus.workflows.cross_validate import CrossValidationResult, cross_validate, run_config


@pytest.fixture
def config(tiny_cohort: Path, tiny_config: Path) -> RunConfig:
    return run_config(str(tiny_cohort), tiny_config)


@pytest.fixture
def copy(tiny_run: Path, tmp_path: Path) -> Path:
    """The finished run, to be continued or spoiled."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """The cohort, to be spoiled."""
    return Path(shutil.copytree(tiny_data, tmp_path / "data"))


def run(config: RunConfig, out: Path, **options: object) -> CrossValidationResult:
    return cross_validate(config, out=out, device="cpu", **options)  # type: ignore[arg-type]


def scans(folder: Path) -> list[Path]:
    return sorted(folder.glob("sub-*/anat/*_T1w.nii.gz"))


def relabel(data: Path, labels: list[str]) -> None:
    """Give participant i the diagnosis labels[i mod n]."""
    path = data / "participants.tsv"
    table = read_tsv(path)
    table["diagnosis"] = [labels[number % len(labels)] for number in range(len(table))]
    table.to_csv(path, sep="\t", index=False)


# Calling it again.


def test_again_changes_nothing(copy: Path, config: RunConfig) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.glob("fold-*/*") if path.name != ".lock"}
    names = [
        "predictions.tsv",
        "metrics.json",
        "report.html",
        "cohort.tsv",
        "folds.tsv",
        "bundle/bundle.json",
    ]
    digests = {name: sha256_file(copy / name) for name in names}
    result = run(config, copy)
    assert result.complete
    assert result.metrics == json.loads((copy / "metrics.json").read_text(encoding="utf-8"))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert {name: sha256_file(copy / name) for name in names} == digests


def test_what_was_lost_is_made_again(copy: Path, config: RunConfig) -> None:
    digests = {
        path: sha256_file(path) for path in copy.rglob("*.*") if path.is_file() and path.name != ".lock"
    }
    shutil.rmtree(copy / "bundle")
    (copy / "fold-1" / "DONE").unlink()
    (copy / "fold-2" / "best.safetensors").write_bytes(b"damaged")
    (copy / "predictions.tsv").unlink()
    assert run(config, copy).complete
    assert {path: sha256_file(path) for path in digests} == digests


def test_folds_as_jobs_of_their_own(tmp_path: Path, tiny_run: Path, config: RunConfig) -> None:
    out = tmp_path / "jobs"
    first = run(config, out, fold=2)
    assert not first.complete
    assert first.metrics is None
    assert first.message == "still to be run: fold 1 (of 2 in all)"
    assert not (out / "predictions.tsv").exists()
    assert not (out / "fold-1").exists()
    last = run(config, out, fold=1)
    assert last.complete
    for name in ("predictions.tsv", "metrics.json", "folds.tsv", "cohort.tsv"):
        assert (out / name).read_bytes() == (tiny_run / name).read_bytes()


def test_another_seed_draws_other_folds(tmp_path: Path, tiny_run: Path, config: RunConfig) -> None:
    run(config.model_copy(update={"seed": 1}), tmp_path / "other", fold=1)
    assert (tmp_path / "other" / "folds.tsv").read_bytes() != (tiny_run / "folds.tsv").read_bytes()


def test_fresh_starts_again(copy: Path, tiny_run: Path, config: RunConfig) -> None:
    (copy / "fold-1" / "history.tsv").write_text("spoiled", encoding="utf-8")
    result = run(config.model_copy(update={"seed": 1}), copy, fold=2, fresh=True)
    assert not result.complete
    assert not (copy / "bundle").exists()
    assert (copy / "folds.tsv").read_bytes() != (tiny_run / "folds.tsv").read_bytes()


# Refusals, each before any training.


def refused(config: RunConfig, out: Path, words: str, **options: object) -> str:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(NeurofocusError, match=words) as caught:
        patch.setattr(module, "run_folds", lambda *_, **__: pytest.fail("a fold was started"))
        run(config, out, **options)
    assert "\n" not in str(caught.value)
    assert not list(out.glob("fold-*"))
    return str(caught.value)


def test_another_configuration(copy: Path, config: RunConfig) -> None:
    before = {path: sha256_file(path) for path in copy.rglob("*.*") if path.is_file()}
    train = config.train.model_copy(update={"epochs": 3})
    with pytest.raises(ConfigError, match=r"train\.epochs was 2, now 3"):
        run(config.model_copy(update={"train": train}), copy)
    assert {path: sha256_file(path) for path in before} == before


def test_a_planted_duplicate(tmp_path: Path, data: Path, config: RunConfig) -> None:
    first, second = scans(data)[:2]
    image = load(first)
    image.to_filename(second)  # other bytes, the same voxels
    assert sha256_file(first) != sha256_file(second)
    message = refused(config, tmp_path / "run", "identical voxels under two names", data=data)
    assert "sub-SIM001" in message
    assert "sub-SIM002" in message
    assert not (tmp_path / "run" / "folds.tsv").exists()


def test_one_unreadable_scan(tmp_path: Path, data: Path, config: RunConfig) -> None:
    damaged = scans(data)[4]
    damaged.write_bytes(damaged.read_bytes()[:-2000])
    message = refused(config, tmp_path / "run", "1 of 16 scans cannot be read", data=data)
    assert damaged.name in message


def test_scans_that_cannot_be_read_are_all_named(tmp_path: Path, data: Path, config: RunConfig) -> None:
    for number, path in enumerate(scans(data)[3:10]):
        image = load(path)
        values = np.asarray(image.dataobj).astype(np.float32)
        values[0, 0, 0] = np.nan if number % 2 else np.inf
        type(image)(values, image.affine).to_filename(path)
    out = tmp_path / "run"
    message = refused(config, out, "7 of 16 scans cannot be read", data=data)
    for number in range(4, 9):
        assert f"sub-SIM{number:03d}" in message
    assert "and 2 more" in message


def test_scans_that_cannot_be_prepared_are_all_named(tmp_path: Path, data: Path, config: RunConfig) -> None:
    for number, path in enumerate(scans(data)[3:10]):
        image = load(path)
        affine = image.affine.copy()
        affine[2, 3] += 400 + number  # the frames lie where no brain is
        type(image)(np.asarray(image.dataobj), affine).to_filename(path)
    out = tmp_path / "run"
    message = refused(config, out, "7 of 16 scans cannot be prepared", data=data)
    for number in range(4, 9):
        assert f"sub-SIM{number:03d}" in message
    assert "and 2 more" in message


def test_a_cohort_that_changed(copy: Path, data: Path, config: RunConfig) -> None:
    relabel(data, ["AD", "CN", "CN", "AD"])
    with pytest.raises(
        CohortError, match=r"the cohort changed since these folds were drawn: .* labels changed"
    ):
        run(config, copy, data=data)


def test_a_scan_that_changed(copy: Path, data: Path, config: RunConfig) -> None:
    path = scans(data)[0]
    image = load(path)
    values = np.asarray(image.dataobj)
    noise = np.random.default_rng(0).uniform(0.9, 1.1, values.shape)
    type(image)(values * noise, image.affine).to_filename(path)
    with pytest.raises(ConfigError, match="fold-1: was made with another scans"):
        run(config, copy, data=data)


def test_no_cohort(tmp_path: Path) -> None:
    refused(RunConfig(), tmp_path / "run", "cohort: not set")


def test_a_real_cohort_needs_data(tmp_path: Path, tiny_config: Path) -> None:
    config = run_config("bids", tiny_config)
    refused(config, tmp_path / "run", "cohort 'bids': no data folder; give it with --data DIR")
    refused(config, tmp_path / "run", "--data .*absent: no such folder", data=tmp_path / "absent")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("fold", [0, 3, -1])
def test_folds_that_are_not_there(tmp_path: Path, config: RunConfig, fold: int) -> None:
    refused(config, tmp_path / "run", f"--fold {fold}: accepted are 1 to 2", fold=fold)


def test_colour_frames(tmp_path: Path, config: RunConfig) -> None:
    model = config.model.model_copy(update={"frame_channels": 3, "gray_input": "repeat"})
    words = "model.frame_channels: MRI slices have 1 channel, the configuration says 3"
    refused(config.model_copy(update={"model": model}), tmp_path / "run", words)


def test_too_many_folds(tmp_path: Path, config: RunConfig) -> None:
    data = config.data.model_copy(update={"folds": 9})
    refused(config.model_copy(update={"data": data}), tmp_path / "run", "use fewer folds")


def test_a_folder_of_something_else(tmp_path: Path, config: RunConfig) -> None:
    (tmp_path / "thesis.tex").write_text("years", encoding="utf-8")
    refused(config, tmp_path, "it is not a run", fresh=True)
    assert (tmp_path / "thesis.tex").exists()


def test_a_file_where_the_folder_should_be(tmp_path: Path, config: RunConfig) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    refused(config, tmp_path / "file" / "run", "a file is where a folder is needed")
    refused(config, tmp_path / "file", "a file is where a folder is needed")


# Other cohorts.


def test_any_bids_data_set(tmp_path: Path, tiny_data: Path, tiny_run: Path, tiny_config: Path) -> None:
    """The same scans through the general reader: the same predictions, and still called SYNTHETIC."""
    out = tmp_path / "bids"
    result = run(run_config("bids", tiny_config), out, data=tiny_data)
    assert result.metrics is not None
    assert result.metrics["synthetic"] is True  # the data set says so
    assert result.metrics["bayes_ceiling"] is None
    assert load_bundle(out / "bundle").manifest.synthetic
    assert "SYNTHETIC" in (out / "report.html").read_text(encoding="utf-8")
    names = ["participant_id", "fold", "label"]
    pd.testing.assert_frame_equal(
        read_tsv(out / "predictions.tsv")[names], read_tsv(tiny_run / "predictions.tsv")[names]
    )


@pytest.mark.slow
def test_three_classes(tmp_path: Path, data: Path, tiny_config: Path) -> None:
    relabel(data, ["CN", "MCI", "AD"])
    cohort = tmp_path / "of Alice" / "three.yaml"
    cohort.parent.mkdir()
    cohort.write_text(
        "name: three\ntitle: Three classes\ndescription: A test.\nlayout: bids\nconfig: mri\n"
        "classes: {CN: [CN], MCI: [MCI], AD: [AD]}\n",
        encoding="utf-8",
    )
    out = tmp_path / "run"
    result = run(run_config(str(cohort), tiny_config), out, data=data)
    assert result.metrics is not None
    assert result.metrics["positive"] is None
    assert {"balanced_accuracy", "accuracy", "roc_auc"} <= result.metrics["pooled"].keys()
    assert "sensitivity" not in result.metrics["pooled"]
    assert np.array(result.metrics["confusion_matrix"]).shape == (3, 3)
    columns = ["prob_CN", "prob_MCI", "prob_AD"]
    table = read_tsv(out / "predictions.tsv", numbers=columns)
    assert len(table) == 16
    probabilities = table[columns].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    names = np.array(["CN", "MCI", "AD"])
    assert table["predicted"].tolist() == names[probabilities.argmax(axis=1)].tolist()  # no threshold
    bundle = load_bundle(out / "bundle")
    assert bundle.threshold is None
    assert bundle.manifest.config.model.num_classes == 3
    for path in out.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".tsv", ".html"):
            assert "Alice" not in path.read_text(encoding="utf-8"), path.name


def test_the_cohorts_own_configuration_is_the_default() -> None:
    config = run_config("demo-null", overrides=["seed=3"])
    assert config.cohort == "demo-null"
    assert config.seed == 3
    assert config.model.frame_channels == 1


def test_a_cohort_file_with_an_odd_name(tmp_path: Path, tiny_cohort: Path) -> None:
    for name in ("a=b, c: d.yaml", "[x].yaml"):
        shutil.copy(tiny_cohort, tmp_path / name)
        assert run_config(str(tmp_path / name)).cohort == str(tmp_path / name)
