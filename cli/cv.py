"""``neurofocus cv``: cross-validate a cohort."""

import os
from pathlib import Path
from typing import Annotated

import typer

from .options import ConfigOption, DeviceOption, JsonOption, SetOption, VerboseOption

__all__ = ["cv"]


def cv(
    cohort: Annotated[
        str,
        typer.Option(
            help="A shipped cohort (see 'neurofocus cohort list') or a cohort YAML file; several: adni,oasis3."
        ),
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option(help="The cohort's folder; the demo cohorts need none. Several: once a cohort."),
    ] = None,
    links: Annotated[
        Path | None,
        typer.Option(metavar="FILE.tsv", help="Who is who in several cohorts: participant_id, person_id."),
    ] = None,
    config: ConfigOption = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/COHORT.")] = None,
    set_: SetOption = None,
    folds: Annotated[
        int | None, typer.Option(help="Number of outer folds; short for --set data.folds=N.")
    ] = None,
    fold: Annotated[
        int | None, typer.Option(help="Run only this fold (from 1); the last one gathers.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Remove an older run in the run folder first.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Short for --set seed=N.")] = None,
    test_cohort: Annotated[
        str | None,
        typer.Option(help="A cohort that takes no part in the run, tested by all fold models at the end."),
    ] = None,
    test_data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder of --test-cohort.")
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Cross-validate: subject-grouped folds, out-of-fold predictions, metrics with intervals, a report, a bundle.

    The same command continues an interrupted run and ends with the same predictions. Several GPUs:
    'torchrun --nproc-per-node N -m neurofocus.cli cv …' shares every batch between them.
    """
    from neurofocus.schema.load import load_cohort_spec
    from neurofocus.workflows.combined import CohortData, load_cohort_specs
    from neurofocus.workflows.cross_validate import cross_validate, run_config
    from neurofocus.workflows.external import external_test

    from .output import print_json, set_up_logging, summary_lines

    set_up_logging(verbose)
    overrides = list(set_ or ())
    if folds is not None:
        overrides.append(f"data.folds={folds}")
    if seed is not None:
        overrides.append(f"seed={seed}")
    result = cross_validate(
        run_config(cohort, config, overrides),
        data=CohortData(tuple(data or ()), links),
        out=out,
        fold=fold,
        fresh=fresh,
        device=device,
    )
    if os.environ.get("RANK", "0") != "0":  # of processes that torchrun started, the first one speaks
        return
    tested = None
    if test_cohort is not None and result.complete:
        tested = external_test(
            result.out,
            load_cohort_spec(test_cohort),
            trained_on=load_cohort_specs(cohort),
            data=test_data,
            device=device,
        )
    if as_json:
        answer = {"out": str(result.out), "complete": result.complete, "metrics": result.metrics}
        print_json(answer | ({} if tested is None else {"external": tested.metrics}))
        return
    for line in [*summary_lines(result), *(tested.summary_lines() if tested else ())]:
        typer.echo(line)
