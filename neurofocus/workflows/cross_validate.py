"""``neurofocus cv``: from a cohort to out-of-fold predictions, metrics, a report and a bundle."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofocus.data.frames import FrameGrid
from neurofocus.data.preprocess import PreparedCase
from neurofocus.errors import ConfigError
from neurofocus.files import locked
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_cohort_spec, load_run_config
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.cohort_setup import (
    CohortSetup,
    find_data,
    prepare_scans,
    set_up_cohort,
)
from neurofocus.workflows.cohort_source import read_cohort
from neurofocus.workflows.device import choose_device
from neurofocus.workflows.fold import FoldJob
from neurofocus.workflows.fold_pool import run_folds
from neurofocus.workflows.fold_record import FoldResult, finished_fold
from neurofocus.workflows.gather import gather
from neurofocus.workflows.run_record import open_run

__all__ = ["CrossValidationResult", "cross_validate", "run_config"]

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
        cohort: a shipped cohort's name or a cohort YAML file.
        config: a shipped configuration's name or a YAML file.
        overrides: dotted assignments.
        splits: short for ``data.splits``.

    Raises:
        ConfigError: unknown names, keys or values.
    """
    spec = load_cohort_spec(cohort)
    result = load_run_config(config or spec.config, overrides).model_copy(update={"cohort": cohort})
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
    data: Path | None = None,
    out: Path | None = None,
    fold: int | None = None,
    fresh: bool = False,
    device: str = "auto",
) -> CrossValidationResult:
    """Cross-validate, or continue where an interrupted call stopped.

    Args:
        config: its ``cohort`` names the cohort.
        data: the cohort's folder, or a table of its scans; simulated cohorts need none.
        out: the run folder; none: ``runs/COHORT``.
        fold: train and test only this fold (from 1); the call that finds all folds done gathers them.
        fresh: remove an older run in ``out`` first.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        NeurofocusError: whatever the user can mend, in one line.
    """
    if config.cohort is None:
        raise ConfigError("cohort: not set; name a shipped cohort or a cohort YAML file")
    spec = load_cohort_spec(config.cohort)
    config = _fitted(config, spec)
    if config.data.scheme == "kfold" and config.data.splits is None:
        _refuse_fold(fold, config)
    chosen = choose_device(device)
    out = out or Path("runs") / spec.name
    lock = out.resolve().with_name(f".{out.resolve().name}.lock")  # beside it: --fresh empties the folder
    root = find_data(spec, data)
    source = read_cohort(spec, root, config)
    config = source.config
    _refuse_fold(fold, config)
    with locked(lock):
        record = open_run(out, config, fresh=fresh)
        setup = set_up_cohort(spec, root, config, out, source=source)
    cases, grid = prepare_scans(setup, config)
    numbers = [fold] if fold is not None else range(1, config.data.folds + 1)
    jobs = ((_fold_job(number, config, setup, cases, grid), _fold_folder(out, number)) for number in numbers)
    run_folds(jobs, device=chosen, parallel=config.parallel_folds if fold is None else 1)
    with locked(lock):
        results = _finished(out, config, spec)
        if len(results) < config.data.folds:
            missing = sorted(set(range(1, config.data.folds + 1)) - {result.fold for result in results})
            message = f"folds {', '.join(map(str, missing))} of {config.data.folds} are still to be run"
            return CrossValidationResult(out, complete=False, metrics=None, message=message)
        metrics = gather(out, record, config, setup, cases=cases, results=results)
    return CrossValidationResult(out, complete=True, metrics=metrics, message="all folds are done")


def _refuse_fold(fold: int | None, config: RunConfig) -> None:
    if fold is not None and not 1 <= fold <= config.data.folds:
        raise ConfigError(f"--fold {fold}: accepted are 1 to {config.data.folds} (data.folds)")


def _fitted(config: RunConfig, spec: CohortSpec) -> RunConfig:
    """Return the configuration with the cohort's number of classes and its name.

    The name replaces the path of a cohort file, which could name a person and must not reach the bundle.

    Raises:
        ConfigError: the model wants colour frames.
    """
    if config.model.frame_channels != 1:
        raise ConfigError(
            f"model.frame_channels: MRI slices have 1 channel, the configuration says {config.model.frame_channels}; "
            "use a configuration for scans (mri, demo) or --set model.frame_channels=1"
        )
    model = config.model.model_copy(update={"num_classes": len(spec.classes)})
    return config.model_copy(update={"model": model, "cohort": spec.name})


def _fold_job(
    number: int, config: RunConfig, setup: CohortSetup, cases: Sequence[PreparedCase], grid: FrameGrid
) -> FoldJob:
    roles = setup.table[["participant_id", "session_id", "label"]].assign(role="unused")
    for role in ("train", "validation", "test"):
        roles.loc[roles.index[setup.folds.positions(setup.table, number, role)], "role"] = role
    return FoldJob(
        config=config,
        fold=number,
        classes=tuple(setup.spec.classes),
        cases=roles,
        frames=[case.frames for case in cases],
        grid_affine=grid.affine,
    )


def _fold_folder(out: Path, number: int) -> Path:
    return out / f"fold-{number}"


def _finished(out: Path, config: RunConfig, spec: CohortSpec) -> list[FoldResult]:
    found = (
        finished_fold(_fold_folder(out, number), tuple(spec.classes))
        for number in range(1, config.data.folds + 1)
    )
    return [result for result in found if result is not None]
