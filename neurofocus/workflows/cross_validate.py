"""``neurofocus cv``: from a cohort to out-of-fold predictions, metrics, a report and a bundle."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from neurofocus.data.frames import FrameGrid
from neurofocus.data.preprocess import PreparedCase
from neurofocus.errors import ConfigError
from neurofocus.files import locked
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_run_config
from neurofocus.schema.run import RunConfig
from neurofocus.training.distributed import is_main, joined, main_first, part
from neurofocus.workflows.cohort_setup import CohortSetup, prepare_scans, set_up_cohort
from neurofocus.workflows.cohort_source import read_cohort
from neurofocus.workflows.combined import (
    CohortData,
    cohort_data,
    default_config,
    find_cohorts,
    load_cohort_specs,
    run_on,
)
from neurofocus.workflows.device import choose_device
from neurofocus.workflows.fold import FoldJob
from neurofocus.workflows.fold_pool import run_folds, run_free_folds
from neurofocus.workflows.fold_record import FoldResult, finished_fold
from neurofocus.workflows.gather import gather
from neurofocus.workflows.run_record import open_run

__all__ = ["CrossValidationResult", "cross_validate", "missing_folds", "run_config"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class CrossValidationResult:
    """What a call of ``cross_validate`` left behind.

    Attributes:
        out: the run folder.
        complete: whether every fold is done and gathered.
        metrics: the content of metrics.json; None while folds are missing.
        message: one line about where the run stands.
    """

    out: Path
    complete: bool
    metrics: dict[str, Any] | None
    message: str


def run_config(
    cohort: str,
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    splits: Path | None = None,
) -> RunConfig:
    """Return the configuration of a run on a cohort: the named one, or the cohort's own default.

    Args:
        cohort: a shipped cohort's name or a cohort YAML file, or several separated by commas.
        config: a shipped configuration's name or a YAML file.
        overrides: dotted assignments.
        splits: short for ``data.splits``.

    Raises:
        ConfigError: unknown names, keys or values.
    """
    named = config or default_config(load_cohort_specs(cohort))
    result = load_run_config(named, overrides).model_copy(update={"cohort": cohort})
    if splits is None:
        return result
    if result.data.scheme != "kfold":
        raise ConfigError(
            f"--splits {splits}: data.scheme={result.data.scheme} decides the folds too; give one"
        )
    return result.model_copy(update={"data": result.data.model_copy(update={"splits": str(splits)})})


def cross_validate(
    config: RunConfig,
    *,
    data: Path | CohortData | None = None,
    out: Path | None = None,
    fold: int | Literal["next"] | None = None,
    fresh: bool = False,
    device: str = "auto",
) -> CrossValidationResult:
    """Cross-validate, or continue where an interrupted call stopped.

    Args:
        config: its ``cohort`` names the cohort, or several separated by commas.
        data: the cohort's folder, or a table of its scans, or those of several; simulated cohorts need none.
        out: the run folder; none: ``runs/COHORT``.
        fold: train and test only this fold (from 1), or with "next" the folds that nobody works on, until there is
            none; the call that finds all folds done gathers them.
        fresh: remove an older run in ``out`` first.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        NeurofocusError: whatever the user can mend, in one line.
    """
    config, specs, spec = run_on(config)
    if config.data.scheme == "kfold" and config.data.splits is None:
        _refuse_fold(fold, config)  # at once; otherwise the cohort decides how many there are
    call = _Call(specs, cohort_data(data), out or Path("runs") / spec.name, fold, fresh)
    with joined(choose_device(device)) as chosen:
        return _cross_validate(config, spec, call, chosen)


@dataclass(frozen=True)
class _Call:
    """What one call of ``cross_validate`` was asked for."""

    specs: tuple[CohortSpec, ...]
    data: CohortData
    out: Path
    fold: int | Literal["next"] | None
    fresh: bool

    @property
    def lock(self) -> Path:
        """Beside the run folder: --fresh empties the folder itself."""
        return self.out.resolve().with_name(f".{self.out.resolve().name}.lock")


@dataclass(frozen=True)
class _Run:
    """A run that is set up: its folder is open and its scans are prepared."""

    config: RunConfig
    record: dict[str, Any]
    setup: CohortSetup
    cases: Sequence[PreparedCase]
    grid: FrameGrid

    def fold_job(self, number: int) -> FoldJob:
        """Return what a fold needs, counted from 1."""
        table, folds = self.setup.table, self.setup.folds
        cases = table[["participant_id", "session_id", "label"]].assign(role="unused")
        for role in ("train", "validation", "test"):
            cases.loc[cases.index[folds.positions(table, number, role)], "role"] = role
        return FoldJob(
            config=self.config,
            fold=number,
            classes=tuple(self.setup.spec.classes),
            cases=cases,
            frames=[case.frames for case in self.cases],
            grid_affine=self.grid.affine,
        )


def missing_folds(
    config: RunConfig,
    *,
    data: Path | CohortData | None = None,
    out: Path | None = None,
    fresh: bool = False,
) -> tuple[Path, list[int]]:
    """Set up a run and prepare its scans; return its folder and the folds that are still to be run.

    Raises:
        NeurofocusError: as ``cross_validate`` raises it.
    """
    config, specs, spec = run_on(config)
    call = _Call(specs, cohort_data(data), out or Path("runs") / spec.name, None, fresh)
    config = _set_up(config, spec, call).config
    done = {result.fold for result in _finished(call.out, config, spec)}
    return call.out, [number for number in range(1, config.data.folds + 1) if number not in done]


def _set_up(config: RunConfig, spec: CohortSpec, call: _Call) -> _Run:
    """Open the run folder, read the cohort, prepare its scans; of several processes the first goes ahead."""
    with main_first():
        root, more = find_cohorts(call.specs, call.data)
        source = read_cohort(call.specs[0], root, config, more=more)
        config = source.config
        _refuse_fold(call.fold, config)
        with locked(call.lock):
            record = open_run(call.out, config, fresh=call.fresh and is_main())
            setup = set_up_cohort(spec, root, config, call.out, source=source)
        cases, grid = prepare_scans(setup, config)
    return _Run(config, record, setup, cases, grid)


def _cross_validate(
    config: RunConfig, spec: CohortSpec, call: _Call, device: torch.device
) -> CrossValidationResult:
    out = call.out
    run = _set_up(config, spec, call)
    config = run.config
    numbers = [call.fold] if isinstance(call.fold, int) else range(1, config.data.folds + 1)
    jobs = ((run.fold_job(number), _fold_folder(out, number)) for number in numbers)
    if call.fold == "next":
        run_free_folds(jobs, device=device)
    else:
        alone = call.fold is not None or part()[1] > 1
        run_folds(jobs, device=device, parallel=1 if alone else config.parallel_folds)
    with main_first():
        if not is_main():
            return CrossValidationResult(
                out, complete=False, metrics=None, message="the first process gathers"
            )
        with locked(call.lock):
            results = _finished(out, config, spec)
            if len(results) < config.data.folds:
                missing = sorted(set(range(1, config.data.folds + 1)) - {result.fold for result in results})
                message = f"folds {', '.join(map(str, missing))} of {config.data.folds} are still to be run"
                return CrossValidationResult(out, complete=False, metrics=None, message=message)
            metrics = gather(out, run.record, config, run.setup, cases=run.cases, results=results)
    return CrossValidationResult(out, complete=True, metrics=metrics, message="all folds are done")


def _refuse_fold(fold: int | Literal["next"] | None, config: RunConfig) -> None:
    if fold not in (None, "next", *range(1, config.data.folds + 1)):
        raise ConfigError(f"--fold {fold}: accepted are 1 to {config.data.folds} (data.folds), or next")


def _fold_folder(out: Path, number: int) -> Path:
    return out / f"fold-{number}"


def _finished(out: Path, config: RunConfig, spec: CohortSpec) -> list[FoldResult]:
    found = (
        finished_fold(_fold_folder(out, number), tuple(spec.classes))
        for number in range(1, config.data.folds + 1)
    )
    return [result for result in found if result is not None]
