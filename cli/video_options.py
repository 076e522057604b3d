"""Options of the video commands, and what they mean to the workflows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neurofocus.ingest.video.listing import ListOptions
    from neurofocus.schema.run import RunConfig
    from neurofocus.workflows.video.bundle import VideoModel
    from neurofocus.workflows.video.source import VideoData

__all__ = [
    "BudgetOption",
    "ClassesOption",
    "CropsOption",
    "DataOption",
    "DatasetOption",
    "ExcludeOption",
    "ExitsOption",
    "FormatOption",
    "ListOption",
    "MapOption",
    "ModelOption",
    "OrderOption",
    "SolveOption",
    "SplitOption",
    "StrictOption",
    "TimeOption",
    "crop_count",
    "find_data",
    "list_options",
    "official_map",
    "open_model",
    "train_settings",
]

_ROLES = ("train", "validation", "test", "all", "labels", "classes", "names")

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
    Path | None, typer.Option(metavar="FILE", help="Clips to leave out, one name or path a line.")
]
ModelOption = Annotated[
    Path, typer.Option(metavar="BUNDLE|FILE", help="A bundle, or a released checkpoint with --config.")
]
ClassesOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Class file of a released checkpoint, in its order.")
]
CropsOption = Annotated[
    int | None, typer.Option(metavar="1|3", help="Test crops; default: the configuration's.")
]
MapOption = Annotated[
    str | None,
    typer.Option("--map", metavar="official", help="Also the ActivityNet toolkit's interpolated mAP."),
]
BudgetOption = Annotated[
    float | None,
    typer.Option(
        metavar="GFLOPS",
        help="Stop early: mean cost of a clip, 1e9 multiply-adds; default: no clip stops early.",
    ),
]
ExitsOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Exit thresholds: exits.json of 'video evaluate --solve-exits'."),
]
SplitOption = Annotated[
    str | None, typer.Option(help="train, validation or test; default: the one to report.")
]
SolveOption = Annotated[
    str | None,
    typer.Option(
        metavar="SPLIT",
        help="Solve exit thresholds on this labelled split, which must not be scored; writes exits.json.",
    ),
]
TimeOption = Annotated[
    bool,
    typer.Option(
        "--time", help="Measure seconds of the model: of --budget and of the end, or of all stored budgets."
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict-video", help="Stop at the first frame that is damaged or not there.")
]


def find_data(
    dataset: str, data: Path | None, options: "ListOptions", *, exclude: Path | None, strict: bool
) -> "VideoData":
    """Return the data set, read and checked."""
    from neurofocus.workflows.video.source import find_videos

    return find_videos(dataset, data, options, exclude=exclude, strict=strict)


def train_settings(dataset: str, config: str | None, overrides: "Sequence[str]") -> "RunConfig":
    """Return the named configuration, or the one that is shipped for the data set."""
    from neurofocus.resources import list_resources
    from neurofocus.schema.load import load_run_config

    shipped = dataset if dataset in list_resources("configs") else "video"
    return load_run_config(config or shipped, overrides)


def open_model(
    model: Path,
    config: str | None,
    overrides: "Sequence[str] | None",
    *,
    classes: Path | None,
    exits: Path | None,
    device: str,
    runtime: str,
    precision: str,
) -> "VideoModel":
    """Return a bundle's model or, with a configuration, that of a checkpoint; a bundle has its own.

    Raises:
        ConfigError: overrides without a configuration, or options that do not go with the runtime.
        NeurofocusError: the model or the device is not acceptable.
    """
    from neurofocus.errors import ConfigError
    from neurofocus.schema.load import load_run_config
    from neurofocus.workflows.device import choose_device
    from neurofocus.workflows.runtime import check_runtime
    from neurofocus.workflows.video.bundle import load_exported_video, load_video_model
    from neurofocus.workflows.video.quick import in_bfloat16

    if config is None and overrides:
        raise ConfigError(
            f"--set {overrides[0]}: goes with --config and a checkpoint; a bundle has its settings"
        )
    kind, exact = check_runtime(runtime, precision, device)
    if kind == "torch":
        settings = None if config is None else load_run_config(config, overrides or ())
        video = load_video_model(model, choose_device(device), config=settings, classes=classes, exits=exits)
        return in_bfloat16(video) if exact == "bf16" else video
    if config is not None or classes is not None:
        raise ConfigError(
            f"--runtime {kind}: takes a bundle or an export, which hold configuration and classes; leave out --config, "
            "--set and --classes"
        )
    return load_exported_video(model, kind, precision=exact, exits=exits)


def crop_count(crops: int | None) -> int | None:
    """Return the number of crops.

    Raises:
        ConfigError: it is neither 1 nor 3.
    """
    from neurofocus.errors import ConfigError

    if crops not in (None, 1, 3):
        raise ConfigError(f"--crops {crops}: accepted are 1 and 3")
    return crops


def official_map(kind: str | None) -> bool:
    """Say whether the toolkit's mAP is wanted as well.

    Raises:
        ConfigError: another kind is named.
    """
    from neurofocus.errors import ConfigError

    if kind not in (None, "official"):
        raise ConfigError(
            f"--map {kind!r}: accepted is official; the default is scikit-learn's average precision"
        )
    return kind is not None


def list_options(format_: str | None, lists: "list[str] | None", class_order: str | None) -> "ListOptions":
    """Return what the user forces.

    Raises:
        ConfigError: an option that is not acceptable.
    """
    from typing import get_args

    from neurofocus.errors import ConfigError
    from neurofocus.ingest.video.listing import ListOptions
    from neurofocus.schema.video import ClassOrder, ListFormat

    files: dict[str, Path] = {}
    for text in lists or ():
        role, equals, name = text.partition("=")
        if not equals or role not in _ROLES:
            raise ConfigError(f"--list {text!r}: write it as ROLE=FILE with a role of {', '.join(_ROLES)}")
        if role in files:
            raise ConfigError(f"--list {text}: {role} is given twice ({files[role]}); give one file a role")
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
