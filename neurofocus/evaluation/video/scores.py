"""What was predicted for the videos of a benchmark, after every exit step."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["VideoScores", "multi_hot", "score_videos", "softmax"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
_LOGGER = logging.getLogger("neurofocus.evaluation")
_MAX_SHOWN = 3


@dataclass(frozen=True)
class VideoScores:
    """Labels and probabilities of N videos, K classes and E exit steps.

    Attributes:
        cases: [N] names, each once.
        targets: [N, K], which classes a video has; at least one.
        probabilities: [N, E, K].

    Raises:
        ValueError: if shapes disagree, a video comes twice or has no class, or probabilities are not finite or do
            not sum to 1.
    """

    cases: tuple[str, ...]
    targets: Bools
    probabilities: Floats

    def __post_init__(self) -> None:
        count, steps, classes = self.probabilities.shape
        if self.targets.shape != (count, classes) or len(self.cases) != count or not count or not steps:
            raise ValueError(
                f"{len(self.cases)} cases, targets {self.targets.shape} and probabilities "
                f"{self.probabilities.shape} must be [N], [N, K] and [N, E, K] with N and E at least 1"
            )
        if len(set(self.cases)) < count:
            raise ValueError("a video is scored twice")
        _refuse(
            ~np.isfinite(self.probabilities).all((1, 2)), self.cases, "have probabilities that are not finite"
        )
        sums = np.abs(self.probabilities.sum(-1) - 1).max(1)
        wrong = (self.probabilities < 0).any((1, 2)) | (sums > 1e-3)
        _refuse(wrong, self.cases, "have probabilities outside 0..1 or a sum other than 1")
        _refuse(~self.targets.any(1), self.cases, "have no label")

    @property
    def num_classes(self) -> int:
        """K."""
        return int(self.probabilities.shape[2])

    @property
    def num_steps(self) -> int:
        """E."""
        return int(self.probabilities.shape[1])

    def stopped(self, steps: npt.NDArray[np.int64]) -> "VideoScores":
        """Return the scores with one step only: each video's own exit.

        Args:
            steps: [N], 0..E-1.
        """
        taken = self.probabilities[np.arange(len(self.cases)), steps]
        return VideoScores(self.cases, self.targets, taken[:, None])


def softmax(logits: npt.NDArray[np.floating]) -> Floats:
    """Return probabilities over the last axis in float64."""
    shifted = np.asarray(logits, dtype=np.float64)
    exponents = np.exp(shifted - shifted.max(-1, keepdims=True))
    return np.asarray(exponents / exponents.sum(-1, keepdims=True), dtype=np.float64)


def score_videos(
    cases: Sequence[str], labels: Sequence[Sequence[int]], logits: npt.NDArray[np.floating]
) -> VideoScores:
    """Turn logits into scores: softmax, then the mean over crops (appendix G).

    A case that comes again is dropped with a warning: distributed samplers fill up their last batch with cases
    that were already there.

    Args:
        cases: [N] names.
        labels: [N] class numbers of each, one or more.
        logits: [N, E, K], or [N, C, E, K] for C crops.

    Raises:
        ValueError: if a logit is not finite, naming its case; if a case comes again with other labels; a label is
            no class; or as ``VideoScores``.
    """
    if logits.ndim not in (3, 4) or not len(cases) == len(labels) == len(logits):
        raise ValueError(
            f"{len(cases)} cases, {len(labels)} labels, logits {logits.shape}: not [N(, C), E, K]"
        )
    _refuse(~np.isfinite(logits).reshape(len(logits), -1).all(1), cases, "have logits that are not finite")
    first: dict[str, int] = {}
    for place, case in enumerate(cases):
        kept = first.setdefault(case, place)
        if set(labels[kept]) != set(labels[place]):
            raise ValueError(f"case {case!r} comes twice, with labels {labels[kept]} and {labels[place]}")
    if len(first) < len(cases):
        _LOGGER.warning("%d cases came twice and are counted once", len(cases) - len(first))
    places = np.fromiter(first.values(), dtype=np.int64)
    probabilities = softmax(logits[places])
    return VideoScores(
        tuple(first),
        multi_hot([labels[place] for place in places], logits.shape[-1]),
        probabilities if logits.ndim == 3 else probabilities.mean(1),
    )


def multi_hot(labels: Sequence[Sequence[int]], num_classes: int) -> Bools:
    """Return which classes each video has, [N, K].

    Raises:
        ValueError: a label is no class.
    """
    targets = np.zeros((len(labels), num_classes), dtype=np.bool_)
    for row, numbers in enumerate(labels):
        if numbers and not 0 <= min(numbers) <= max(numbers) < num_classes:
            raise ValueError(f"labels {tuple(numbers)} do not all lie in 0..{num_classes - 1}")
        targets[row, list(numbers)] = True
    return targets


def _refuse(wrong: npt.ArrayLike, cases: Sequence[str], words: str) -> None:
    places = np.flatnonzero(wrong)
    if len(places):
        names = ", ".join(cases[place] for place in places[:_MAX_SHOWN])
        more = ", …" if len(places) > _MAX_SHOWN else ""
        raise ValueError(f"{len(places)} of {len(cases)} videos {words}: {names}{more}")
