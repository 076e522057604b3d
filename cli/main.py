"""The ``neurofocus`` command: registers the commands and turns errors into exit codes.

Exit codes: 0 done; 2 the user can mend it (one line on standard error); 130 interrupted; anything unexpected
is a bug and ends in a traceback (exit code 1).
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from neurofocus import __version__
from neurofocus.errors import NeurofocusError

from . import cohort, video
from .cv import cv
from .export import check_export, export
from .output import print_error
from .predict import predict
from .prepare import prepare
from .profile import profile
from .tune import tune

__all__ = ["main"]

_PROGRAM = "neurofocus"
_USER_CAN_MEND_IT = 2
_INTERRUPTED = 130
_CONTINUED = ("cv", "prepare", "tune")

app = typer.Typer(
    help="Classify 3-D medical volumes and videos with Uni-AdaFocus.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(cv)
app.command()(predict)
app.command()(prepare)
app.add_typer(cohort.app, name="cohort")
app.command()(tune)
app.add_typer(video.app, name="video")
app.command()(profile)
app.command()(export)
app.command()(check_export)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{_PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Classify 3-D medical volumes and videos with Uni-AdaFocus."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: without the program's name; none: those of the process. No argument at all shows the help.
    """
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = app(given, prog_name=_PROGRAM, standalone_mode=False)
    except typer.TyperException as error:
        _print_usage_error(error)
        return error.exit_code
    except NeurofocusError as error:
        print_error(str(error))
        return _USER_CAN_MEND_IT
    if code == _INTERRUPTED:
        more = (
            "; the same command (without --fresh) continues"
            if given[0] in _CONTINUED or given[:2] == ["video", "train"]
            else ""
        )
        typer.echo(f"{_PROGRAM}: interrupted{more}", err=True)
    return code if isinstance(code, int) else 0


def _print_usage_error(error: typer.TyperException) -> None:
    message = error.format_message()
    if "\n" in message:  # a group without its command: the message is the group's help
        typer.echo(message, err=True)
        return
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else _PROGRAM
    print_error(f"{message.rstrip('.')}; see '{command} --help'")
