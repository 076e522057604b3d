"""``neurofocus export``: a bundle as ONNX files or as a MONAI bundle, checked before it is left behind."""

from pathlib import Path
from typing import Annotated

import typer

from .options import JsonOption, VerboseOption

__all__ = ["check_export", "export"]


def export(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder 'bundle' of a finished run.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make.")],
    format_: Annotated[
        str, typer.Option("--format", metavar="onnx|monai", help="ONNX graphs, or a MONAI bundle for scans.")
    ] = "onnx",
    cases: Annotated[
        int, typer.Option(min=1, help="onnx: random cases on which files and model must agree.")
    ] = 50,
    seed: Annotated[int, typer.Option(min=0, help="onnx: of those cases.")] = 0,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Export a bundle to run elsewhere.

    onnx: four graphs a fold model (glance, decide, focus, classifier), so that early exits still skip work, and a
    manifest. They must choose the model's frames and give its probabilities within 1e-4, or nothing is written.
    """
    from neurofocus.errors import ConfigError

    from .output import print_json, set_up_logging

    set_up_logging(verbose)
    if format_ == "monai":
        from neurofocus.workflows.monai_bundle import export_monai

        files = export_monai(bundle, out)
        if as_json:
            print_json({"out": str(out), "files": files})
            return
        typer.echo(f"MONAI bundle {out}: {', '.join(files)}")
        return
    if format_ != "onnx":
        raise ConfigError(f"--format {format_!r}: accepted are onnx and monai")
    from neurofocus.workflows.export import export_onnx

    manifest = export_onnx(
        bundle, out, cases=cases, seed=seed, tell=lambda line: typer.echo(line, err=as_json)
    )
    if as_json:
        print_json({"out": str(out), "agreement": [fold.agreement.model_dump() for fold in manifest.folds]})
        return
    bundle_says = manifest.bundle
    if bundle_says.synthetic:
        typer.echo("SYNTHETIC: the model was trained on simulated data")
    typer.echo(
        f"export {out}: {len(manifest.folds)} fold models, opset {manifest.opset}; {bundle_says.intended_use}"
    )


def check_export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of an export.")],
    runtime: Annotated[
        str, typer.Option(metavar="onnx|openvino", help="What runs the graphs, in float32.")
    ] = "onnx",
    as_json: JsonOption = False,
) -> None:
    """Check an export where it will run: the model's frames, and its probabilities within 1e-4.

    Needs no PyTorch: numpy, pydantic, typer and the runtime are enough.
    """
    from typing import cast, get_args

    from neurofocus.errors import ConfigError
    from neurofocus.inference.agreement import agreement_line
    from neurofocus.inference.check_export import check_export as check
    from neurofocus.inference.graph_files import GraphRuntime

    from .output import print_json

    if runtime not in get_args(GraphRuntime):
        raise ConfigError(f"--runtime {runtime!r}: accepted are {', '.join(get_args(GraphRuntime))}")
    found = check(folder, cast(GraphRuntime, runtime))
    if as_json:
        print_json([each.model_dump() for each in found])
        return
    for number, each in enumerate(found, start=1):
        typer.echo(agreement_line(number, each))
