"""The search for settings: shared by workers, survives kill -9, never looks at the test part."""

import dataclasses
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurofocus.errors import ConfigError
from neurofocus.schema.search import SearchSpace
from neurofocus.tables import read_tsv
from neurofocus.workflows.search import search as module
from neurofocus.workflows.search.search import FoldSearch, search_fold
from neurofocus.workflows.search.tuned import BEST

SHORT = ("train.epochs=2", "threads=1")


@pytest.fixture
def search(synthetic: ModuleType, tmp_path: Path) -> FoldSearch:
    return FoldSearch(synthetic.make_job(*SHORT), synthetic.SPACE, trials=3, folder=tmp_path / "fold-2")


class _WithoutTest(Sequence[Any]):
    """Frames that must not be read for the test part."""

    def __init__(self, frames: Sequence[npt.NDArray[np.float32]], secret: set[int]) -> None:
        self.frames, self.secret = frames, secret

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, position: Any) -> Any:
        assert position not in self.secret, "the test part was read"
        return self.frames[position]

    def __iter__(self) -> Any:  # the digest of the job covers all scans
        return iter(self.frames)


def test_the_best_settings_are_those_of_the_lowest_validation_loss(search: FoldSearch) -> None:
    secret = set(np.flatnonzero(search.job.cases["role"] == "test").tolist())
    job = dataclasses.replace(search.job, frames=_WithoutTest(search.job.frames, secret))
    best = search_fold(dataclasses.replace(search, job=job))
    trials = read_tsv(search.folder / "trials.tsv", numbers=["validation_loss"])
    ended = trials[trials["state"] == "complete"]
    row = ended.loc[ended["validation_loss"].idxmin()]
    assert best["validation_loss"] == row["validation_loss"]
    assert best["settings"].keys() == search.space.space.keys()
    assert float(row["augment.probability"]) == best["settings"]["augment.probability"]
    assert json.loads((search.folder / BEST).read_text()) == best
    assert not list((search.folder / "trials").iterdir())  # checkpoints are gone
    assert search_fold(search) == best  # a search that is over trains nothing
    assert len(read_tsv(search.folder / "trials.tsv")) == len(trials)


def test_another_search_in_the_same_folder_is_refused(search: FoldSearch, synthetic: ModuleType) -> None:
    search.folder.mkdir()
    module._refuse_other(search)
    module._refuse_other(search)
    other = dataclasses.replace(search, job=synthetic.make_job(*SHORT, "seed=4"))
    with pytest.raises(
        ConfigError, match=r"fold-2: holds a search with another settings; choose another --out"
    ):
        search_fold(other)


def test_a_search_in_which_nothing_ends_well(search: FoldSearch) -> None:
    hopeless = SearchSpace.model_validate(
        {"space": {"train.learning_rates.global_encoder": {"low": 1e30, "high": 1e35}}}
    )
    with pytest.raises(ConfigError, match="none of 2 trials ended with a finite loss; lower the ranges"):
        search_fold(dataclasses.replace(search, space=hopeless, trials=2))


def test_without_optuna(search: FoldSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"needs the package optuna; .*neurofocus\[tune\]"):
        search_fold(search)


@pytest.mark.slow
def test_two_workers_of_which_one_is_killed(tmp_path: Path, synthetic: ModuleType) -> None:
    folder, trials, epochs = tmp_path / "fold-2", 5, 6
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=synthetic.search, args=(folder, trials, epochs)) for _ in range(2)]
    workers[0].start()
    deadline = time.monotonic() + 600
    while not list(folder.glob("trials/*/last.safetensors")):  # it is in the middle of its first trial
        assert workers[0].is_alive() and time.monotonic() < deadline
        time.sleep(0.05)
    workers[0].kill()
    workers[0].join()
    workers[1].start()
    workers[1].join(600)
    assert workers[1].exitcode == 0
    table = read_tsv(folder / "trials.tsv")
    states = table["state"].tolist()
    assert states.count("fail") == 1
    assert states.count("complete") + states.count("pruned") == trials
    failed, again = table[table["state"] == "fail"].iloc[0], table.iloc[1]
    assert failed["train.batch_size"] == again["train.batch_size"]  # its settings were tried again
    assert (folder / BEST).is_file()
    assert workers[0].exitcode == -9


@pytest.mark.slow
@pytest.mark.parametrize("choices", [None, [0.002]])
def test_two_workers_share_the_trials(
    tmp_path: Path, synthetic: ModuleType, choices: list[float] | None
) -> None:
    """They draw other settings each; where there is only one choice, they do not meet in its folder."""
    folder, trials = tmp_path / "fold-2", 6
    space = synthetic.SPACE
    if choices is not None:
        space = SearchSpace.model_validate({"space": {"train.weight_decay": {"choices": choices}}})
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=synthetic.search, args=(folder, trials, 2, space)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(600)
    assert [worker.exitcode for worker in workers] == [0, 0]
    found = read_tsv(folder / "trials.tsv")
    assert len(found) == trials
    settings = found.drop(columns=["trial", "state", "validation_loss"]).drop_duplicates()
    assert len(settings) == (trials if choices is None else 1)
