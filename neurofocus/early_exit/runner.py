"""Conditional exits that skip work: a case that is sure leaves, the others go on together (section 4.3).

At most a batch of cases is live. Those that stop make room for new ones at once, so that each focus call holds as many
live cases as there are, whichever step each of them has reached.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from neurofocus.early_exit.criteria import uncertainty
from neurofocus.schema.early_exit import ExitPlan, ExitRule

__all__ = ["ExitAnswer", "ExitStages", "run_with_exits"]

Floats = npt.NDArray[np.float64]
Case_contra = TypeVar("Case_contra", contravariant=True)
State = TypeVar("State")


class ExitStages(Protocol[Case_contra, State]):
    """A network in the pieces that exits need, on whatever runtime."""

    @property
    def num_global_exits(self) -> int:
        """How many of the model's exit steps need no focus frame."""
        ...

    def glance(self, cases: Sequence[Case_contra]) -> list[State]:
        """Look at every case once; return what is kept of each."""
        ...

    def glance_probabilities(self, states: Sequence[State]) -> Floats:
        """Return the answers after the glance, [n, K]; asked only if there is such an exit."""
        ...

    def focus(self, states: Sequence[State], steps: Sequence[int]) -> Floats:
        """Look at what each case's first so many focus exits need, and return the answers after them, [n, K]."""
        ...


@dataclass(frozen=True)
class ExitAnswer:
    """What came of one case.

    Attributes:
        index: its place among the cases, from 0.
        step: the model's exit step at which it stopped.
        probabilities: [K], of that step.
        gflops: 1e9 multiply-adds that it took.
    """

    index: int
    step: int
    probabilities: Floats
    gflops: float


@dataclass
class _Live(Generic[State]):
    """A case that goes on: its place among the cases, what is kept of it, and the ladder's next step."""

    index: int
    state: State
    position: int


def run_with_exits(
    stages: ExitStages[Case_contra, State],
    cases: Iterable[Case_contra],
    plan: ExitPlan,
    rule: ExitRule,
    *,
    batch_size: int,
) -> Iterator[ExitAnswer]:
    """Yield the answer of every case as soon as it stops, so not in the order of the cases.

    The answers are those of ``early_exit.compare.exit_steps`` on complete predictions, whatever the batch size.

    Args:
        stages: the network.
        cases: read only as there is room.
        plan: criterion and ladder.
        rule: the thresholds.
        batch_size: cases that are live at a time.
    """
    waiting = enumerate(cases)
    live: list[_Live[State]] = []
    while True:
        fresh = list(islice(waiting, batch_size - len(live)))
        if fresh:
            states = stages.glance([case for _, case in fresh])
            entered = [_Live(index, state, 0) for (index, _), state in zip(fresh, states, strict=True)]
            if plan.ladder.steps[0] < stages.num_global_exits:
                found = stages.glance_probabilities(states)
                yield from _leave(entered, found, plan, rule)
            live += entered
        if not live:
            if fresh:
                continue
            return
        counts = [plan.ladder.steps[each.position] + 1 - stages.num_global_exits for each in live]
        yield from _leave(live, stages.focus([each.state for each in live], counts), plan, rule)


def _leave(
    live: list[_Live[State]], probabilities: Floats, plan: ExitPlan, rule: ExitRule
) -> Iterator[ExitAnswer]:
    """Yield those that are sure, or at their last step; keep the others in ``live``, one step further."""
    positions = np.array([each.position for each in live])
    thresholds = np.array([*rule.thresholds, np.inf])[positions]
    stops = (uncertainty(probabilities, plan.criterion) <= thresholds) | np.isposinf(thresholds)
    for each, row, stop in zip(live, probabilities, stops, strict=True):
        if stop:
            ladder = plan.ladder
            yield ExitAnswer(each.index, ladder.steps[each.position], row, ladder.gflops[each.position])
        each.position += 1
    live[:] = [each for each, stop in zip(live, stops, strict=True) if not stop]
