"""Options that several commands share, so that they read and behave alike."""

from typing import Annotated

import typer

__all__ = ["ConfigOption", "DeviceOption", "JsonOption", "SetOption", "VerboseOption"]

ConfigOption = Annotated[
    str | None,
    typer.Option("--config", metavar="NAME|FILE", help="A shipped run configuration or a YAML file."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Override one setting; may be repeated."),
]
DeviceOption = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda", help="Where to compute.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print machine-readable results on standard output.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say more on standard error.")]
