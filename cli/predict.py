"""``neurofocus predict``: one prediction a scan, with saliency on the scan's own grid."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import DeviceOption, JsonOption, PrecisionOption, RuntimeOption, VerboseOption

if TYPE_CHECKING:
    from neurofocus.errors import NeurofocusError
    from neurofocus.workflows.bundle import ModelBundle
    from neurofocus.workflows.predict import Prediction

__all__ = ["predict"]


def predict(
    scans: Annotated[
        list[Path],
        typer.Argument(
            metavar="SCAN...", help=".nii .nii.gz .mgz .nrrd, Analyze .hdr/.img, or a DICOM folder."
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(metavar="BUNDLE", help="A bundle folder; default: the shipped SYNTHETIC demo."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files of each scan go.")] = Path(),
    budget: Annotated[
        float | None,
        typer.Option(
            metavar="GFLOPS",
            help="Mean cost of a scan, all fold models together (1e9 multiply-adds): each stops when it is sure.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    runtime: RuntimeOption = "torch",
    precision: PrecisionOption = "f32",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Predict: class probabilities, saliency, overlay and an offline viewer for every scan.

    A scan that cannot be read does not stop the others; the exit code is then 2.
    """
    from neurofocus.errors import NeurofocusError

    from .output import print_error, print_json, set_up_logging

    set_up_logging(verbose)
    _check_stems(scans)
    documents = []

    def load() -> "ModelBundle":
        from neurofocus.workflows.runtime import load_for_prediction

        return load_for_prediction(model, device, runtime, precision=precision)

    for scan, result in zip(scans, _predictions(scans, load, out, budget=budget), strict=True):
        if isinstance(result, NeurofocusError):
            print_error(str(result))
            continue
        documents.append({"scan": scan.name} | result.document)
        if not as_json:
            for line in result.summary_lines():
                typer.echo(line)
    if as_json:
        print_json(documents)
    if len(documents) < len(scans):
        raise typer.Exit(2)


def _predictions(
    scans: Sequence[Path], load: "Callable[[], ModelBundle]", out: Path, *, budget: float | None
) -> "Iterator[Prediction | NeurofocusError]":
    """Yield a prediction a scan, or why there is none.

    The network's libraries and the bundle are loaded for the first scan that can be read: a bad scan is
    answered within a second.

    Raises:
        NeurofocusError: what stops all scans: the bundle, the device or the budget is not acceptable.
    """
    from neurofocus.data.volume import read_volume
    from neurofocus.errors import NeurofocusError

    bundle = None
    for scan in scans:
        try:
            volume = read_volume(scan)
        except NeurofocusError as error:
            yield error
            continue
        from neurofocus.workflows.exit_budget import exit_budget
        from neurofocus.workflows.predict import predict_volume

        bundle = bundle or load()
        exits = None if budget is None else exit_budget(bundle, budget)
        try:
            yield predict_volume(volume, bundle, out=out, exits=exits)
        except NeurofocusError as error:
            yield error


def _check_stems(scans: Sequence[Path]) -> None:
    """Refuse scans whose results would overwrite each other.

    Raises:
        ConfigError: naming the stem.
    """
    from neurofocus.data.volume import stem_of
    from neurofocus.errors import ConfigError

    seen: dict[str, Path] = {}
    for scan in scans:
        stem = stem_of(scan)
        if stem in seen:
            raise ConfigError(
                f"{scan}: would write the same files ({stem}_…) as {seen[stem]}; predict them apart"
            )
        seen[stem] = scan
