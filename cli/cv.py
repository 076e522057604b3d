"""``neurofocus cv``: cross-validate a cohort."""

from pathlib import Path
from typing import Annotated

import typer

from .options import ConfigOption, DeviceOption, JsonOption, SetOption, VerboseOption

__all__ = ["cv"]


def cv(
    cohort: Annotated[
        str, typer.Option(help="A shipped cohort (see 'neurofocus cohort list') or a cohort YAML file.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="The cohort's folder, or a table of scans; the demo cohorts need none."),
    ] = None,
    config: ConfigOption = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/COHORT.")] = None,
    set_: SetOption = None,
    folds: Annotated[
        int | None, typer.Option(help="Number of outer folds; short for --set data.folds=N.")
    ] = None,
    splits: Annotated[
        Path | None,
        typer.Option(help="Folder of ClinicaDL's k-fold tables (split-0, split-1, …) instead of own folds."),
    ] = None,
    fold: Annotated[
        int | None, typer.Option(help="Run only this fold (from 1); the last one gathers.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Remove an older run in the run folder first.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Short for --set seed=N.")] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Cross-validate: subject-grouped folds, out-of-fold predictions, metrics with intervals, a report, a bundle.

    The same command continues an interrupted run and ends with the same predictions.
    """
    from neurofocus.workflows.cross_validate import cross_validate, run_config

    from .output import print_json, set_up_logging, summary_lines

    set_up_logging(verbose)
    overrides = list(set_ or ())
    if folds is not None:
        overrides.append(f"data.folds={folds}")
    if seed is not None:
        overrides.append(f"seed={seed}")
    settings = run_config(cohort, config, overrides, splits=splits)
    result = cross_validate(settings, data=data, out=out, fold=fold, fresh=fresh, device=device)
    if as_json:
        print_json({"out": str(result.out), "complete": result.complete, "metrics": result.metrics})
        return
    for line in summary_lines(result):
        typer.echo(line)
