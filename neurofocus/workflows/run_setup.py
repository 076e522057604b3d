"""A run, from its configuration to prepared scans: what cross-validation and the search for settings start from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from neurofocus.data.frames import FrameGrid
from neurofocus.data.preprocess import PreparedCase
from neurofocus.errors import ConfigError
from neurofocus.files import lock_beside, locked
from neurofocus.ingest.combine import combine_specs
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import load_run_config
from neurofocus.schema.run import RunConfig
from neurofocus.training.distributed import is_main, main_first
from neurofocus.workflows.cohort.combined import (
    CohortData,
    cohort_data,
    default_config,
    find_cohorts,
    load_cohort_specs,
)
from neurofocus.workflows.cohort.setup import CohortSetup, prepare_scans, set_up_cohort
from neurofocus.workflows.cohort.source import read_cohort
from neurofocus.workflows.folds.job import FoldJob
from neurofocus.workflows.run_record import open_run
from neurofocus.workflows.search.tuned import TunedSettings, read_tuned

__all__ = ["Run", "RunRequest", "fold_folder", "request_run", "run_config", "set_up_run"]


def run_config(
    cohort: str,
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    splits: Path | None = None,
    exclude: Path | None = None,
    tuned: Path | None = None,
) -> RunConfig:
    """Return the configuration of a run on a cohort: the named one, or the cohort's own default.

    Args:
        cohort: a shipped cohort's name or a cohort YAML file, or several separated by commas.
        config: a shipped configuration's name or a YAML file.
        overrides: dotted assignments.
        splits: short for ``data.splits``.
        exclude: short for ``data.exclude``.
        tuned: short for ``tuned``.

    Raises:
        ConfigError: unknown names, keys or values.
    """
    named = config or default_config(load_cohort_specs(cohort))
    result = load_run_config(named, overrides).model_copy(update={"cohort": cohort})
    if tuned is not None:
        result = result.model_copy(update={"tuned": str(tuned.absolute())})
    if exclude is not None:
        data = result.data.model_copy(update={"exclude": str(exclude.absolute())})
        result = result.model_copy(update={"data": data})
    if splits is None:
        return result
    if result.data.scheme != "kfold":
        raise ConfigError(
            f"--splits {splits}: data.scheme={result.data.scheme} decides the folds too; give one"
        )
    return result.model_copy(update={"data": result.data.model_copy(update={"splits": str(splits)})})


@dataclass(frozen=True)
class RunRequest:
    """What one call asks for.

    Attributes:
        config: fitted to the cohort.
        specs: the definitions of the cohorts.
        spec: that of all of them together.
        data: where they lie.
        out: the run folder.
        fold: the fold to run, from 1; "next": those that nobody works on; None: all.
        fresh: remove an older run in ``out`` first.
    """

    config: RunConfig
    specs: tuple[CohortSpec, ...]
    spec: CohortSpec
    data: CohortData
    out: Path
    fold: int | Literal["next"] | None
    fresh: bool


@dataclass(frozen=True)
class Run:
    """A run that is set up: its folder is open and its scans are prepared.

    Attributes:
        config: of the run; the number of folds is that of the sites or splits where they decide.
        record: what run.json holds.
        setup: the cohort and its folds.
        cases: prepared scans in the order of the cohort's table.
        grid: where the frames lie.
        tuned: the settings of each fold, if a search chose them.
    """

    config: RunConfig
    record: dict[str, Any]
    setup: CohortSetup
    cases: Sequence[PreparedCase]
    grid: FrameGrid
    tuned: TunedSettings | None = None

    def fold_job(self, number: int) -> FoldJob:
        """Return what a fold needs, counted from 1.

        Raises:
            ConfigError: the search for settings did not reach this fold.
        """
        table, folds = self.setup.table, self.setup.folds
        cases = table[["participant_id", "session_id", "label"]].assign(role="unused")
        for role in ("train", "validation", "test"):
            cases.loc[cases.index[folds.positions(table, number, role)], "role"] = role
        return FoldJob(
            config=self.config if self.tuned is None else self.tuned.config_of(self.config, number),
            fold=number,
            classes=tuple(self.setup.spec.classes),
            cases=cases,
            frames=[case.frames for case in self.cases],
            grid_affine=self.grid.affine,
        )


def request_run(
    config: RunConfig,
    *,
    data: Path | CohortData | None = None,
    out: Path | None = None,
    fold: int | Literal["next"] | None = None,
    fresh: bool = False,
    suffix: str = "",
) -> RunRequest:
    """Return what a call asks for, checked as far as it can be before any data are read.

    Args:
        config: its ``cohort`` names the cohort, or several separated by commas.
        data: the cohort's folder, or a table of its scans, or those of several; simulated cohorts need none.
        out: the run folder; none: ``runs/COHORT`` and the suffix.
        fold: see ``RunRequest``.
        fresh: see ``RunRequest``.
        suffix: of the default folder.

    Raises:
        ConfigError: no or an unknown cohort, a configuration that does not fit scans, or an impossible fold.
    """
    if config.cohort is None:
        raise ConfigError("cohort: not set; name a shipped cohort or a cohort YAML file")
    specs = load_cohort_specs(config.cohort)
    spec = combine_specs(specs)
    config = _fitted(config, spec)
    if config.data.scheme == "kfold" and config.data.splits is None:
        _refuse_fold(fold, config)  # at once; otherwise the cohort decides how many there are
    folder = out or Path("runs") / f"{spec.name}{suffix}"
    return RunRequest(config, specs, spec, cohort_data(data), folder, fold, fresh)


def set_up_run(request: RunRequest) -> Run:
    """Open the run folder, read the cohort, prepare its scans; of several processes the first goes ahead.

    Raises:
        NeurofocusError: whatever the user can mend, in one line.
    """
    config = request.config
    tuned = None if config.tuned is None else read_tuned(Path(config.tuned))
    if tuned is not None:  # a folder's name could name a person
        config = config.model_copy(update={"tuned": f"sha256:{tuned.digest}"})
    with main_first():
        root, more = find_cohorts(request.specs, request.data)
        source = read_cohort(request.specs[0], root, config, more=more)
        config = source.config
        _refuse_fold(request.fold, config)
        with locked(lock_beside(request.out)):
            record = open_run(request.out, config, fresh=request.fresh and is_main())
            setup = set_up_cohort(request.spec, root, config, request.out, source=source)
        if tuned is not None:
            tuned.refuse_other_folds(request.out / "folds.tsv")
        cases, grid = prepare_scans(setup, config)
    return Run(config, record, setup, cases, grid, tuned)


def fold_folder(out: Path, number: int) -> Path:
    """Return the folder of a fold, counted from 1."""
    return out / f"fold-{number}"


def _refuse_fold(fold: int | Literal["next"] | None, config: RunConfig) -> None:
    if fold not in (None, "next", *range(1, config.data.folds + 1)):
        raise ConfigError(f"--fold {fold}: accepted are 1 to {config.data.folds} (data.folds), or next")


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
