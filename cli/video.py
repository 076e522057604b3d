"""``neurofocus video``: the same model on video benchmarks and on folders of labelled clips."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from .options import ConfigOption, DeviceOption, JsonOption, SetOption, VerboseOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neurofocus.ingest.video.listing import ListOptions
    from neurofocus.schema.run import RunConfig
    from neurofocus.workflows.video.source import VideoData

__all__ = ["app"]

app = typer.Typer(
    help="Check, train, evaluate and predict videos.", no_args_is_help=True, rich_markup_mode=None
)

DatasetOption = Annotated[
    str, typer.Option(help="A video data set (see 'neurofocus video list') or its YAML file.")
]
DataOption = Annotated[Path | None, typer.Option(metavar="DIR", help="The folder with its lists and clips.")]
FormatOption = Annotated[
    str | None, typer.Option("--format", help="List format; default: recognised and shown.")
]
ListOption = Annotated[
    list[str] | None,
    typer.Option(
        "--list",
        metavar="ROLE=FILE",
        help="A list file: train, validation, test, all, labels, classes or names.",
    ),
]
OrderOption = Annotated[
    str | None, typer.Option("--class-order", metavar="sorted|file", help="Index of labels given as names.")
]
ExcludeOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Clips to leave out, one identifier a line.")
]
StrictOption = Annotated[
    bool, typer.Option("--strict-video", help="Stop at the first damaged frame instead of counting it.")
]


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
    options = _options(format_, lists, class_order)
    report = check_video_folder(
        dataset, _needed(dataset, data), options, limit=limit, thorough=thorough, classes=classes
    )
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
    settings = _settings(dataset, config, overrides)
    found = _find(dataset, data, _options(format_, lists, class_order), exclude=exclude, strict=strict)
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
    model: Annotated[
        Path, typer.Option(metavar="BUNDLE|FILE", help="A bundle, or a released checkpoint with --config.")
    ],
    out: Annotated[Path, typer.Option(help="Where the results go.")],
    data: DataOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    classes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Class file of a released checkpoint, in its order.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation or test; default: the one to report.")
    ] = None,
    crops: Annotated[
        int | None, typer.Option(metavar="1|3", help="Test crops; default: the configuration's.")
    ] = None,
    map_: Annotated[
        str | None,
        typer.Option("--map", metavar="official", help="Also the ActivityNet toolkit's interpolated mAP."),
    ] = None,
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
    from neurofocus.errors import ConfigError
    from neurofocus.workflows.device import choose_device
    from neurofocus.workflows.video.bundle import load_video_model
    from neurofocus.workflows.video.evaluate import write_evaluation
    from neurofocus.workflows.video.score import score_model

    from .output import print_json, set_up_logging, video_lines

    set_up_logging(verbose)
    if crops not in (None, 1, 3):
        raise ConfigError(f"--crops {crops}: accepted are 1 and 3")
    if map_ not in (None, "official"):
        raise ConfigError(
            f"--map {map_!r}: accepted is official; the default is scikit-learn's average precision"
        )
    settings = _settings(dataset, config, list(set_ or ())) if config or set_ else None
    video = load_video_model(model, choose_device(device), config=settings, classes=classes)
    found = _find(dataset, data, _options(format_, lists, class_order), exclude=exclude, strict=strict)
    result = score_model(video, found, split=split, crops=crops, official_map=map_ is not None)
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
    model: Annotated[
        Path, typer.Option(metavar="BUNDLE|FILE", help="A bundle, or a released checkpoint with --config.")
    ],
    out: Annotated[Path, typer.Option(help="Where the files of each clip go.")] = Path(),
    config: ConfigOption = None,
    set_: SetOption = None,
    classes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Class file of a released checkpoint, in its order.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes are named.")] = 5,
    strict: StrictOption = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Predict clips: the likeliest classes, a movie with the patches, a contact sheet.

    A clip that cannot be read does not stop the others; the exit code is then 2.
    """
    from neurofocus.errors import ConfigError, NeurofocusError
    from neurofocus.schema.load import load_run_config
    from neurofocus.workflows.device import choose_device
    from neurofocus.workflows.video.bundle import load_video_model
    from neurofocus.workflows.video.predict import clip_stem, predict_clip

    from .output import print_error, print_json, set_up_logging

    set_up_logging(verbose)
    stems = [clip_stem(clip) for clip in clips]
    twice = next((clip for clip, stem in zip(clips, stems, strict=True) if stems.count(stem) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"{twice}: another clip would write the same files ({clip_stem(twice)}_...); predict them apart"
        )
    if set_ and not config:
        raise ConfigError(f"--set {set_[0]}: goes with --config and a checkpoint; a bundle has its settings")
    settings = load_run_config(config, set_ or ()) if config else None
    video = load_video_model(model, choose_device(device), config=settings, classes=classes)
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


def _needed(dataset: str, data: Path | None) -> Path:
    """Return the data folder.

    Raises:
        ConfigError: the data set needs one.
    """
    from neurofocus.errors import ConfigError

    if data is None:
        raise ConfigError(f"--dataset {dataset}: needs --data DIR, the folder with its lists and clips")
    return data


def _find(
    dataset: str, data: Path | None, options: "ListOptions", *, exclude: Path | None, strict: bool
) -> "VideoData":
    from neurofocus.workflows.video.source import find_videos

    return find_videos(dataset, _needed(dataset, data), options, exclude=exclude, strict=strict)


def _settings(dataset: str, config: str | None, overrides: "Sequence[str]") -> "RunConfig":
    """Return the named configuration, or the one that is shipped for the data set."""
    from neurofocus.resources import list_resources
    from neurofocus.schema.load import load_run_config

    shipped = dataset if dataset in list_resources("configs") else "video"
    return load_run_config(config or shipped, overrides)


def _options(format_: str | None, lists: "list[str] | None", class_order: str | None) -> "ListOptions":
    """Return what the user forces.

    Raises:
        ConfigError: an option that is not acceptable.
    """
    from typing import get_args

    from neurofocus.errors import ConfigError
    from neurofocus.ingest.video.listing import ListOptions
    from neurofocus.schema.video import ClassOrder, ListFormat

    roles = ("train", "validation", "test", "all", "labels", "classes", "names")
    files: dict[str, Path] = {}
    for text in lists or ():
        role, equals, name = text.partition("=")
        if not equals or role not in roles:
            raise ConfigError(f"--list {text!r}: write it as ROLE=FILE with a role of {', '.join(roles)}")
        files[role] = Path(name)
    for option, value, accepted in (
        ("--format", format_, get_args(ListFormat)),
        ("--class-order", class_order, get_args(ClassOrder)),
    ):
        if value is not None and value not in accepted:
            raise ConfigError(f"{option} {value!r}: accepted are {', '.join(accepted)}")
    return ListOptions(
        format=cast("ListFormat | None", format_),
        order=cast(Literal["sorted", "file"] | None, class_order),
        lists=files,
    )
