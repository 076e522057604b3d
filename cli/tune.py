"""``neurofocus tune``: search training settings inside each training part."""

from pathlib import Path
from typing import Annotated

import typer

from .options import (
    CohortDataOption,
    CohortOption,
    ConfigOption,
    DeviceOption,
    JsonOption,
    SetOption,
    VerboseOption,
)

__all__ = ["tune"]


def tune(
    cohort: CohortOption,
    data: CohortDataOption = None,
    config: ConfigOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the search; default: runs/COHORT-tune.")
    ] = None,
    set_: SetOption = None,
    space: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="What to search: a shipped space or a YAML file.")
    ] = "default",
    trials: Annotated[int, typer.Option(min=1, help="Trainings a fold.")] = 20,
    fold: Annotated[int | None, typer.Option(help="Search for this fold only (from 1).")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Remove an older search in the folder first.")
    ] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Search training settings fold by fold; the people whom a fold tests take no part in it.

    Start the same command several times, also on other machines that see the folder: they share the trials. Killed
    ones are made up for. 'neurofocus cv --tuned FOLDER' then trains every fold with its own settings.
    """
    from neurofocus.schema.load import load_search_space
    from neurofocus.workflows.run_setup import request_run, run_config
    from neurofocus.workflows.search import tune as workflow

    from .output import print_json, set_up_logging

    set_up_logging(verbose)
    settings = run_config(cohort, config, set_ or ())
    request = request_run(settings, data=data, out=out, fold=fold, fresh=fresh, suffix="-tune")
    result = workflow.tune(request, load_search_space(space), trials=trials, device=device)
    if as_json:
        print_json({"out": str(result.out), "best": list(result.best)})
        return
    for best in result.best:
        typer.echo(f"fold {best['fold']}: validation loss {best['validation_loss']:.4f}")
        for name, value in best["settings"].items():
            typer.echo(f"  {name:<40} {value:.6g}" if isinstance(value, float) else f"  {name:<40} {value}")
    typer.echo(f"use them with: neurofocus cv --cohort {cohort} ... --tuned {result.out}")
