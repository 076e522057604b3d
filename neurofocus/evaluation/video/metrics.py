"""Top-k accuracy and mean average precision of videos that may have several labels."""

import numpy as np
import numpy.typing as npt

__all__ = [
    "average_precisions",
    "interpolated_average_precisions",
    "resampled_accuracy",
    "resampled_map",
    "top_k_hits",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
_CHUNK = 200  # draws at a time, to bound memory


def top_k_hits(targets: Bools, probabilities: Floats, k: int) -> Bools:
    """Return which videos have one of their classes among the k most probable ones, [N].

    Of equal probabilities the class with the smaller number comes first, as in ``argmax``.

    Args:
        targets: [N, K].
        probabilities: [N, K].
        k: from 1 to K.
    """
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return np.asarray(np.take_along_axis(targets, best, axis=1).any(1))


def resampled_accuracy(hits: Bools, weights: Floats) -> Floats:
    """Return the share of hits [B] under resampling weights [B, N]."""
    return np.asarray(weights @ hits.astype(np.float64) / weights.sum(1), dtype=np.float64)


def average_precisions(targets: Bools, probabilities: Floats) -> Floats:
    """Return scikit-learn's average precision of each class, [K]; NaN for a class that no video has.

    Non-interpolated; videos of equal probability share one threshold. Without ties it is the mean precision at the
    rank of each positive, as ActivityNet and FCVID are reported (section 5.1).

    Args:
        targets: [N, K].
        probabilities: [N, K]; softmax scores, for they are ranked across videos.
    """
    from sklearn.metrics import average_precision_score

    present = np.asarray(targets.any(0))
    result = np.full(len(present), np.nan)
    result[present] = average_precision_score(targets[:, present], probabilities[:, present], average=None)
    return result


def interpolated_average_precisions(targets: Bools, probabilities: Floats) -> Floats:
    """Return the ActivityNet toolkit's average precision of each class, [K]; NaN for a class that no video has.

    The precision at a recall is the best at that recall or a greater one (PASCAL VOC 2011). Every video counts as
    predicted for every class; videos of equal probability share one threshold, where the toolkit's order is
    arbitrary.

    Args:
        targets: [N, K].
        probabilities: [N, K].
    """
    once = np.ones((1, len(targets)))
    return _each_class(targets, probabilities, once, interpolated=True)[:, 0]


def resampled_map(
    targets: Bools, probabilities: Floats, weights: Floats, *, official: bool = False
) -> Floats:
    """Return the mean average precision [B] under resampling weights, over the classes that occur in the draw.

    Args:
        targets: [N, K].
        probabilities: [N, K].
        weights: [B, N], how often each video was drawn.
        official: the ActivityNet toolkit's interpolated precision instead of scikit-learn's.
    """
    parts = [
        np.nanmean(
            _each_class(targets, probabilities, weights[start : start + _CHUNK], interpolated=official),
            axis=0,
        )
        for start in range(0, len(weights), _CHUNK)
    ]
    return np.concatenate(parts)


def _each_class(targets: Bools, probabilities: Floats, weights: Floats, *, interpolated: bool) -> Floats:
    """Return the average precision of each class in each draw, [K, B]."""
    by_video = np.ascontiguousarray(weights.T)
    return np.stack(
        [
            _one_class(targets[:, k], probabilities[:, k], by_video, interpolated)
            for k in range(targets.shape[1])
        ]
    )


def _one_class(positive: Bools, values: Floats, by_video: Floats, interpolated: bool) -> Floats:
    """Return the average precision [B] of one class under weights [N, B]; NaN without positives.

    Precision is needed only where recall rises: at the last of the equal values of each positive.
    """
    if not positive.any():
        return np.full(by_video.shape[1], np.nan)
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    thresholds = np.unique(values[positive])[::-1]
    ends = np.searchsorted(-ranked, -thresholds, side="right")
    starts = np.concatenate([[0], ends[:-1]])
    ranks = np.flatnonzero(positive[order])  # every threshold has one
    gains = np.add.reduceat(by_video[order[ranks]], np.searchsorted(ranks, starts), axis=0)
    seen = np.add.reduceat(by_video[order[: ends[-1]]], starts, axis=0).cumsum(0)
    precision = np.divide(gains.cumsum(0), seen, out=np.zeros_like(seen), where=seen > 0)
    if interpolated:
        precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    total = gains.sum(0)
    area = (gains * precision).sum(0)
    return np.asarray(np.divide(area, total, out=np.full(len(total), np.nan), where=total > 0))
