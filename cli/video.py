"""``neurofocus video``: the same model on video benchmarks and on folders of labelled clips."""

from pathlib import Path
from typing import Annotated

import typer

from .options import ConfigOption, DeviceOption, JsonOption, SetOption, VerboseOption
from .video_options import (
    ClassesOption,
    CropsOption,
    DataOption,
    DatasetOption,
    ExcludeOption,
    FormatOption,
    ListOption,
    MapOption,
    ModelOption,
    OrderOption,
    PrecisionOption,
    RuntimeOption,
    StrictOption,
    checkpoint_settings,
    crop_count,
    find_data,
    list_options,
    official_map,
    open_video,
    train_settings,
)

__all__ = ["app"]

app = typer.Typer(
    help="Check, train, evaluate and predict videos.", no_args_is_help=True, rich_markup_mode=None
)


@app.command(name="list")
def list_() -> None:
    """List the video data sets: classes, measure and title."""
    from neurofocus.resources import list_resources
    from neurofocus.schema.load import load_video_spec

    for name in list_resources("videos"):
        spec = load_video_spec(name)
        classes = "any" if spec.num_classes is None else str(spec.num_classes)
        typer.echo(f"{name:<15}{classes:>5} classes  {spec.metric:<5} {spec.title}")


@app.command()
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


@app.command()
def train(
    dataset: DatasetOption,
    data: DataOption = None,
    config: ConfigOption = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/DATASET.")] = None,
    set_: SetOption = None,
    format_: FormatOption = None,
    lists: ListOption = None,
    class_order: OrderOption = None,
    exclude: ExcludeOption = None,
    strict: StrictOption = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Remove an older run in the run folder first.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Short for --set seed=N.")] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Train, then score: predictions, measures with intervals, accuracy against GFLOPs, a bundle.

    The same command continues an interrupted run. Several GPUs:
    'torchrun --nproc-per-node N -m neurofocus.cli video train ...' shares every batch between them.
    """
    import os

    from neurofocus.workflows.device import choose_device
    from neurofocus.workflows.video.train import fitted, train_videos

    from .output import print_json, set_up_logging, video_lines

    set_up_logging(verbose)
    overrides = [*(set_ or ()), *([] if seed is None else [f"seed={seed}"])]
    settings = train_settings(dataset, config, overrides)
    found = find_data(
        dataset, data, list_options(format_, lists, class_order), exclude=exclude, strict=strict
    )
    where = out or Path("runs") / found.spec.name
    run = train_videos(fitted(settings, found), found, where, fresh=fresh, device=choose_device(device))
    if os.environ.get("RANK", "0") != "0":  # of processes that torchrun started, the first one speaks
        return
    if as_json:
        print_json({"out": str(run.out), **run.evaluation.metrics})
        return
    for line in video_lines(run.evaluation.metrics, run.files):
        typer.echo(line)


@app.command()
def evaluate(
    dataset: DatasetOption,
    model: ModelOption,
    out: Annotated[Path, typer.Option(help="Where the results go.")],
    data: DataOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    classes: ClassesOption = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation or test; default: the one to report.")
    ] = None,
    crops: CropsOption = None,
    map_: MapOption = None,
    format_: FormatOption = None,
    lists: ListOption = None,
    class_order: OrderOption = None,
    exclude: ExcludeOption = None,
    strict: StrictOption = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Score a model on a split: predictions, measures after every exit step, accuracy against GFLOPs."""
    from neurofocus.workflows.device import choose_device
    from neurofocus.workflows.video.bundle import load_video_model
    from neurofocus.workflows.video.evaluate import write_evaluation
    from neurofocus.workflows.video.score import score_model

    from .output import print_json, set_up_logging, video_lines

    set_up_logging(verbose)
    wanted, official = crop_count(crops), official_map(map_)
    settings = checkpoint_settings(config, set_)
    video = load_video_model(model, choose_device(device), config=settings, classes=classes)
    found = find_data(
        dataset, data, list_options(format_, lists, class_order), exclude=exclude, strict=strict
    )
    result = score_model(video, found, split=split, crops=wanted, official_map=official)
    files = write_evaluation(out, result)
    if as_json:
        print_json(result.metrics)
        return
    for line in video_lines(result.metrics, files):
        typer.echo(line)


@app.command()
def predict(
    clips: Annotated[
        list[Path], typer.Argument(metavar="CLIP...", help="Video files, or folders of frames.")
    ],
    model: ModelOption,
    out: Annotated[Path, typer.Option(help="Where the files of each clip go.")] = Path(),
    config: ConfigOption = None,
    set_: SetOption = None,
    classes: ClassesOption = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes are named.")] = 5,
    strict: StrictOption = False,
    device: DeviceOption = "auto",
    runtime: RuntimeOption = "torch",
    precision: PrecisionOption = "f32",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Predict clips: the likeliest classes, a movie with the patches, a contact sheet.

    A clip that cannot be read does not stop the others; the exit code is then 2.
    """
    from neurofocus.errors import ConfigError, NeurofocusError
    from neurofocus.workflows.video.predict import clip_stem, predict_clip

    from .output import print_error, print_json, set_up_logging

    set_up_logging(verbose)
    stems = [clip_stem(clip) for clip in clips]
    twice = next((clip for clip, stem in zip(clips, stems, strict=True) if stems.count(stem) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"{twice}: another clip would write the same files ({clip_stem(twice)}_...); predict them apart"
        )
    settings = checkpoint_settings(config, set_)
    video = open_video(model, device, settings=settings, classes=classes, runtime=(runtime, precision))
    documents = []
    for clip in clips:
        try:
            found = predict_clip(clip, video, out=out, top=top, strict=strict)
        except NeurofocusError as error:
            print_error(str(error))
            continue
        documents.append(found.document)
        if not as_json:
            for line in found.summary_lines():
                typer.echo(line)
    if as_json:
        print_json(documents)
    if len(documents) < len(clips):
        raise typer.Exit(2)
