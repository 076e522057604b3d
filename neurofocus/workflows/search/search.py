"""The search for training settings inside one fold's training part, shared by any number of workers.

Trials are chosen and recorded by Optuna in one journal file. A worker holds a lock while it trains; a trial whose
worker was killed is put back into the queue, and goes on from its last epoch. The test part is never read.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock, Timeout

from neurofocus.data.seeds import derive_seed
from neurofocus.errors import ConfigError
from neurofocus.files import write_json
from neurofocus.schema.load import with_settings
from neurofocus.schema.search import SearchRange, SearchSpace
from neurofocus.tables import write_tsv
from neurofocus.training.engine import DivergedError
from neurofocus.training.state import EpochRecord
from neurofocus.workflows.folds.fold import train_only
from neurofocus.workflows.folds.job import FoldJob
from neurofocus.workflows.search.tuned import BEST

__all__ = ["FoldSearch", "search_fold"]

_IDENTITY = "search.json"
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class FoldSearch:
    """What is searched.

    Attributes:
        job: the fold, with the settings that are not searched.
        space: what may change.
        trials: how many trainings end, or are given up as hopeless.
        folder: of this search alone; all workers see it.
    """

    job: FoldJob
    space: SearchSpace
    trials: int
    folder: Path


def search_fold(search: FoldSearch, *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Take part in a search until it is over, and return the best settings with the validation loss they reached.

    Raises:
        ConfigError: Optuna is missing, the folder holds another search, or no training ended with a finite loss.
    """
    optuna = _optuna()
    search.folder.mkdir(parents=True, exist_ok=True)
    with _turn(search.folder):
        _refuse_other(search)
        study = _study(optuna, search)
    while True:
        with _turn(search.folder):
            _requeue_abandoned(optuna, study, search.folder)
            ended = _count(optuna, study, "COMPLETE", "PRUNED")
            running = _count(optuna, study, "RUNNING")
            taken = None
            if ended + running < search.trials:
                study.sampler = _sampler(optuna, search, len(study.get_trials(deepcopy=False)))
                trial = study.ask()
                taken = (trial, _hold(search.folder, trial.number))
            elif not running:
                return _conclude(optuna, study, search)
        if taken is None:
            time.sleep(_POLL_SECONDS)  # others finish the last trials; one of them may be killed yet
            continue
        trial, lock = taken
        try:
            _run_trial(optuna, study, trial, search, device)
        finally:
            lock.release()


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ConfigError(
            "tune: needs the package optuna; install it with: pip install -c constraints.txt 'neurofocus[tune]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Let one worker at a time look at the study and take a trial."""
    with FileLock(folder / ".turn.lock"):
        yield


def _refuse_other(search: FoldSearch) -> None:
    """Refuse to mix two searches: other settings, scans or ranges."""
    identity = {**search.job.identity(), "space": search.space.model_dump(mode="json")}
    path = search.folder / _IDENTITY
    if not path.is_file():
        write_json(path, identity)
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    if changed := [key for key, value in identity.items() if before.get(key) != value]:
        raise ConfigError(
            f"{search.folder}: holds a search with another {' and '.join(changed)}; choose another --out, "
            "or --fresh to start again"
        )


def _study(optuna: Any, search: FoldSearch) -> Any:
    backend = optuna.storages.journal.JournalFileBackend(str(search.folder / "journal.log"))
    epochs = search.job.config.train.epochs
    return optuna.create_study(
        storage=optuna.storages.JournalStorage(backend),
        study_name=f"fold-{search.job.fold}",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 4),
    )


def _sampler(optuna: Any, search: FoldSearch, number: int) -> Any:
    """Return the sampler of one trial: with the same seed, workers side by side would draw the same settings."""
    seed = derive_seed("search", search.job.config.seed, search.job.fold, number)
    return optuna.samplers.TPESampler(seed=seed % 2**32)


def _hold(folder: Path, number: int) -> FileLock:
    """Return the lock that says that the trial's worker is alive."""
    lock = FileLock(folder / f".trial-{number}.lock", timeout=0)
    lock.acquire()
    return lock


def _requeue_abandoned(optuna: Any, study: Any, folder: Path) -> None:
    """Put trials back whose worker is gone."""
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        try:
            _hold(folder, trial.number).release()
        except Timeout:
            continue
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params)


def _count(optuna: Any, study: Any, *states: str) -> int:
    wanted = tuple(optuna.trial.TrialState[state] for state in states)
    return len(study.get_trials(deepcopy=False, states=wanted))


def _run_trial(optuna: Any, study: Any, trial: Any, search: FoldSearch, device: torch.device | str) -> None:
    settings = {name: _suggest(trial, name, kind) for name, kind in search.space.space.items()}
    job = replace(search.job, config=with_settings(search.job.config, settings, "search space"))
    # Named by its settings, so that a trial that is run again finds its checkpoint.
    name = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def watch(record: EpochRecord) -> None:
        assert record.validation_loss is not None  # a fold always has a validation part
        trial.report(record.validation_loss, record.epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    with _own_folder(search.folder / "trials" / name, trial.number) as folder:
        try:
            history = train_only(job, folder, watch, device=device)
        except (optuna.TrialPruned, DivergedError):
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            losses = [record.validation_loss for record in history if record.validation_loss is not None]
            study.tell(trial, min(losses))
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _own_folder(folder: Path, number: int) -> Iterator[Path]:
    """Give the folder of some settings, or a twin's while another worker has the same settings at hand."""
    lock = FileLock(folder.parent.with_name(f".settings-{folder.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        folder = folder.with_name(f"{folder.name}-{number}")
    try:
        yield folder
    finally:
        lock.release()


def _suggest(trial: Any, name: str, kind: SearchRange) -> bool | int | float | str:
    if kind.choices:
        chosen: bool | int | float | str = trial.suggest_categorical(name, kind.choices)
        return chosen
    assert kind.low is not None and kind.high is not None
    if kind.whole:
        return int(trial.suggest_int(name, int(kind.low), int(kind.high), log=kind.log))
    return float(trial.suggest_float(name, kind.low, kind.high, log=kind.log))


def _conclude(optuna: Any, study: Any, search: FoldSearch) -> dict[str, Any]:
    """Write the table of trials and the best settings."""
    if not _count(optuna, study, "COMPLETE"):
        raise ConfigError(
            f"{search.folder}: none of {search.trials} trials ended with a finite loss; lower the ranges in --space"
        )
    rows = [_row(trial) for trial in study.get_trials(deepcopy=False)]
    write_tsv(search.folder / "trials.tsv", pd.DataFrame(rows))
    best = study.best_trial
    found = {
        "fold": search.job.fold,
        "settings": dict(best.params),
        "validation_loss": best.value,
        "trials": search.trials,
    }
    write_json(search.folder / BEST, found)
    return found


def _row(trial: Any) -> Mapping[str, Any]:
    return {
        "trial": trial.number,
        "state": trial.state.name.lower(),
        "validation_loss": trial.value,
        **trial.params,
    }
