"""``neurofocus prepare``: all scans of a cohort through the pipeline of ``predict``, with quality measures."""

from pathlib import Path
from typing import Annotated

import typer

from .options import CohortDataOption, CohortOption, ConfigOption, JsonOption, SetOption, VerboseOption

__all__ = ["prepare"]


def prepare(
    cohort: CohortOption,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The BIDS derivative data set to write.")],
    data: CohortDataOption = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Scans prepared at a time; short for --set data.prepare_jobs=N.")
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Prepare: bias-corrected scans in MNI space, brain masks, quality.tsv and a contact sheet.

    The same command continues an interrupted run; only what changed is made again. A scan that cannot be prepared
    is listed with its reason and does not stop the others.
    """
    from neurofocus.schema.load import load_cohort_spec, load_run_config
    from neurofocus.workflows.preparation.prepare import prepare_cohort_files

    from .output import print_json, print_warning, set_up_logging

    set_up_logging(verbose)
    run = load_run_config(config or load_cohort_spec(cohort).config, list(set_ or ()))
    result = prepare_cohort_files(run.model_copy(update={"cohort": cohort}), out=out, data=data, jobs=jobs)
    if as_json:
        print_json(result.document())
    else:
        for line in result.summary_lines():
            typer.echo(line)
    if failed := len(result.failures):
        print_warning(f"{failed} scans could not be prepared; see {result.out / 'failures.tsv'}")
