"""``neurofocus cv``: from a cohort to out-of-fold predictions, metrics, a report and a bundle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from neurofocus.errors import ConfigError
from neurofocus.files import lock_beside, locked
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.run import RunConfig
from neurofocus.training.distributed import is_main, joined, main_first, part
from neurofocus.workflows.bundle import load_bundle
from neurofocus.workflows.cohort.combined import CohortData
from neurofocus.workflows.device import choose_device
from neurofocus.workflows.exit_seconds import time_folds, write_exit_seconds
from neurofocus.workflows.folds.pool import run_folds, run_free_folds
from neurofocus.workflows.folds.record import FoldResult, finished_fold
from neurofocus.workflows.gather import gather, scored_rows
from neurofocus.workflows.run_setup import RunRequest, fold_folder, request_run, run_config, set_up_run

__all__ = ["CrossValidationResult", "cross_validate", "missing_folds", "run_config", "time_run"]


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
    request = request_run(config, data=data, out=out, fold=fold, fresh=fresh)
    with joined(choose_device(device)) as chosen:
        return _cross_validate(request, chosen)


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
    request = request_run(config, data=data, out=out, fresh=fresh)
    config = set_up_run(request).config
    return request.out, _missing(_finished(request.out, config, request.spec), config)


def time_run(
    config: RunConfig, *, data: Path | CohortData | None = None, out: Path | None = None, device: str = "auto"
) -> None:
    """Time the early exits of a finished run on its test scans; write exit_seconds.json and the report with them.

    Args:
        config: as of the run, and so are the others: see ``cross_validate``.
        data: the cohort.
        out: the run folder.
        device: that is timed.

    Raises:
        ConfigError: folds are still to be run.
    """
    request, chosen = request_run(config, data=data, out=out), choose_device(device)
    run = set_up_run(request)
    with locked(lock_beside(request.out)):
        results = _finished(request.out, run.config, request.spec)
        if missing := _missing(results, run.config):
            raise ConfigError(
                f"--time: fold {', '.join(map(str, missing))} of {request.out} is still to be run; leave --time out till then"
            )
        rows = scored_rows(results, run.setup.table)
        frames = [[run.cases[row].frames for row in fold] for fold in rows]
        seconds = time_folds(load_bundle(request.out / "bundle", chosen), results, frames)
        write_exit_seconds(request.out, run.config, seconds)
        gather(request.out, run.record, run.config, run.setup, cases=run.cases, results=results)


def _cross_validate(request: RunRequest, device: torch.device) -> CrossValidationResult:
    out, run = request.out, set_up_run(request)
    config = run.config
    numbers = [request.fold] if isinstance(request.fold, int) else range(1, config.data.folds + 1)
    jobs = ((run.fold_job(number), fold_folder(out, number)) for number in numbers)
    if request.fold == "next":
        run_free_folds(jobs, device=device)
    else:
        alone = request.fold is not None or part()[1] > 1
        run_folds(jobs, device=device, parallel=1 if alone else config.parallel_folds)
    with main_first():
        if not is_main():
            message = "the first process gathers"
            return CrossValidationResult(out, complete=False, metrics=None, message=message)
        with locked(lock_beside(request.out)):
            results = _finished(out, config, request.spec)
            if missing := _missing(results, config):
                shown = ", ".join(map(str, missing))
                message = f"still to be run: fold {shown} (of {config.data.folds} in all)"
                return CrossValidationResult(out, complete=False, metrics=None, message=message)
            metrics = gather(out, run.record, config, run.setup, cases=run.cases, results=results)
    return CrossValidationResult(out, complete=True, metrics=metrics, message="all folds are done")


def _finished(out: Path, config: RunConfig, spec: CohortSpec) -> list[FoldResult]:
    found = (
        finished_fold(fold_folder(out, number), tuple(spec.classes), exits=config.exit)
        for number in range(1, config.data.folds + 1)
    )
    return [result for result in found if result is not None]


def _missing(results: list[FoldResult], config: RunConfig) -> list[int]:
    done = {result.fold for result in results}
    return [number for number in range(1, config.data.folds + 1) if number not in done]
