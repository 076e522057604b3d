"""Options that several commands share, so that they read and behave alike."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "CohortDataOption",
    "CohortOption",
    "ConfigOption",
    "DeviceOption",
    "FreshOption",
    "JsonOption",
    "PrecisionOption",
    "RuntimeOption",
    "SeedOption",
    "SetOption",
    "VerboseOption",
]

CohortOption = Annotated[
    str,
    typer.Option(
        "--cohort",
        metavar="NAME|FILE",
        help="A shipped cohort (see 'neurofocus cohort list') or a cohort YAML file.",
    ),
]
CohortDataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR|FILE",
        help="The cohort's folder, or a table of scans; the demo cohorts need none.",
    ),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Remove an older run in the run folder first.")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Short for --set seed=N.")]
ConfigOption = Annotated[
    str | None,
    typer.Option("--config", metavar="NAME|FILE", help="A shipped run configuration or a YAML file."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Override one setting; may be repeated."),
]
DeviceOption = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda", help="Where to compute.")]
RuntimeOption = Annotated[
    str,
    typer.Option(
        "--runtime",
        metavar="torch|onnx|openvino",
        help="What computes the answers (see 'neurofocus export'); onnx and openvino on the CPU.",
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="f32|bf16",
        help="Of openvino or, for videos, torch; bf16 is faster and less exact.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print machine-readable results on standard output.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say more on standard error.")]
