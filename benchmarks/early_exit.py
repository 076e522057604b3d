"""Figure 12 of the paper over seeds: exits by threshold, at random and at fixed lengths, at equal cost.

    for s in 0 1 2; do neurofocus video train --dataset digits --seed $s --out runs/digits-$s; done
    python benchmarks/early_exit.py runs/digits-0 runs/digits-1 runs/digits-2 --figure digits.png

The folders are finished runs of ``video train`` or ``cv``; thresholds were solved on their validation parts, the curves
belong to their test parts. All curves are read off at 41 budgets from the cheapest exit to the dearest; between
two points a line is drawn. "Spread" is the standard deviation over seeds of a difference at a budget.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from neurofocus.evaluation.curve import CurvePoint, curve_figure
from neurofocus.evaluation.figures import LIGHT
from neurofocus.files import write_bytes

SERIES = ("conditional", "random", "fixed")
NUM_BUDGETS = 41
Values = np.ndarray[Any, np.dtype[np.float64]]


def read(folder: Path) -> tuple[dict[str, tuple[Values, Values]], str]:
    """Return mean cost and measure along each series, by cost, and the measure's name."""
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    exits = metrics["exits"]
    measure = metrics.get("judged_by", "balanced_accuracy")
    points = {
        "fixed": exits["fixed"] if "fixed" in exits else [metrics["steps"][s - 1] for s in exits["steps"]]
    }
    points |= {kind: exits[kind] for kind in ("conditional", "random")}
    found = {}
    for kind, entries in points.items():
        costs = np.array([entry["gflops"] for entry in entries])
        order = np.argsort(costs, kind="stable")
        found[kind] = costs[order], np.array([entry[measure]["value"] for entry in entries])[order]
    return found, measure


def at_budgets(series: dict[str, tuple[Values, Values]]) -> tuple[Values, dict[str, Values]]:
    """Return the budgets, [B], and the measure of each series there."""
    costs, _ = series["fixed"]
    budgets = np.linspace(costs[0], costs[-1], NUM_BUDGETS)
    return budgets, {kind: np.interp(budgets, *curve) for kind, curve in series.items()}


def tell(found: dict[str, Values], budgets: Values) -> list[str]:
    """Return what holds; ``found`` has the measure of each series, [seeds, B]."""
    above = found["conditional"] - found["random"]
    inner = slice(1, -1)  # all are the same model at both ends
    shares = (above[:, inner] > 0).mean(1)
    words = (
        f"above random exits over {(above.mean(0)[inner] > 0).mean():.0%} of the budgets (mean of seeds); "
        f"seed by seed {', '.join(f'{share:.0%}' for share in shares)}; by {above.mean():+.4f} on average, "
        f"at most {above.mean(0).max():+.4f}"
    )
    lines = [words]
    beyond = found["conditional"] - found["fixed"]
    mean, spread = beyond.mean(0), beyond.std(0, ddof=1) if len(beyond) > 1 else np.full(len(budgets), np.nan)
    below = np.flatnonzero(mean < -spread)
    lines.append(
        f"against fixed lengths by {mean.mean():+.4f} on average, from {mean.min():+.4f} to {mean.max():+.4f}"
    )
    shown = ", ".join(f"{budgets[b]:.4g} ({mean[b]:+.4f}, spread {spread[b]:.4f})" for b in below)
    lines.append(
        f"below fixed lengths by more than the spread at {len(below)} of {len(budgets)} budgets{': ' * bool(shown)}{shown}"
    )
    return lines


def figure_points(found: dict[str, Values], budgets: Values) -> list[CurvePoint]:
    """Return the mean of each series with a 95 % t interval over seeds."""
    points = []
    for kind, values in found.items():
        mean = values.mean(0)
        half = (
            stats.t.ppf(0.975, max(len(values) - 1, 1)) * stats.sem(values, axis=0)
            if len(values) > 1
            else 0 * mean
        )
        points += [
            CurvePoint(f"{kind} exit", *row)
            for row in zip(budgets, mean, mean - half, mean + half, strict=True)
        ]
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="finished runs, one a seed")
    parser.add_argument("--figure", type=Path, help="PNG")
    arguments = parser.parse_args()
    read_runs = [read(folder) for folder in arguments.runs]
    measure = read_runs[0][1]
    grids = [at_budgets(series) for series, _ in read_runs]
    budgets = np.mean([grid for grid, _ in grids], axis=0)
    found = {kind: np.stack([values[kind] for _, values in grids]) for kind in SERIES}
    print(
        f"SYNTHETIC; {measure} of {len(arguments.runs)} runs, GFLOPs from {budgets[0]:.4g} to {budgets[-1]:.4g}"
    )
    for kind in SERIES:
        print(f"{kind:<12}" + " ".join(f"{value:.3f}" for value in found[kind].mean(0)[:: NUM_BUDGETS // 8]))
    print("\n".join(tell(found, budgets)))
    if arguments.figure:
        note = f"SYNTHETIC; mean of {len(arguments.runs)} seeds, 95 % t interval over seeds"
        case = "scan" if measure == "balanced_accuracy" else "video"
        picture = curve_figure(figure_points(found, budgets), measure, LIGHT, case=case, note=note)
        write_bytes(arguments.figure, picture)


if __name__ == "__main__":
    main()
