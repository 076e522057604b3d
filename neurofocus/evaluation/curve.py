"""Accuracy against computation: the curve of tables and figures 8 to 12 of the paper."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from neurofocus.evaluation.figures import Theme, add_legend, png_bytes, themed_axes

__all__ = ["CurvePoint", "curve_figure", "curve_table"]

_SPELLED = {
    "balanced_accuracy": "balanced accuracy",
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "map": "mAP",
    "map_official": "interpolated mAP",
}
_ALARM = "#b3261e"


@dataclass(frozen=True)
class CurvePoint:
    """One way to run the model.

    Attributes:
        series: what belongs on one line, for example "fixed exit" or "conditional exit".
        gflops: mean cost of a case, 1e9 multiply-adds; seconds where a figure is against the clock.
        value: the measure.
        low: lower end of its 95 % interval.
        high: upper end.
    """

    series: str
    gflops: float
    value: float
    low: float
    high: float


def curve_table(points: Sequence[CurvePoint], measure: str) -> pd.DataFrame:
    """Return the points as a table, ordered along each series; write it with ``to_csv``.

    Args:
        points: of all series; the order of the series is kept.
        measure: name of the column with the values.
    """
    ordered = [point for line in _lines(points).values() for point in line]
    return pd.DataFrame(
        {
            "series": [point.series for point in ordered],
            "gflops": [point.gflops for point in ordered],
            measure: [point.value for point in ordered],
            f"{measure}_low": [point.low for point in ordered],
            f"{measure}_high": [point.high for point in ordered],
        }
    )


def curve_figure(
    points: Sequence[CurvePoint],
    measure: str,
    theme: Theme,
    *,
    case: str = "video",
    clock: str = "",
    note: str = "",
) -> bytes:
    """Draw each series as a line over its 95 % intervals.

    Args:
        points: of all series, at least one point.
        measure: what is drawn, for example "map"; known names are spelled out.
        theme: colours.
        case: what one case is called.
        clock: of points whose cost is seconds: how they were measured.
        note: a line above the picture, such as SYNTHETIC.
    """
    figure, axes = themed_axes(theme, (6.2, 4.4))
    for place, (name, line) in enumerate(_lines(points).items()):
        colour = theme.curves[place % len(theme.curves)]
        costs = [point.gflops for point in line]
        bounds = [100 * point.low for point in line], [100 * point.high for point in line]
        axes.fill_between(costs, *bounds, color=colour, alpha=0.15, linewidth=0)
        axes.plot(
            costs, [100 * point.value for point in line], color=colour, linewidth=1.8, marker="o", markersize=4,
            label=name,
        )  # fmt: skip
    unit = f"Seconds a {case} ({clock})" if clock else f"GFLOPs a {case} (1e9 multiply-adds)"
    axes.set_xlabel(unit)
    axes.set_ylabel(f"{_SPELLED.get(measure, measure)} (%)")
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -2), min(high, 102))  # room for a marker, none for shares beyond all
    if note:
        axes.set_title(note, size=9, weight="bold", color=_ALARM, loc="left")
    add_legend(axes, theme, "lower right")
    return png_bytes(figure)


def _lines(points: Sequence[CurvePoint]) -> dict[str, list[CurvePoint]]:
    """Return the points of each series by cost."""
    lines: dict[str, list[CurvePoint]] = {}
    for point in points:
        lines.setdefault(point.series, []).append(point)
    return {name: sorted(line, key=lambda point: point.gflops) for name, line in lines.items()}
