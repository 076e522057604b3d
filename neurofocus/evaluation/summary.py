"""Out-of-fold predictions become metrics.json: every figure with its interval, spread and baseline."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from neurofocus.evaluation.intervals import NUM_DRAWS, bootstrap_weights, percentile_interval
from neurofocus.evaluation.metrics import Scores, compute_metrics, confusion_matrix, metric_names

__all__ = ["baseline", "fold_summary", "scores_of", "summarise"]


def summarise(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    *,
    threshold_rule: str,
    synthetic: bool = False,
    bayes_ceiling: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the content of metrics.json.

    Args:
        predictions: the table of predictions.tsv (labels and predictions as class names).
        classes: class names in order; the last is positive.
        threshold_rule: how ``predicted`` came from the probabilities, in words.
        synthetic: whether the scans were simulated.
        bayes_ceiling: the best metrics that any classifier could reach on a simulated cohort, kept as given.
        seed: of the bootstrap.

    Raises:
        ValueError: if a probability is NaN, a class is unknown, or a scan is scored twice.
    """
    rows = predictions.sort_values(["participant_id", "session_id"], ignore_index=True)
    if rows.duplicated(["participant_id", "session_id"]).any():
        raise ValueError("a scan is scored twice")
    scores = scores_of(rows, classes)
    weights = bootstrap_weights(list(rows["participant_id"]), scores.labels.tolist(), seed=seed)
    points = compute_metrics(scores)
    draws = compute_metrics(scores, weights)
    pooled = {}
    for name in points:
        low, high = percentile_interval(draws[name])
        pooled[name] = {"value": _plain(points[name][0]), "low": _plain(low), "high": _plain(high)}
    return {
        "classes": list(classes),
        "positive": classes[-1] if len(classes) == 2 else None,
        "pooled": pooled,
        **fold_summary(rows, classes),
        "confusion_matrix": confusion_matrix(scores).tolist(),
        "baseline": baseline(scores, classes),
        "n_subjects": int(rows["participant_id"].nunique()),
        "n_scans": len(rows),
        "mean_gflops": _plain(rows["gflops"].mean()),
        "interval": f"95 % percentile bootstrap by subject within label, {NUM_DRAWS} draws",
        "synthetic": synthetic,
        "bayes_ceiling": dict(bayes_ceiling) if bayes_ceiling is not None else None,
        "threshold_rule": threshold_rule,
    }


def fold_summary(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """Return "folds" (every metric of every fold) with "mean" and "sd" (n - 1) over the folds that have it."""
    folds = []
    for number, rows in predictions.groupby("fold", sort=True):
        points = compute_metrics(scores_of(rows, classes))
        folds.append(
            {
                "fold": int(str(number)),
                "n_subjects": int(rows["participant_id"].nunique()),
                "n_scans": len(rows),
                **{name: _plain(value[0]) for name, value in points.items()},
                "mean_gflops": _plain(rows["gflops"].mean()),
            }
        )
    mean, sd = {}, {}
    for name in metric_names(len(classes)):
        values = np.array([fold[name] for fold in folds if fold[name] is not None], dtype=np.float64)
        mean[name] = _plain(np.mean(values)) if len(values) else None
        sd[name] = _plain(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"folds": folds, "mean": mean, "sd": sd}


def baseline(scores: Scores, classes: Sequence[str]) -> dict[str, Any]:
    """Return what needs no scan: always the most frequent class, and its share as the probability."""
    shares = np.bincount(scores.labels, minlength=scores.num_classes) / len(scores.labels)
    loss = shares[0] * shares[1] if len(classes) == 2 else 1 - (shares**2).sum()
    return {
        "rule": "always the most frequent class; probabilities are the class shares",
        "majority_class": classes[int(shares.argmax())],
        "accuracy": _plain(shares.max()),
        "balanced_accuracy": 1 / len(classes),
        "roc_auc": 0.5,
        "brier": _plain(loss),
    }


def scores_of(predictions: pd.DataFrame, classes: Sequence[str]) -> Scores:
    """Return the scores of a predictions table.

    Raises:
        ValueError: naming a label or prediction that is no class; or as ``Scores``.
    """
    order = {name: index for index, name in enumerate(classes)}
    indices: dict[str, npt.NDArray[np.int64]] = {}
    for column in ("label", "predicted"):
        unknown = set(predictions[column]) - order.keys()
        if unknown:
            raise ValueError(
                f"column {column!r} holds {sorted(map(str, unknown))}, classes are {list(classes)}"
            )
        indices[column] = np.array([order[name] for name in predictions[column]], dtype=np.int64)
    probabilities = predictions[[f"prob_{name}" for name in classes]].to_numpy(dtype=np.float64)
    return Scores(indices["label"], indices["predicted"], probabilities)


def _plain(value: float | np.floating[Any]) -> float | None:
    """Return a float for JSON; NaN (nothing to measure) becomes None."""
    return None if np.isnan(value) else float(value)
