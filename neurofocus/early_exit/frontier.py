"""The better solver of Eq. 23: thresholds that keep the most validation accuracy for what they save.

A walk from "nobody stops early" to "everybody stops at the first step". Each move raises one threshold: of all
moves that one which loses the least accuracy per GFLOP saved, or the beginning of it where it is a long one. Thresholds
only ever rise, so that two neighbouring rules can be interpolated.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurofocus.early_exit.criteria import NEVER

__all__ = ["frontier"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Thresholds lie at that many quantiles of the uncertainties at most: a threshold between any two of a few hundred
# cases would follow chance.
_MAX_CUTS = 40


@dataclass(frozen=True)
class _Move:
    """One threshold raised.

    Attributes:
        step: of the ladder.
        threshold: its new value.
        stops: positions of the cases that now stop there.
        loss: of the mean value.
        saving: of the mean cost, positive.
    """

    step: int
    threshold: float
    stops: Ints
    loss: float
    saving: float


def frontier(
    uncertainty: Floats, values: Floats, gflops: Floats, *, highest: float, stride: float
) -> Iterator[Floats]:
    """Yield thresholds [S - 1] from the dearest to the cheapest.

    Args:
        uncertainty: of N validation cases at S steps, [N, S].
        values: what an answer is worth, [N, S]; 1 or 0 for right and wrong makes their mean the accuracy.
        gflops: cost of a case that stops at each step, increasing, [S].
        highest: a threshold that every case meets.
        stride: what a move should save at most of the mean cost.
    """
    count, steps = uncertainty.shape
    thresholds = np.full(steps - 1, NEVER)
    exits = np.full(count, steps - 1)
    cuts = [_cuts(uncertainty[:, step], highest) for step in range(steps - 1)]
    yield thresholds.copy()
    while (move := _next(uncertainty, values, gflops, exits, cuts, stride)) is not None:
        exits[move.stops] = move.step
        thresholds[move.step] = move.threshold
        cuts[move.step] = cuts[move.step][cuts[move.step] > move.threshold]
        yield thresholds.copy()


def _next(
    uncertainty: Floats, values: Floats, gflops: Floats, exits: Ints, cuts: list[Floats], stride: float
) -> _Move | None:
    """Return the move that loses least for what it saves, or as much of it as the stride allows."""
    moves = [
        move
        for step, choices in enumerate(cuts)
        for move in _moves(uncertainty[:, step], values, gflops, exits, step=step, cuts=choices)
    ]
    if not moves:
        return None
    best = min(moves, key=lambda move: (move.loss / move.saving, -move.saving))
    parts = [move for move in moves if move.step == best.step and move.saving <= best.saving]
    short = [move for move in parts if move.saving <= stride]
    return max(short, key=lambda move: move.saving) if short else parts[0]


def _moves(
    uncertainty: Floats, values: Floats, gflops: Floats, exits: Ints, *, step: int, cuts: Floats
) -> Iterator[_Move]:
    """Yield the moves of one threshold; those that stop nobody earlier are left out."""
    later = np.flatnonzero(exits > step)
    order = later[np.argsort(uncertainty[later], kind="stable")]
    losses = np.cumsum(values[order, exits[order]] - values[order, step]) / len(exits)
    savings = np.cumsum(gflops[exits[order]] - gflops[step]) / len(exits)
    stopped = np.searchsorted(uncertainty[order], cuts, side="right")
    for cut, number in zip(cuts, stopped, strict=True):
        if number:
            yield _Move(
                step, float(cut), order[:number], float(losses[number - 1]), float(savings[number - 1])
            )


def _cuts(uncertainty: Floats, highest: float) -> Floats:
    """Return the thresholds to choose from: halfway between neighbouring quantiles, and one for everybody."""
    ordered = np.unique(uncertainty)
    between = (ordered[:-1] + ordered[1:]) / 2
    if len(between) >= _MAX_CUTS:
        ranks = np.arange(1, _MAX_CUTS) / _MAX_CUTS
        wanted = np.quantile(uncertainty, ranks, method="higher")
        between = np.unique(between[np.clip(np.searchsorted(ordered, wanted), 0, len(between) - 1)])
    return np.append(between, highest)
