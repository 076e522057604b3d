"""``neurofocus cohort``: which cohorts there are and what each one means."""

from typing import Annotated

import typer

from .options import JsonOption

__all__ = ["app"]

app = typer.Typer(help="List and show the cohorts that 'cv' understands.", no_args_is_help=True)


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
    typer.echo(f"{spec.name}: {spec.title}\n\n{spec.description.strip()}\n")
    typer.echo(f"layout         {spec.layout}")
    typer.echo(f"label column   {spec.label_column}")
    for label, values in spec.classes.items():
        typer.echo(f"  class {label:<8} {', '.join(values)}")
    typer.echo(f"configuration  {spec.config}")
    for item in spec.expectations:
        typer.echo(f"expect         {item.metric} {item.low} to {item.high}  ({item.source})")
