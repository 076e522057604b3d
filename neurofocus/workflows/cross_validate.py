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
from neurofocus.schema.load import load_cohort_spec, load_run_config
from neurofocus.schema.run import RunConfig
from neurofocus.training.distributed import is_main, joined, main_first, part
from neurofocus.workflows.cohort_setup import CohortSetup, find_data, prepare_scans, set_up_cohort
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


def run_config(cohort: str, config: str | Path | None = None, overrides: Sequence[str] = ()) -> RunConfig:
    """Return the configuration of a run on a cohort: the named one, or the cohort's own default.

    Raises:
        ConfigError: unknown names, keys or values.
    """
    spec = load_cohort_spec(cohort)
    return load_run_config(config or spec.config, overrides).model_copy(update={"cohort": cohort})


def cross_validate(
    config: RunConfig,
    *,
    data: Path | None = None,
    out: Path | None = None,
    fold: int | Literal["next"] | None = None,
    fresh: bool = False,
    device: str = "auto",
) -> CrossValidationResult:
    """Cross-validate, or continue where an interrupted call stopped.

    Args:
        config: its ``cohort`` names the cohort.
        data: the cohort's folder; simulated cohorts need none.
        out: the run folder; none: ``runs/COHORT``.
        fold: train and test only this fold (from 1), or with "next" the folds that nobody works on, until there is
            none; the call that finds all folds done gathers them.
        fresh: remove an older run in ``out`` first.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        NeurofocusError: whatever the user can mend, in one line.
    """
    config, spec = _checked(config)
    if fold not in (None, "next", *range(1, config.data.folds + 1)):
        raise ConfigError(f"--fold {fold}: accepted are 1 to {config.data.folds} (data.folds), or next")
    call = _Call(data, out or Path("runs") / spec.name, fold, fresh)
    with joined(choose_device(device)) as chosen:
        return _cross_validate(config, spec, call, chosen)


@dataclass(frozen=True)
class _Call:
    """What one call of ``cross_validate`` was asked for."""

    data: Path | None
    out: Path
    fold: int | Literal["next"] | None
    fresh: bool

    @property
    def lock(self) -> Path:
        """Beside the run folder: --fresh empties the folder itself."""
        return self.out.resolve().with_name(f".{self.out.resolve().name}.lock")


def missing_folds(
    config: RunConfig, *, data: Path | None = None, out: Path | None = None, fresh: bool = False
) -> tuple[Path, list[int]]:
    """Set up a run and prepare its scans; return its folder and the folds that are still to be run.

    Raises:
        NeurofocusError: as ``cross_validate`` raises it.
    """
    config, spec = _checked(config)
    call = _Call(data, out or Path("runs") / spec.name, None, fresh)
    _set_up(config, spec, call)
    done = {result.fold for result in _finished(call.out, config, spec)}
    return call.out, [number for number in range(1, config.data.folds + 1) if number not in done]


def _checked(config: RunConfig) -> tuple[RunConfig, CohortSpec]:
    if config.cohort is None:
        raise ConfigError("cohort: not set; name a shipped cohort or a cohort YAML file")
    spec = load_cohort_spec(config.cohort)
    return _fitted(config, spec), spec


def _set_up(
    config: RunConfig, spec: CohortSpec, call: _Call
) -> tuple[dict[str, Any], CohortSetup, list[PreparedCase], FrameGrid]:
    """Open the run folder, read the cohort, prepare its scans; of several processes the first goes ahead."""
    with main_first():
        root = find_data(spec, call.data)
        with locked(call.lock):
            record = open_run(call.out, config, fresh=call.fresh and is_main())
            setup = set_up_cohort(spec, root, config, call.out)
        cases, grid = prepare_scans(setup, config)
    return record, setup, cases, grid


def _cross_validate(
    config: RunConfig, spec: CohortSpec, call: _Call, device: torch.device
) -> CrossValidationResult:
    out = call.out
    record, setup, cases, grid = _set_up(config, spec, call)
    numbers = [call.fold] if isinstance(call.fold, int) else range(1, config.data.folds + 1)
    jobs = ((_fold_job(number, config, setup, cases, grid), _fold_folder(out, number)) for number in numbers)
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
            metrics = gather(out, record, config, setup, cases=cases, results=results)
    return CrossValidationResult(out, complete=True, metrics=metrics, message="all folds are done")


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
    roles = setup.table[["participant_id", "session_id", "label"]].copy()
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
