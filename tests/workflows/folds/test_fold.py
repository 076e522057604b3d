"""The fold job: learns, keeps validation and test apart, survives kill -9, refuses what changed."""

import dataclasses
import multiprocessing
import random
import shutil
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from sklearn.metrics import balanced_accuracy_score

from neurofocus.errors import BundleError, CohortError, ConfigError, NeurofocusError
from neurofocus.files import sha256_file
from neurofocus.model.cost import measure_cost
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.tables import read_tsv
from neurofocus.training.checkpoint import read_checkpoint
from neurofocus.workflows.bundle import pack_weights
from neurofocus.workflows.folds import fold as fold_module
from neurofocus.workflows.folds.fold import run_fold
from neurofocus.workflows.folds.job import FoldJob
from neurofocus.workflows.folds.record import FoldResult, finished_fold

OUTPUTS = (
    "best.safetensors",
    "predictions.tsv",
    "validation.json",
    "history.tsv",
    "exits.npz",
    "last.safetensors",
)
SHORT = "train.epochs=2"


def digests(folder: Path) -> dict[str, str]:
    return {name: sha256_file(folder / name) for name in OUTPUTS}


@pytest.fixture(scope="module")
def learned(synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[FoldJob, FoldResult]:
    job = synthetic.make_job("train.epochs=8")
    return job, run_fold(job, tmp_path_factory.mktemp("learned") / "fold-2")


@pytest.fixture(scope="module")
def short(synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> FoldResult:
    return run_fold(synthetic.make_job(SHORT), tmp_path_factory.mktemp("short") / "fold-2")


def test_it_learns(learned: tuple[FoldJob, FoldResult]) -> None:
    table = learned[1].predictions
    assert balanced_accuracy_score(table["label"], table["predicted"]) > 0.9
    assert learned[1].validation["balanced_accuracy"] > 0.9


def test_prediction_table(learned: tuple[FoldJob, FoldResult]) -> None:
    job, result = learned
    table = result.predictions
    assert list(table.columns) == [
        *("participant_id", "session_id", "fold", "label", "predicted"),
        *("prob_healthy", "prob_disease", "gflops"),
    ]
    tested = job.cases[job.cases["role"] == "test"]
    assert table["participant_id"].tolist() == tested["participant_id"].tolist()
    assert table["label"].tolist() == [job.classes[label] for label in tested["label"]]
    assert set(table["fold"]) == {2}
    np.testing.assert_allclose(table["prob_healthy"] + table["prob_disease"], 1, atol=1e-15)
    positive = table["prob_disease"] >= result.threshold
    assert table["predicted"].tolist() == ["disease" if value else "healthy" for value in positive]
    assert set(table["gflops"]) == {measure_cost(job.config.model).gflops}


def test_stored_weights_give_the_stored_probabilities(learned: tuple[FoldJob, FoldResult]) -> None:
    from safetensors.torch import load_file

    from neurofocus.data.dataset import evaluation_frames
    from neurofocus.training.inference import predict_frames

    job, result = learned
    model = UniAdaFocus(job.config.model)
    model.load_state_dict(load_file(result.folder / "best.safetensors"))
    frames = [evaluation_frames(job.frames[row], job.config.model.num_frames)[0] for row in job.rows("test")]
    probabilities, _ = predict_frames(model, torch.stack(frames))
    np.testing.assert_allclose(probabilities[:, 1], result.predictions["prob_disease"], atol=1e-5)
    best = result.validation["best_epoch"]
    losses = read_tsv(result.folder / "history.tsv", numbers=["validation_loss"])["validation_loss"]
    assert losses.idxmin() + 1 == best


def test_finished_fold_is_only_read(
    short: FoldResult, synthetic: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_module, "train_fold", None)
    again = run_fold(synthetic.make_job(SHORT), short.folder)
    pd.testing.assert_frame_equal(again.predictions, short.predictions)
    assert again.validation == short.validation


def test_number_of_workers_is_no_other_job(
    short: FoldResult, synthetic: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_module, "train_fold", None)
    run_fold(synthetic.make_job(SHORT, "data.num_workers=3"), short.folder)


def test_other_exits_are_solved_without_training(
    short: FoldResult, synthetic: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "fold"
    shutil.copytree(short.folder, folder)
    classes = ("healthy", "disease")
    job = synthetic.make_job(SHORT, "exit.every=1", "exit.num_budgets=5")
    assert finished_fold(folder, classes, exits=job.config.exit) is None
    with caplog.at_level("INFO"):
        again = run_fold(job, folder)
    assert "nothing is trained" in caplog.text
    assert len(again.exits.ladder.steps) == job.config.model.num_focus_frames + 1
    assert len(short.exits.ladder.steps) == 2
    assert len(again.exits.rules) <= 5 < len(short.exits.rules)
    pd.testing.assert_frame_equal(again.predictions, short.predictions)
    pd.testing.assert_frame_equal(again.history, short.history)
    assert again.threshold == short.threshold
    assert finished_fold(folder, classes, exits=job.config.exit) is not None


@pytest.mark.parametrize("name", OUTPUTS[:5])
def test_damaged_output_is_made_again(
    short: FoldResult, synthetic: ModuleType, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = digests(short.folder)
    data = bytearray((short.folder / name).read_bytes())
    data[len(data) // 2] ^= 4
    (short.folder / name).write_bytes(data)
    assert finished_fold(short.folder, ("healthy", "disease")) is None
    assert f"{name}: missing or changed" in caplog.text
    run_fold(synthetic.make_job(SHORT), short.folder)
    assert digests(short.folder) == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"fold": 2}'])
def test_unreadable_done_is_made_again(short: FoldResult, synthetic: ModuleType, text: str) -> None:
    before = digests(short.folder)
    (short.folder / "DONE").write_text(text, encoding="utf-8")
    assert finished_fold(short.folder, ("healthy", "disease")) is None
    assert run_fold(synthetic.make_job(SHORT), short.folder).validation == short.validation
    assert digests(short.folder) == before


def test_test_scans_do_not_touch_the_training(
    short: FoldResult, synthetic: ModuleType, tmp_path: Path
) -> None:
    job = synthetic.make_job(SHORT)
    tested = job.rows("test")
    frames, cases = list(job.frames), job.cases.copy()
    frames[tested[0]] = -frames[tested[0]]
    cases.loc[tested, "label"] = 1 - cases.loc[tested, "label"]
    other = run_fold(dataclasses.replace(job, frames=frames, cases=cases), tmp_path / "fold-2")
    for name in ("best.safetensors", "validation.json", "history.tsv"):
        assert (other.folder / name).read_bytes() == (short.folder / name).read_bytes()
    assert other.predictions["prob_disease"][0] != short.predictions["prob_disease"][0]
    pd.testing.assert_series_equal(
        other.predictions["prob_disease"][1:], short.predictions["prob_disease"][1:], atol=1e-6
    )


def test_other_fold_number_draws_other_numbers(
    short: FoldResult, synthetic: ModuleType, tmp_path: Path
) -> None:
    job = dataclasses.replace(synthetic.make_job(SHORT), fold=1)
    result = run_fold(job, tmp_path / "fold-1")
    assert not np.allclose(result.predictions["prob_disease"], short.predictions["prob_disease"])


def test_three_classes_have_no_threshold(synthetic: ModuleType, tmp_path: Path) -> None:
    job = synthetic.make_job("train.epochs=1", "model.num_classes=3")
    cases = job.cases.assign(label=np.arange(len(job.cases)) % 3)
    result = run_fold(dataclasses.replace(job, classes=("a", "b", "c"), cases=cases), tmp_path)
    assert result.threshold is None
    probabilities = result.predictions[["prob_a", "prob_b", "prob_c"]].to_numpy()
    assert result.predictions["predicted"].tolist() == [("a", "b", "c")[i] for i in probabilities.argmax(1)]


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_bytes(synthetic: ModuleType, tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["neurofocus.workflows.folds.fold", "monai.transforms", "sklearn.metrics"])
    settings = ["train.epochs=4"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1])

        def start(folder: Path) -> Any:
            child = context.Process(target=synthetic.run, args=(folder, settings))
            child.start()
            return child

        start(tmp_path / "warm").join()  # the server imports everything before its first child
        started = time.monotonic()
        whole = start(tmp_path / "whole")
        whole.join()
        duration = time.monotonic() - started
        assert whole.exitcode == 0
        broken, chance, killed = tmp_path / "broken", random.Random(1), 0
        for _ in range(6):
            child = start(broken)
            child.join(chance.uniform(0.1, 0.5) * duration)
            if child.is_alive():
                child.kill()
                killed += 1
            child.join()
            if (broken / "last.safetensors").exists():
                read_checkpoint(broken / "last.safetensors")
        # However slow the machine is, one kill falls behind the first checkpoint.
        child = start(broken)
        while child.is_alive() and not (broken / "last.safetensors").exists():
            time.sleep(0.01)
        child.kill()
        child.join()
        _, state = read_checkpoint(broken / "last.safetensors")
        resumed = len(state["history"])
        last = start(broken)
        last.join()
        assert last.exitcode == 0
    assert killed >= 2 and resumed >= 1
    assert digests(broken) == digests(tmp_path / "whole")
    assert {entry.name for entry in broken.iterdir()} == {*OUTPUTS, "DONE", ".lock"}


def test_threads_of_the_first_start_are_kept(
    synthetic: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = synthetic.make_job("train.epochs=1")
    job = dataclasses.replace(job, config=job.config.model_copy(update={"threads": None}))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with monkeypatch.context() as patch:
            patch.setattr(fold_module, "conclude", None)
            with pytest.raises(TypeError):
                run_fold(job, tmp_path)
        torch.set_num_threads(2)
        assert run_fold(job, tmp_path).validation["threads"] == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_changed_settings_or_scans_are_refused(short: FoldResult, synthetic: ModuleType) -> None:
    with pytest.raises(ConfigError, match=r"another settings; .*--fresh"):
        run_fold(synthetic.make_job("train.epochs=3"), short.folder)
    job = synthetic.make_job(SHORT)
    frames = list(job.frames)
    frames[0] = frames[0] + np.float32(1)
    with pytest.raises(ConfigError, match="another scans"):
        run_fold(dataclasses.replace(job, frames=frames), short.folder)


def test_damaged_checkpoint_is_refused(synthetic: ModuleType, tmp_path: Path) -> None:
    job = synthetic.make_job("train.epochs=1")
    run_fold(job, tmp_path)
    (tmp_path / "DONE").unlink()
    data = bytearray((tmp_path / "last.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "last.safetensors").write_bytes(data)
    with pytest.raises(BundleError, match=r"last\.safetensors: damaged checkpoint"):
        run_fold(job, tmp_path)


def test_second_process_is_told(synthetic: ModuleType, tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(NeurofocusError, match=r"another process is working on fold 2; wait .* --out"),
    ):
        run_fold(synthetic.make_job(), tmp_path, patience=0.1)


def test_impossible_jobs_are_refused(synthetic: ModuleType, tmp_path: Path) -> None:
    job = synthetic.make_job()
    with pytest.raises(ConfigError, match=r"num_classes is 2, the cohort has 3 .*--set model\.num_classes=3"):
        run_fold(dataclasses.replace(job, classes=("a", "b", "c")), tmp_path)
    with pytest.raises(CohortError, match="fold 2: 0 validation scans, at least 1"):
        cases = job.cases.assign(role=job.cases["role"].replace("validation", "test"))
        run_fold(dataclasses.replace(job, cases=cases), tmp_path)
    with pytest.raises(ValueError, match="56 rows but 55"):
        run_fold(dataclasses.replace(job, frames=job.frames[:-1]), tmp_path)
    assert not any(tmp_path.iterdir())


def test_best_weights_pack_into_a_bundle(short: FoldResult) -> None:
    from safetensors.torch import load_file

    data = (short.folder / "best.safetensors").read_bytes()
    assert pack_weights(load_file(short.folder / "best.safetensors"), "float32") == data
