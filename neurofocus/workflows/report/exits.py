"""Conditional exits in the report: the curves of figure 12, and what they mean."""

from collections.abc import Mapping
from typing import Any

from neurofocus.evaluation.curve import CurvePoint
from neurofocus.workflows.report.tables import number

__all__ = ["clock_points", "clock_sentence", "exit_points", "exit_sentence"]

_SERIES = {
    "conditional": "conditional exit",
    "random": "random exit, same proportions",
    "fixed": "fixed length",
}


def exit_points(exits: Mapping[str, Any]) -> list[CurvePoint]:
    """Return the three curves of balanced accuracy for ``curve_figure``; without what could not be measured."""
    return [
        CurvePoint(
            name, point["gflops"], *(point["balanced_accuracy"][key] for key in ("value", "low", "high"))
        )
        for kind, name in _SERIES.items()
        for point in exits[kind]
        if None not in point["balanced_accuracy"].values()
    ]


def clock_points(exits: Mapping[str, Any], seconds: Mapping[str, Any]) -> list[CurvePoint]:
    """Return the curves against seconds; exits at random are not timed, as nobody would run them."""
    timed = {
        kind: [point | {"gflops": spent} for point, spent in zip(exits[kind], seconds[kind], strict=True)]
        for kind in ("conditional", "fixed")
    }
    return exit_points(timed | {"random": []})


def clock_sentence(exits: Mapping[str, Any], seconds: Mapping[str, Any]) -> str:
    """Return what the clock says half-way between the cheapest and the dearest exit."""
    points = exits["conditional"]
    middle = len(points) // 2
    spent, whole = seconds["conditional"][middle], seconds["fixed"][-1]
    share = points[middle]["gflops"] / exits["fixed"][-1]["gflops"]
    return (
        f"{1000 * spent:.4g} ms a scan and model instead of {1000 * whole:.4g} ({100 * spent / whole:.0f} %) at "
        f"{100 * share:.0f} % of the GFLOPs: the model only, prepared scans, batches of {seconds['batch_size']}, all budgets and "
        "lengths in turn."
    )


def exit_sentence(exits: Mapping[str, Any]) -> str:
    """Return what the curves mean, read off half-way between the cheapest and the dearest exit."""
    points, whole = exits["conditional"], exits["fixed"][-1]
    middle = len(points) // 2
    point, dealt, gain = points[middle], exits["random"][middle], points[middle]["above_random"]
    value = point["balanced_accuracy"]
    better = sum((each["above_random"]["value"] or 0) > 0 for each in points[1:-1])
    if gain["low"] is None:
        verdict = "there are too few scans for an interval"
    elif gain["low"] > 0:
        verdict = "knowing when to stop pays"
    elif gain["high"] < 0:
        verdict = "how sure the model is misleads it here"
    else:
        verdict = "these scans do not tell the two apart"
    return (
        f"Scans that stop as soon as their fold's model is sure: at {number(point['gflops'], 4)} GFLOPs a scan "
        f"({100 * point['gflops'] / whole['gflops']:.0f} % of the complete model's) balanced accuracy "
        f"{number(value['value'])} (95 % interval {number(value['low'])} to {number(value['high'])}), complete "
        f"{number(whole['balanced_accuracy']['value'])}. The same stops dealt at random: "
        f"{number(dealt['balanced_accuracy']['value'])}; the difference is {number(gain['value'])} "
        f"({number(gain['low'])} to {number(gain['high'])}): {verdict}. Above random at {better} of the "
        f"{max(len(points) - 2, 0)} budgets between the ends."
    )
