"""The measures of a video benchmark with their intervals and baselines, after every exit step."""

import logging
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neurofocus.evaluation.intervals import bootstrap_weights, percentile_interval
from neurofocus.evaluation.video.metrics import (
    average_precisions,
    interpolated_average_precisions,
    resampled_accuracy,
    resampled_map,
    top_k_hits,
)
from neurofocus.evaluation.video.scores import VideoScores

__all__ = ["Measure", "baselines", "measure_names", "measure_steps", "summarise_videos"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Measure = Literal["top1", "top5", "map", "map_official"]
_LOGGER = logging.getLogger("neurofocus.evaluation")
_MAX_SHOWN = 5
_NUM_DRAWS = 1000  # benchmarks hold up to 45,000 videos; the draws are kept in memory


def measure_names(num_classes: int, metric: Literal["top1", "map"], *, official: bool) -> list[Measure]:
    """Return what is reported: top-1, top-5 of more than five classes, and mAP where the data set asks for it."""
    names: list[Measure] = ["top1", "top5"] if num_classes > 5 else ["top1"]
    if metric == "map":
        names.append("map")
    if official:
        names.append("map_official")
    return names


def summarise_videos(
    scores: VideoScores,
    classes: Sequence[str],
    gflops: Sequence[float],
    names: Sequence[Measure],
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the content of metrics.json.

    Args:
        scores: of all videos.
        classes: [K] class names.
        gflops: [E] cost of a video that stops at each step, 1e9 multiply-adds.
        names: measures, the one that the data set is judged by included.
        seed: of the bootstrap.

    Returns:
        For the last step "pooled" (value, low and high of each measure), for every step "steps" (of neighbours that
        cost the same, only the last one has its interval), and "baseline", "chance", "n_videos", "absent_classes",
        "warnings", "interval".

    Raises:
        ValueError: if the number of classes or steps differs.
    """
    if len(classes) != scores.num_classes or len(gflops) != scores.num_steps:
        raise ValueError(
            f"{len(classes)} class names and {len(gflops)} costs for {scores.num_classes} classes and "
            f"{scores.num_steps} steps"
        )
    dearer = np.append(np.diff(gflops) > 0, True)
    steps = measure_steps(scores, names, seed=seed, with_interval=dearer)
    absent = [classes[int(k)] for k in np.flatnonzero(~scores.targets.any(0))]
    warnings = _warnings(absent, len(classes), names)
    for line in warnings:
        _LOGGER.warning("%s", line)
    return {
        "classes": list(classes),
        "n_videos": len(scores.cases),
        "pooled": steps[-1],
        "steps": [
            {"step": place + 1, "gflops": float(cost), **values}
            for place, (cost, values) in enumerate(zip(gflops, steps, strict=True))
        ],
        **baselines(scores.targets, names),
        "absent_classes": absent,
        "warnings": warnings,
        "interval": f"95 % percentile bootstrap by video within first label, {_NUM_DRAWS} draws, centred on the value",
    }


def measure_steps(
    scores: VideoScores,
    names: Sequence[Measure],
    *,
    seed: int = 0,
    num_draws: int = _NUM_DRAWS,
    with_interval: Bools | None = None,
) -> list[dict[str, dict[str, float]]]:
    """Return value, low and high of each measure after each exit step, [E].

    All steps see the same draws of videos.

    Args:
        scores: of all videos.
        names: the measures.
        seed: of the draws.
        num_draws: of the bootstrap; mAP takes its time.
        with_interval: which steps get low and high, [E]; none: all.
    """
    labels = scores.targets.argmax(1).tolist()
    weights = bootstrap_weights(list(scores.cases), labels, seed=seed, num_draws=num_draws)
    found = []
    for step in range(scores.num_steps):
        drawn = weights if with_interval is None or with_interval[step] else None
        values = scores.probabilities[:, step]
        found.append({str(name): _measured(name, scores.targets, values, drawn) for name in names})
    return found


def baselines(targets: Bools, names: Sequence[Measure]) -> dict[str, dict[str, Any]]:
    """Return what needs no video.

    "baseline": every video gets the shares of the classes as its scores, so the most frequent class is predicted.
    "chance": classes are guessed with equal chances (top-k only).

    Args:
        targets: [N, K].
        names: the measures.
    """
    classes = targets.shape[1]
    shares = np.broadcast_to(targets.mean(0), targets.shape)
    baseline: dict[str, Any] = {str(name): _value(name, targets, shares) for name in names}
    chance: dict[str, Any] = {}
    for name, k in (("top1", 1), ("top5", 5)):
        if name in names:
            other = classes - targets.sum(1)
            missed = np.prod([np.maximum(other - j, 0) / (classes - j) for j in range(k)], axis=0)
            chance[name] = float(1 - missed.mean())
    return {
        "baseline": {"rule": "the shares of the classes as every video's scores", **baseline},
        "chance": {"rule": "every class equally likely", **chance},
    }


def _measured(name: Measure, targets: Bools, values: Floats, weights: Floats | None) -> dict[str, float]:
    value = _value(name, targets, values)
    if weights is None:
        return {"value": value}
    if name in ("map", "map_official"):
        draws = resampled_map(targets, values, weights, official=name == "map_official")
    else:
        draws = resampled_accuracy(top_k_hits(targets, values, _depth(name)), weights)
    # Average precision is biased in the draws: a video drawn twice lifts its own precision. Without the shift the
    # measured value can lie below its interval.
    low, high = percentile_interval(np.clip(draws + (value - draws.mean()), 0.0, 1.0))
    return {"value": value, "low": low, "high": high}


def _value(name: Measure, targets: Bools, values: Floats) -> float:
    if name in ("map", "map_official"):
        measure = interpolated_average_precisions if name == "map_official" else average_precisions
        return float(np.nanmean(measure(targets, values)))
    return float(top_k_hits(targets, values, _depth(name)).mean())


def _depth(name: Measure) -> int:
    return 5 if name == "top5" else 1


def _warnings(absent: Sequence[str], num_classes: int, names: Sequence[Measure]) -> list[str]:
    if not absent or not {"map", "map_official"} & set(names):
        return []
    shown = ", ".join(absent[:_MAX_SHOWN]) + (" …" if len(absent) > _MAX_SHOWN else "")
    words = "have no video here and are left out of the mean average precision"
    return [f"{len(absent)} of {num_classes} classes {words}: {shown}"]
