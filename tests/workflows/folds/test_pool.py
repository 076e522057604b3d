"""Folds that run together: same bytes as one by one; the first error ends all of them."""

import dataclasses
import logging
import multiprocessing
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest
import torch

from neurofocus.errors import CohortError, NeurofocusError
from neurofocus.files import sha256_file
from neurofocus.workflows.folds.fold import run_fold
from neurofocus.workflows.folds.job import FoldJob
from neurofocus.workflows.folds.pool import run_folds

CPU = torch.device("cpu")
SHORT = ("train.epochs=2", "threads=1", "parallel_folds=2")
ENDLESS = ("train.epochs=5000", "threads=1")


def without_validation(job: FoldJob) -> FoldJob:
    return dataclasses.replace(
        job, cases=job.cases.assign(role=job.cases["role"].replace("validation", "train"))
    )


@pytest.mark.slow
def test_together_as_one_by_one(
    synthetic: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = synthetic.make_job(*SHORT)
    run_fold(job, tmp_path / "alone")
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="neurofocus"):
        run_folds([(job, tmp_path / name) for name in ("a", "b", "c")], device=CPU, parallel=2)
    for name in ("best.safetensors", "predictions.tsv", "last.safetensors", "DONE"):
        assert len({sha256_file(tmp_path / folder / name) for folder in ("alone", "a", "b", "c")}) == 1
    assert len([line for line in caplog.messages if "epoch 2/2" in line]) == 3
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(("parallel", "threads"), [(2, 2), (9, 1)])
def test_threads_are_shared_out(synthetic: ModuleType, tmp_path: Path, parallel: int, threads: int) -> None:
    job = synthetic.make_job("train.epochs=1", f"parallel_folds={parallel}")
    job = dataclasses.replace(job, config=job.config.model_copy(update={"threads": None}))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        assert run_fold(job, tmp_path).validation["threads"] == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_the_first_error_ends_the_others(synthetic: ModuleType, tmp_path: Path) -> None:
    endless = synthetic.make_job(*ENDLESS)
    jobs = [(endless, tmp_path / "endless"), (without_validation(endless), tmp_path / "wrong")]
    with pytest.raises(CohortError, match="fold 2: 0 validation scans, at least 1 needed"):
        run_folds(jobs, device=CPU, parallel=2)
    assert multiprocessing.active_children() == []
    assert not (tmp_path / "endless" / "DONE").exists()


@pytest.mark.slow
def test_a_killed_process_is_told(synthetic: ModuleType, tmp_path: Path) -> None:
    def kill() -> None:
        while not (tmp_path / "endless" / "last.safetensors").exists():
            time.sleep(0.05)
        multiprocessing.active_children()[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(NeurofocusError, match=r"fold 2: its process was killed \(exit code -9; .*memory"):
        run_folds([(synthetic.make_job(*ENDLESS), tmp_path / "endless")], device=CPU, parallel=2)
    killer.join()


def test_a_mistake_in_the_program_is_no_user_error(
    synthetic: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    job = dataclasses.replace(synthetic.make_job(*SHORT), frames=[])
    with pytest.raises(RuntimeError, match="fold 2: a mistake in the program; its traceback is above"):
        run_folds([(job, tmp_path / "fold")], device=CPU, parallel=2)
    assert "ValueError" in capfd.readouterr().err
