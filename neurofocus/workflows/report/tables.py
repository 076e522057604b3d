"""The report's tables as plain rows of text, ready to print."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

__all__ = [
    "METRIC_NAMES",
    "ceiling_of",
    "cohort_rows",
    "confusion_rows",
    "fold_rows",
    "metric_rows",
    "number",
    "provenance_rows",
    "role_rows",
]

METRIC_NAMES = {
    "balanced_accuracy": "Balanced accuracy",
    "roc_auc": "ROC-AUC",
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "brier": "Brier score",
    "ece": "Calibration error (ECE)",
}
_LOWER_IS_BETTER = ("brier", "ece")
# Simulated cohorts and cohort definitions may say "auc".
_OTHER_NAMES = {"roc_auc": ("roc_auc", "auc")}


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure for people; a dash where there is nothing to measure."""
    return "–" if value is None or np.isnan(value) else f"{value:.{digits}f}"


def ceiling_of(metrics: Mapping[str, Any], name: str) -> float | None:
    """Return the Bayes ceiling of a metric, or None where there is none."""
    ceiling = metrics.get("bayes_ceiling") or {}
    for key in _OTHER_NAMES.get(name, (name,)):
        if isinstance(ceiling.get(key), int | float):
            return float(ceiling[key])
    return None


def metric_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row a metric: pooled value, interval, baseline, ceiling, mean and sd over folds."""
    rows = []
    for name, title in METRIC_NAMES.items():
        if name not in metrics["pooled"]:
            continue
        pooled = metrics["pooled"][name]
        known = pooled["low"] is not None
        rows.append(
            {
                "name": name,
                "title": title,
                "better": "lower" if name in _LOWER_IS_BETTER else "higher",
                "value": number(pooled["value"]),
                "interval": f"{number(pooled['low'])} to {number(pooled['high'])}" if known else "–",
                "bar": _bar(pooled),
                "baseline": number(metrics["baseline"].get(name)),
                "baseline_value": metrics["baseline"].get(name),
                "ceiling": number(ceiling_of(metrics, name)),
                "ceiling_value": ceiling_of(metrics, name),
                "folds": _mean_sd(metrics["mean"].get(name), metrics["sd"].get(name)),
            }
        )
    return rows


def fold_rows(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Return a row a fold: fold, scans, every metric, GFLOPs; then the mean and the sd."""
    names = [name for name in METRIC_NAMES if name in metrics["pooled"]]
    rows = [
        [
            str(fold["fold"]),
            str(fold["n_scans"]),
            *(number(fold[name]) for name in names),
            number(fold["mean_gflops"], 2),
        ]
        for fold in metrics["folds"]
    ]
    gflops = [fold["mean_gflops"] for fold in metrics["folds"] if fold["mean_gflops"] is not None]
    for title, key, spread in (("mean", "mean", np.mean), ("sd", "sd", _sd)):
        cost = float(spread(gflops)) if gflops else None
        rows.append([title, "", *(number(metrics[key].get(name)) for name in names), number(cost, 2)])
    return rows


def confusion_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row a true class: its name, and a cell a predicted class with count and share of the row."""
    rows = []
    for name, counts in zip(metrics["classes"], metrics["confusion_matrix"], strict=True):
        total = sum(counts)
        cells = [{"count": count, "share": count / total if total else 0.0} for count in counts]
        rows.append({"name": name, "total": total, "cells": cells})
    return rows


def cohort_rows(table: pd.DataFrame, classes: Sequence[str]) -> list[dict[str, str]]:
    """Return a row a class and one for all: participants, scans, age, sex, sites."""
    groups = [(name, table[table["label"] == index]) for index, name in enumerate(classes)]
    return [_describe_group(name, rows) for name, rows in [*groups, ("all", table)]]


def role_rows(folds: pd.DataFrame, classes: Sequence[str]) -> list[list[str]]:
    """Return a row a fold: fold, and for train, validation and test the participants by class."""
    rows = []
    for column in [name for name in folds.columns if name.startswith("role_")]:
        cells = [column.removeprefix("role_")]
        for role in ("train", "validation", "test"):
            people = folds[folds[column] == role].drop_duplicates("participant_id")
            counts = people["label"].value_counts()
            by_class = ", ".join(f"{name} {counts.get(index, 0)}" for index, name in enumerate(classes))
            cells.append(f"{len(people)} ({by_class})")
        rows.append(cells)
    return rows


def provenance_rows(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return name and value in order; nested groups become dotted names."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows.extend(provenance_rows(value, f"{prefix}{name}."))
        else:
            rows.append((f"{prefix}{name}", str(value)))
    return rows


def _bar(pooled: Mapping[str, Any]) -> list[float] | None:
    """Return low, value and high for a bar from 0 to 1, or None where they do not fit (Brier score, K > 2)."""
    values = [pooled["low"], pooled["value"], pooled["high"]]
    return values if all(value is not None and 0 <= value <= 1 for value in values) else None


def _describe_group(name: str, rows: pd.DataFrame) -> dict[str, str]:
    people = rows.drop_duplicates("participant_id")
    ages = people["age"].dropna()
    unknown = len(people) - len(ages)
    age = "unknown"
    if len(ages):
        age = f"{_mean_sd(ages.mean(), ages.std(), 1)} ({ages.min():.0f} to {ages.max():.0f})"
        age += f", {unknown} unknown" if unknown else ""
    return {
        "name": name,
        "participants": str(len(people)),
        "scans": str(len(rows)),
        "age": age,
        "sex": _counts(people["sex"]),
        "site": _counts(people["site"]),
    }


def _counts(values: pd.Series, limit: int = 8) -> str:
    counts = values.replace("n/a", "unknown").value_counts().sort_index()
    shown = ", ".join(f"{name} {count}" for name, count in counts.head(limit).items())
    return shown + (f" and {len(counts) - limit} more" if len(counts) > limit else "")


def _mean_sd(mean: float | None, sd: float | None, digits: int = 3) -> str:
    return f"{number(mean, digits)} ± {number(sd, digits)}"


def _sd(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
