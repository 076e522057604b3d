"""``neurofocus predict``: one prediction a scan, with saliency on the scan's own grid."""

from pathlib import Path
from typing import Annotated

import typer

from .options import DeviceOption, JsonOption, VerboseOption

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
    out: Annotated[Path, typer.Option(help="Where the files of each scan go.")] = Path(),
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Predict: class probabilities, saliency, overlay and an offline viewer for every scan.

    A scan that cannot be read does not stop the others; the exit code is then 2.
    """
    from neurofocus.errors import NeurofocusError
    from neurofocus.workflows.predict import check_stems, load_for_prediction, predict_scan

    from .output import print_json, set_up_logging

    set_up_logging(verbose)
    check_stems(scans)
    bundle = load_for_prediction(model, device)
    failures, documents = [], []
    for scan in scans:
        try:
            prediction = predict_scan(scan, bundle, out=out)
        except NeurofocusError as error:
            failures.append(str(error))
            typer.echo(f"neurofocus: error: {error}", err=True)
            continue
        documents.append({"scan": scan.name} | prediction.document)
        if not as_json:
            for line in prediction.summary_lines():
                typer.echo(line)
    if as_json:
        print_json(documents)
    if failures:
        raise typer.Exit(2)
