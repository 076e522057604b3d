"""``neurofocus cohort``: which cohorts there are, what each one means, what a delivered folder holds and hides."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import JsonOption, VerboseOption

if TYPE_CHECKING:
    from neurofocus.schema.cohort import CohortSpec

__all__ = ["app"]

app = typer.Typer(help="List, show, scan and check the cohorts that 'cv' understands.", no_args_is_help=True)


@app.command("list")
def list_cohorts(as_json: JsonOption = False) -> None:
    """List the shipped cohorts, one a line."""
    from neurofocus.resources import list_resources
    from neurofocus.schema.load import load_cohort_spec

    from .output import print_json

    specs = [load_cohort_spec(name) for name in list_resources("cohorts")]
    if as_json:
        print_json(
            [{"name": spec.name, "title": spec.title, "classes": list(spec.classes)} for spec in specs]
        )
        return
    width = max(len(spec.name) for spec in specs)
    for spec in specs:
        typer.echo(f"{spec.name:<{width}}  {spec.title}")


@app.command("show")
def show_cohort(
    name: Annotated[str, typer.Argument(help="A shipped cohort or a cohort YAML file.")],
    as_json: JsonOption = False,
) -> None:
    """Show one cohort: where its files are, what its labels mean, what to expect."""
    from neurofocus.schema.load import load_cohort_spec

    from .output import print_json

    spec = load_cohort_spec(name)
    if as_json:
        print_json(spec.model_dump(mode="json"))
        return
    for line in _definition_lines(spec):
        typer.echo(line)


def _definition_lines(spec: "CohortSpec") -> Iterator[str]:
    """Yield what a definition says, as far as it says anything: tables, labels, rules, what to expect."""
    yield f"{spec.name}: {spec.title}\n\n{spec.description.strip()}\n"
    yield f"layout         {spec.layout}"
    for role, table in spec.tables.items():
        needed = "".join(f"; {name}: {' or '.join(table.columns[name])}" for name in table.required)
        yield f"table          {role}: {' or '.join(table.files)}{needed}"
    yield f"label column   {spec.label_column}"
    for label, values in spec.classes.items():
        yield f"  class {label:<8} {'; '.join(values)}"
    rules = {"accepted": spec.series.accept, "excluded": spec.series.exclude, "preferred": spec.series.prefer}
    for rule, patterns in rules.items():
        if patterns:
            yield f"series         {rule}: {'; '.join(patterns)}"
    if spec.series.min_slices:
        yield f"series         at least {spec.series.min_slices} slices"
    if spec.series.max_voxel_mm is not None:
        yield f"series         voxels of at most {spec.series.max_voxel_mm:g} mm"
    if spec.ages.model_fields_set:
        yield f"ages           {spec.ages.min:g} to {spec.ages.max:g} years"
    yield f"session rule   {spec.session_rule}"
    if spec.shares_people_with:
        yield f"same people in {', '.join(spec.shares_people_with)}"
    yield f"configuration  {spec.config}"
    for item in spec.expectations:
        yield f"expect         {item.metric} {item.low:g} to {item.high:g}  ({item.source})"


@app.command("scan")
def scan(
    name: Annotated[str, typer.Argument(help="A shipped cohort or a cohort YAML file.")],
    out: Annotated[Path, typer.Option(metavar="FILE.tsv", help="The table to write: one row a scan.")],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|FILE",
            help="The cohort as delivered, or a table of scans; the demo cohorts need none.",
        ),
    ] = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Read a delivered folder: write the table that 'cv' would use, print how many scans left and why."""
    from neurofocus.schema.load import load_cohort_spec
    from neurofocus.workflows.cohort.scan import scan_cohort
    from neurofocus.workflows.cohort.setup import find_data

    from .output import flow_lines, print_json, print_warning, set_up_logging

    set_up_logging(verbose)
    spec = load_cohort_spec(name)
    _refuse_foreign(out)
    cohort = scan_cohort(spec, find_data(spec, data), out)
    for warning in cohort.warnings:
        print_warning(warning)
    if as_json:
        flow = [asdict(step) for step in cohort.flow]
        print_json({"table": str(out), "scans": len(cohort.table), "flow": flow, "warnings": cohort.warnings})
        return
    for line in flow_lines(cohort.flow):
        typer.echo(line)
    typer.echo(
        f"{out}: {len(cohort.table)} scans; check it with 'neurofocus cohort check {out} --cohort {name}'"
    )


def _refuse_foreign(out: Path) -> None:
    """Refuse to replace a file that ``cohort scan`` did not write, such as a table of the delivery.

    Raises:
        ConfigError: naming the file.
    """
    from neurofocus.errors import ConfigError
    from neurofocus.tables import read_header

    if out.is_file() and "diagnosis_source" not in read_header(out):
        raise ConfigError(
            f"--out {out}: is there already and was not written by 'neurofocus cohort scan'; choose another name"
        )


@app.command("check")
def check(
    table: Annotated[Path, typer.Argument(metavar="FILE.tsv", help="What 'cohort scan' wrote.")],
    cohort: Annotated[
        str | None, typer.Option(help="The cohort that the table is of; it says which classes there are.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Scans read at a time.")] = 2,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Look for leaks and confounds: leaks refuse a cohort (exit code 2), confounds are told with figures."""
    from neurofocus.schema.load import load_cohort_spec
    from neurofocus.workflows.cohort.check import check_cohort_file

    from .output import print_json, set_up_logging

    set_up_logging(verbose)
    checked = check_cohort_file(table, None if cohort is None else load_cohort_spec(cohort), jobs=jobs)
    if as_json:
        print_json(checked.as_json())
    else:
        for line in checked.summary_lines():
            typer.echo(line)
    checked.report.refuse()
