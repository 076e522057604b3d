"""``neurofocus video``: the same model on video benchmarks and on folders of labelled clips."""

from pathlib import Path
from typing import Annotated

import typer

from .options import (
    ConfigOption,
    DeviceOption,
    FreshOption,
    JsonOption,
    PrecisionOption,
    RuntimeOption,
    SeedOption,
    SetOption,
    VerboseOption,
)
from .video_check import check, list_
from .video_options import (
    BudgetOption,
    ClassesOption,
    CropsOption,
    DataOption,
    DatasetOption,
    ExcludeOption,
    ExitsOption,
    FormatOption,
    ListOption,
    MapOption,
    ModelOption,
    OrderOption,
    SolveOption,
    SplitOption,
    StrictOption,
    TimeOption,
    crop_count,
    find_data,
    list_options,
    official_map,
    open_model,
    train_settings,
)

__all__ = ["app"]

app = typer.Typer(
    help="Check, train, evaluate and predict videos.", no_args_is_help=True, rich_markup_mode=None
)


app.command(name="list")(list_)
app.command()(check)


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
    fresh: FreshOption = False,
    seed: SeedOption = None,
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
    split: SplitOption = None,
    crops: CropsOption = None,
    map_: MapOption = None,
    budget: BudgetOption = None,
    timed: TimeOption = False,
    solve_exits: SolveOption = None,
    exits: ExitsOption = None,
    format_: FormatOption = None,
    lists: ListOption = None,
    class_order: OrderOption = None,
    exclude: ExcludeOption = None,
    strict: StrictOption = False,
    device: DeviceOption = "auto",
    runtime: RuntimeOption = "torch",
    precision: PrecisionOption = "f32",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Score a model on a split: predictions, measures after every exit step, accuracy against GFLOPs.

    With --budget clips stop early and the work after that is not done: accuracy, cost, share of clips at each exit.
    """
    from neurofocus.allocator import keep_freed_memory
    from neurofocus.workflows.video.evaluate import require_output, write_evaluation
    from neurofocus.workflows.video.exits import write_exits
    from neurofocus.workflows.video.score import ExitRequest, score_model

    from .output import print_json, set_up_logging, video_lines

    set_up_logging(verbose)
    wanted, official = crop_count(crops), official_map(map_)
    require_output(out)
    request = ExitRequest(budget, timed, solve_exits)
    keep_freed_memory()
    video = open_model(
        model, config, set_, classes=classes, exits=exits, device=device, runtime=runtime, precision=precision
    )
    found = find_data(
        dataset, data, list_options(format_, lists, class_order), exclude=exclude, strict=strict
    )
    result = score_model(video, found, split=split, crops=wanted, official_map=official, request=request)
    files = write_evaluation(out, result)
    if solve_exits is not None and result.exits is not None:
        files["exits"] = out / "exits.json"
        write_exits(files["exits"], result.exits, video.of_torch("--solve-exits"))
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
    budget: BudgetOption = None,
    exits: ExitsOption = None,
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
    from neurofocus.allocator import keep_freed_memory
    from neurofocus.errors import NeurofocusError
    from neurofocus.files import require_writable
    from neurofocus.workflows.video.look import check_budget
    from neurofocus.workflows.video.predict import predict_clip, refuse_twins
    from neurofocus.workflows.video.quick import quickened

    from .output import print_error, print_json, set_up_logging

    set_up_logging(verbose)
    refuse_twins(clips)
    require_writable(out)
    keep_freed_memory()
    video = quickened(
        open_model(
            model,
            config,
            set_,
            classes=classes,
            exits=exits,
            device=device,
            runtime=runtime,
            precision=precision,
        )
    )
    if budget is not None:
        check_budget(video, budget)
    documents = []
    for clip in clips:
        try:
            found = predict_clip(clip, video, out=out, top=top, strict=strict, budget=budget)
        except NeurofocusError as error:
            print_error(f"{clip}: {str(error).removeprefix(f'{clip.name}: ')}")
            continue
        documents.append(found.document)
        if not as_json:
            for line in found.summary_lines():
                typer.echo(line)
    if as_json:
        print_json(documents)
    if len(documents) < len(clips):
        raise typer.Exit(2)
