"""``neurofocus profile``: parameters and multiply-adds of every part and every exit step."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import ConfigOption, JsonOption, SetOption

if TYPE_CHECKING:
    from neurofocus.model.cost import CostReport
    from neurofocus.schema.model import ModelConfig

__all__ = ["profile"]

_DEFAULT = "mri"
_ROW = "{:<22}{:>13}{:>16}{:>7}{:>16}"


class Convention(StrEnum):
    """What counts as an operation."""

    mac = "mac"
    paper = "paper"
    fvcore = "fvcore"
    flop2x = "flop2x"


def profile(
    config: ConfigOption = None,
    set_: SetOption = None,
    convention: Annotated[
        Convention,
        typer.Option(
            help="mac: multiply-adds; paper: and one a batch-normalised channel; fvcore: and two a "
            "batch-normalised value; flop2x: two a multiply-add."
        ),
    ] = Convention.mac,
    as_json: JsonOption = False,
) -> None:
    """Show parameters and GFLOPs of every part and exit step.

    They are measured by running the network on tensors without data. GFLOPs are 1e9 multiply-adds, unless
    another convention is asked for.
    """
    from neurofocus.model.cost import CONVENTIONS, measure_cost
    from neurofocus.schema.load import load_run_config

    from .output import print_json

    source = config or _DEFAULT
    model = load_run_config(source, set_ or ()).model
    report = measure_cost(model, convention=convention.value)
    unit = CONVENTIONS[report.convention]
    if as_json:
        print_json({"config": source, "convention": report.convention, "unit": unit} | _document(report))
        return
    for line in [
        f"configuration {source}: one case, {unit}",
        "",
        *_table(report),
        "",
        *_steps(report, model),
    ]:
        typer.echo(line.rstrip())


def _document(report: "CostReport") -> dict[str, Any]:
    return {
        "gflops": report.gflops,
        "crop_gflops": report.crop_gflops,
        "executed_gflops": report.executed_gflops,
        "parameters": report.parameters,
        "training_parameters": report.training_parameters,
        "parts": [
            {
                "name": part.name,
                "parameters": part.parameters,
                "gflops": part.gflops,
                "count": part.count,
                "gflops_each": part.gflops_each,
            }
            for part in report.parts
        ],
        "exit_gflops": list(report.exit_gflops),
    }


def _table(report: "CostReport") -> list[str]:
    lines = [_ROW.format("part", "parameters", "GFLOPs a run", "runs", "GFLOPs a case")]
    for part in report.parts:
        each, whole = f"{part.gflops_each:.6f}", f"{part.gflops:.4f}"
        lines.append(_ROW.format(part.name, f"{part.parameters:,}", each, part.count, whole))
    lines.append(_ROW.format("auxiliary heads", f"{report.training_parameters:,}", "training only", "", ""))
    lines.append(_ROW.format("total", f"{report.parameters:,}", "", "", f"{report.gflops:.4f}"))
    lines.append(_ROW.format("patch crops", "", "", "", f"{report.crop_gflops:.4f}"))
    lines.append(_ROW.format("executed", "", "", "", f"{report.executed_gflops:.4f}"))
    lines.append("The total follows the paper, which does not count cutting the patches out of the frames.")
    return lines


def _steps(report: "CostReport", model: "ModelConfig") -> list[str]:
    lines = ["exit step             GFLOPs up to it"]
    if model.classifies_clips:
        names = ["glance", "glance and focus"][-len(report.exit_gflops) :]
        pairs = zip(names, report.exit_gflops, strict=True)
        return lines + [f"{name:<22}{gflops:.4f}" for name, gflops in pairs]
    glance_exits = len(report.exit_gflops) - model.num_focus_frames
    if glance_exits:
        lines.append(f"{f'glance 1-{glance_exits}':<22}{report.exit_gflops[0]:.4f}")
    for step, gflops in enumerate(report.exit_gflops[glance_exits:], start=1):
        lines.append(f"{f'focus {step}':<22}{gflops:.4f}")
    return lines
