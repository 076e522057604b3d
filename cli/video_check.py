"""``neurofocus video list`` and ``check``: the data sets, and whether lists and clips are as they should be."""

from pathlib import Path
from typing import Annotated

import typer

from .options import JsonOption, VerboseOption
from .video_options import DataOption, DatasetOption, FormatOption, ListOption, OrderOption, list_options

__all__ = ["check", "list_"]


def list_() -> None:
    """List the video data sets: classes, measure and title."""
    from neurofocus.resources import list_resources
    from neurofocus.schema.load import load_video_spec

    for name in list_resources("videos"):
        spec = load_video_spec(name)
        classes = "any" if spec.num_classes is None else str(spec.num_classes)
        typer.echo(f"{name:<15}{classes:>5} classes  {spec.metric:<5} {spec.title}")


def check(
    dataset: DatasetOption,
    data: DataOption = None,
    format_: FormatOption = None,
    lists: ListOption = None,
    class_order: OrderOption = None,
    classes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Class file of a checkpoint, to compare the order with."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Open only this many clips a split, evenly over the list.")
    ] = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Decode every frame of the opened clips.")
    ] = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Check lists and clips: counts, missing and unreadable files, labels, class orders. Exit code 2 if not passed."""
    from neurofocus.workflows.video.check import check_video_folder, report_lines

    from .output import print_json, set_up_logging

    set_up_logging(verbose)
    options = list_options(format_, lists, class_order)
    report = check_video_folder(dataset, data, options, limit=limit, thorough=thorough, classes=classes)
    if as_json:
        print_json(report.as_json())
    else:
        for line in report_lines(report):
            typer.echo(line)
    if not report.passed:
        raise typer.Exit(2)
