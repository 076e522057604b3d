"""``neurofocus cv``: cross-validate a cohort."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .options import ConfigOption, DeviceOption, FreshOption, JsonOption, SeedOption, SetOption, VerboseOption

if TYPE_CHECKING:
    from neurofocus.schema.cohort import CohortSpec

__all__ = ["cv"]


def cv(
    cohort: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="A shipped cohort (see 'neurofocus cohort list') or a cohort YAML file; several: adni,oasis3.",
        ),
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR|FILE",
            help="The cohort's folder, or a table of scans; the demo cohorts need none. Once a cohort if several.",
        ),
    ] = None,
    links: Annotated[
        Path | None,
        typer.Option(metavar="FILE.tsv", help="Who is who in several cohorts: participant_id, person_id."),
    ] = None,
    config: ConfigOption = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; default: runs/COHORT.")] = None,
    set_: SetOption = None,
    folds: Annotated[
        int | None, typer.Option(help="Number of outer folds; short for --set data.folds=N.")
    ] = None,
    splits: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of ClinicaDL's k-fold tables (split-0, split-1, ...) instead of own folds.",
        ),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(metavar="FILE.tsv", help="Scans to leave out: participant_id and session_id, counted."),
    ] = None,
    tuned: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of 'neurofocus tune': each fold uses its own settings."),
    ] = None,
    fold: Annotated[
        str | None,
        typer.Option(
            metavar="K|next", help="Run only this fold (from 1), or the free ones; the last one gathers."
        ),
    ] = None,
    jobs: Annotated[
        str | None,
        typer.Option(metavar="N|slurm", help="Start the folds as jobs: N processes here, or on Slurm."),
    ] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of Slurm, such as partition=gpu; may be repeated."),
    ] = None,
    fresh: FreshOption = False,
    seed: SeedOption = None,
    test_cohort: Annotated[
        str | None,
        typer.Option(help="A cohort that takes no part in the run, tested by all fold models at the end."),
    ] = None,
    test_data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder of --test-cohort, or a table of its scans.")
    ] = None,
    timed: Annotated[
        bool, typer.Option("--time", help="Also take the seconds of early exits on the test scans.")
    ] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Cross-validate: subject-grouped folds, out-of-fold predictions, metrics with intervals, a report, a bundle.

    The same command continues an interrupted run and ends with the same predictions. Several GPUs:
    'torchrun --nproc-per-node N -m neurofocus.cli cv ...' shares every batch between them.
    """
    from neurofocus.errors import ConfigError
    from neurofocus.workflows.cohort.combined import CohortData, load_cohort_specs
    from neurofocus.workflows.cross_validate import cross_validate, run_config, time_run
    from neurofocus.workflows.external import external_test
    from neurofocus.workflows.fold_jobs import cross_validate_in_jobs, parse_jobs

    from .output import print_json, print_warning, set_up_logging, summary_lines

    set_up_logging(verbose)
    short = {"data.folds": folds, "seed": seed}
    overrides = [*(set_ or ()), *(f"{key}={value}" for key, value in short.items() if value is not None)]
    other = _external(cohort, test_cohort, test_data)
    settings = run_config(cohort, config, overrides, splits=splits, exclude=exclude, tuned=tuned)
    where = CohortData(tuple(data or ()), links)
    plan, only = parse_jobs(jobs, slurm or ()), _fold(fold)
    if plan is None:
        result = cross_validate(settings, data=where, out=out, fold=only, fresh=fresh, device=device)
    elif only is None:
        result = cross_validate_in_jobs(settings, plan, data=where, out=out, fresh=fresh, device=device)
    else:
        raise ConfigError(f"--jobs {jobs}: starts every fold that is left, so it goes without --fold")
    if os.environ.get("RANK", "0") != "0":  # of processes that torchrun started, the first one speaks
        return
    if timed:
        time_run(settings, data=where, out=out, device=device)
    tested = None
    if other is not None and result.complete:
        specs = load_cohort_specs(cohort)
        tested = external_test(result.out, other, trained_on=specs, data=test_data, device=device)
    elif other is not None:
        print_warning("--test-cohort: is tested when all folds are done; run the same command again then")
    if as_json:
        answer = {"out": str(result.out), "complete": result.complete, "metrics": result.metrics}
        print_json(answer | ({} if tested is None else {"external": tested.metrics}))
        return
    for line in [*summary_lines(result), *(tested.summary_lines() if tested else ())]:
        typer.echo(line)


def _fold(text: str | None) -> int | Literal["next"] | None:
    """Return the value of ``--fold``.

    Raises:
        ConfigError: neither a whole number nor "next".
    """
    from neurofocus.errors import ConfigError

    if text is None:
        return None
    if text == "next":
        return "next"
    if not text.isdecimal():
        raise ConfigError(f"--fold {text!r}: accepted are a fold's number (from 1) or next")
    return int(text)


def _external(cohort: str, test_cohort: str | None, test_data: Path | None) -> "CohortSpec | None":
    """Return the definition of ``--test-cohort``; what is wrong with it is told before hours of training.

    Raises:
        NeurofocusError: unknown cohort, missing data, or no external test of this run.
    """
    from neurofocus.errors import ConfigError
    from neurofocus.schema.load import load_cohort_spec
    from neurofocus.workflows.cohort.combined import load_cohort_specs
    from neurofocus.workflows.cohort.setup import find_data
    from neurofocus.workflows.external import refuse_related

    if test_cohort is None:
        if test_data is not None:
            raise ConfigError(f"--test-data {test_data}: has a meaning with --test-cohort only")
        return None
    spec = load_cohort_spec(test_cohort)
    refuse_related(spec, load_cohort_specs(cohort))
    if test_data is None and spec.simulation is None:
        raise ConfigError(f"--test-cohort {test_cohort}: no data folder; give it with --test-data DIR")
    find_data(spec, test_data)
    return spec
