"""Folds as jobs of their own, on this machine or on Slurm, through submitit (the extra ``slurm``).

A job is a call of ``cross_validate`` for one fold, or for whichever folds are free; the run folder is all that jobs
share. Whoever started them waits and gathers. Killed or interrupted, the same command goes on.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from neurofocus.errors import ConfigError, NeurofocusError
from neurofocus.files import write_json
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.cohort.combined import CohortData, cohort_data
from neurofocus.workflows.cross_validate import CrossValidationResult, cross_validate, missing_folds

__all__ = ["FoldWork", "JobPlan", "cross_validate_in_jobs", "parse_jobs", "run_jobs"]

_LOGGER = logging.getLogger(__name__)
_POLL_SECONDS = 2.0
_COMMON = ("cpus_per_task", "gpus_per_node", "mem_gb", "timeout_min", "nodes", "name")
_HINT = "install it with: pip install -c constraints.txt 'neurofocus[slurm]'"


@dataclass(frozen=True)
class JobPlan:
    """Where fold jobs run.

    Attributes:
        workers: processes on this machine; None: one Slurm job a fold.
        options: of Slurm, by submitit's names without the prefix ``slurm_`` (partition, gpus_per_node, …).
    """

    workers: int | None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FoldWork:
    """What a job does.

    Attributes:
        config: its ``cohort`` names the cohort.
        data: where the cohorts lie, absolute.
        out: the run folder, absolute.
        device: where to compute.
        sharing: jobs that divide the machine's cores among them.
    """

    config: RunConfig
    data: CohortData
    out: Path
    device: str
    sharing: int = 1

    def __call__(self, fold: int | Literal["next"]) -> str | None:
        """Run one fold, or with "next" every fold that nobody works on; return what the user can mend, or None."""
        torch.set_num_threads(max(1, torch.get_num_threads() // self.sharing))  # the process is the job's own
        try:
            cross_validate(self.config, data=self.data, out=self.out, fold=fold, device=self.device)
        except NeurofocusError as error:
            return str(error)
        return None

    def checkpoint(self, fold: int | Literal["next"]) -> Any:
        """Say how Slurm's job goes on after its time limit or a preemption: again, from the last epoch on disk."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, fold)


def parse_jobs(text: str | None, options: Sequence[str]) -> JobPlan | None:
    """Return the plan of ``--jobs N|slurm`` and ``--slurm KEY=VALUE``…; None without ``--jobs``.

    Raises:
        ConfigError: neither a number nor slurm, or an option without a value or without ``--jobs slurm``.
    """
    pairs = dict(option.split("=", 1) for option in options if "=" in option)
    if wrong := [option for option in options if "=" not in option or option.startswith("=")]:
        raise ConfigError(f"--slurm {wrong[0]!r}: write it as KEY=VALUE, for example partition=gpu")
    if options and text != "slurm":
        raise ConfigError(f"--slurm {options[0]!r}: has a meaning with --jobs slurm only")
    if text is None:
        return None
    if text == "slurm":
        return JobPlan(None, pairs)
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--jobs {text!r}: accepted are a number of processes (1 or more) or slurm")
    return JobPlan(int(text))


def cross_validate_in_jobs(
    config: RunConfig,
    plan: JobPlan,
    *,
    data: Path | CohortData | None = None,
    out: Path | None = None,
    fresh: bool = False,
    device: str = "auto",
) -> CrossValidationResult:
    """Cross-validate with a job a fold: prepare the scans here, start the jobs, wait, gather.

    Args:
        config: its ``cohort`` names the cohort.
        plan: where the jobs run.
        data: the cohort's folder, or those of several; every machine must see it.
        out: the run folder; every machine must see it.
        fresh: remove an older run in ``out`` first.
        device: of the jobs.

    Raises:
        NeurofocusError: whatever the user can mend, in one line.
    """
    out, folds = missing_folds(config, data=data, out=out, fresh=fresh)
    where = cohort_data(data).absolute()
    sharing = 1 if plan.workers is None else max(1, min(plan.workers, len(folds)))
    work = FoldWork(config, where, out.absolute(), device, sharing)
    run_jobs(work, folds, (out / "jobs").absolute(), plan)
    return cross_validate(config, data=data, out=out, device=device)


def run_jobs(work: FoldWork, folds: Sequence[int], folder: Path, plan: JobPlan) -> None:
    """Start jobs for folds and wait until all have ended.

    On this machine an error or an interrupt ends all of them; Slurm's go on, and the same command waits for them.

    Args:
        work: what a job does.
        folds: those still to be run.
        folder: of the jobs' logs and records.
        plan: where.

    Raises:
        ConfigError: submitit or Slurm is missing, or an option is unknown.
        NeurofocusError: what a job could not do, with the file of its log.
    """
    if not folds:
        return
    executor = _executor(folder, plan)
    if plan.workers is None:
        jobs = {f"fold {fold}": _slurm_job(executor, work, fold, folder) for fold in folds}
        _wait(jobs)
        return
    number = min(plan.workers, len(folds))
    jobs = {f"worker {index}": executor.submit(work, "next") for index in range(1, number + 1)}
    _LOGGER.info("%d jobs started; their logs are in %s", number, folder)
    try:
        _wait(jobs)
    finally:
        for job in jobs.values():
            if not job.done():
                job.cancel()


def _executor(folder: Path, plan: JobPlan) -> Any:
    try:
        import submitit
    except ImportError:
        raise ConfigError(f"--jobs: needs the package submitit; {_HINT}") from None
    try:
        executor = submitit.AutoExecutor(folder, cluster="local" if plan.workers else "slurm")
        named = {
            key if key in _COMMON else f"slurm_{key}": _value(text) for key, text in plan.options.items()
        }
        executor.update_parameters(**({"timeout_min": 7 * 24 * 60} | named))
    except RuntimeError:
        raise ConfigError(
            "--jobs slurm: the command 'sbatch' is not here; call it where Slurm is, or give --jobs N"
        ) from None
    except NameError as error:
        text = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"--slurm: unknown option ({text}); accepted are submitit's names, such as partition"
        ) from None
    return executor


def _value(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _slurm_job(executor: Any, work: FoldWork, fold: int, folder: Path) -> Any:
    """Return the fold's job: the one that an earlier call submitted if it has not ended, else a new one."""
    import submitit

    record = folder / f"fold-{fold}.json"
    if record.is_file():
        old = submitit.SlurmJob(folder, json.loads(record.read_text(encoding="utf-8"))["job_id"])
        if not old.done():
            _LOGGER.info("fold %d: waiting for Slurm job %s", fold, old.job_id)
            return old
    job = executor.submit(work, fold)
    write_json(record, {"job_id": job.job_id})
    _LOGGER.info("fold %d: Slurm job %s", fold, job.job_id)
    return job


def _wait(jobs: Mapping[str, Any]) -> None:
    waiting = dict(jobs)
    while waiting:
        for name, job in list(waiting.items()):
            if job.done():
                _raise_error(name, waiting.pop(name))
        if waiting:
            time.sleep(_POLL_SECONDS)


def _raise_error(name: str, job: Any) -> None:
    """Raise what a job that ended could not do."""
    error = job.exception()
    if error is not None:
        raise NeurofocusError(
            f"{name}: job {job.job_id} ended with an error; its log is {job.paths.stderr}; "
            "run the same command again: finished epochs are kept"
        )
    if (message := job.result()) is not None:
        raise NeurofocusError(f"{name}: {message}")
