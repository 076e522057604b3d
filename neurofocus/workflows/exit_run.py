"""Cases through the exit runner: the same ones in several ways, read once, with the model's seconds."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice, tee
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader

from neurofocus.data.dataset import Batch
from neurofocus.early_exit.runner import ExitAnswer, run_with_exits
from neurofocus.inference.stages import Network, Order, Stages, stages_of
from neurofocus.inference.torch_stages import CaseFrames
from neurofocus.model.cost import measure_cost
from neurofocus.schema.early_exit import ExitLadder, ExitPlan, ExitRule
from neurofocus.schema.model import ModelConfig

__all__ = ["ExitRun", "Way", "clock", "ladder_ways", "loaded_cases", "run_ways", "stop_at", "to_the_end"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Way:
    """One way to run cases: where they may stop, and when they do."""

    plan: ExitPlan
    rule: ExitRule


@dataclass(frozen=True)
class ExitRun:
    """What came of N cases, in their order.

    Attributes:
        steps: the model's exit step at which each stopped, [N].
        probabilities: its answers, [N, K].
        gflops: what they cost, [N].
        seconds: of the model, a case; without reading and decoding.
    """

    steps: Ints
    probabilities: Floats
    gflops: Floats
    seconds: float


def stop_at(plan: ExitPlan, place: int) -> Way:
    """Return the way in which every case goes on to the same step of the ladder, in one go."""
    return _only(plan.ladder.steps[place], plan.ladder.gflops[place], plan.order)


def ladder_ways(plan: ExitPlan, rules: Sequence[ExitRule]) -> list[Way]:
    """Return one way a rule, then one a step of the ladder."""
    return [
        *(Way(plan, rule) for rule in rules),
        *(stop_at(plan, place) for place in range(len(plan.ladder.steps))),
    ]


def to_the_end(config: ModelConfig, crops: int) -> Way:
    """Return the way in which every clip goes on to a model's last step, in one go."""
    costs = measure_cost(config).exit_gflops
    return _only(len(costs) - 1, crops * costs[-1], "time")


def _only(step: int, gflops: float, order: Order) -> Way:
    rule = ExitRule(thresholds=(), gflops=gflops, accuracy=0.0)  # nobody expects anything of it
    ladder = ExitLadder(steps=(step,), gflops=(gflops,))
    return Way(ExitPlan(criterion="entropy", order=order, ladder=ladder, rules=(rule,)), rule)


def run_ways(
    network: Network, cases: Iterable[CaseFrames], ways: Sequence[Way], *, batch_size: int
) -> list[ExitRun]:
    """Run the same cases in several ways, which take turns, so that a busy machine slows all of them alike.

    Every case is read once. The first batch is run before the clocks start.

    Args:
        network: a model of PyTorch in evaluation mode, or an exported one.
        cases: in order.
        ways: at least one.
        batch_size: cases that are live at a time, in each way.
    """
    cases = iter(cases)
    first = list(islice(cases, batch_size))
    if len(ways) > 1:
        for way in ways:
            deque(_answers(_timed(network, way), first, way, batch_size), maxlen=0)
    stages = [_timed(network, way) for way in ways]
    sources = tee(chain(first, cases), len(ways))
    del first
    runs = [
        _answers(stage, source, way, batch_size)
        for stage, source, way in zip(stages, sources, ways, strict=True)
    ]
    del sources
    # One answer of each way at a time: none reads further ahead than a batch, so few cases are kept.
    answers = list(zip(*runs, strict=True))
    columns = zip(*answers, strict=True)
    return [_result(own, stage.seconds) for own, stage in zip(columns, stages, strict=True)]


def _timed(network: Network, way: Way) -> "_TimedStages":
    return _TimedStages(stages_of(network, order=way.plan.order))


def _result(answers: Sequence[ExitAnswer], seconds: float) -> ExitRun:
    ordered = sorted(answers, key=lambda answer: answer.index)
    return ExitRun(
        steps=np.array([answer.step for answer in ordered]),
        probabilities=np.stack([answer.probabilities for answer in ordered]),
        gflops=np.array([answer.gflops for answer in ordered]),
        seconds=seconds / len(ordered),
    )


def clock(device: torch.device, batch_size: int) -> dict[str, Any]:
    """Return how seconds were measured."""
    return {
        "batch_size": batch_size,
        "threads": torch.get_num_threads(),
        "device": device.type if device.type == "cpu" else torch.cuda.get_device_name(device),
    }


class _TimedStages:
    """Stages that know how long they took.

    Attributes:
        seconds: so far, with the way to the model's device and back.
    """

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self.num_global_exits = stages.num_global_exits
        self.seconds = 0.0

    def glance(self, cases: Sequence[CaseFrames]) -> list[Any]:
        """See `Stages`, as of the others."""
        with self._timed():
            return self._stages.glance(cases)

    def glance_probabilities(self, states: Sequence[Any]) -> Floats:
        with self._timed():
            return self._stages.glance_probabilities(states)

    def focus(self, states: Sequence[Any], steps: Sequence[int]) -> Floats:
        with self._timed():
            return self._stages.focus(states, steps)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = self._now()
        yield
        self.seconds += self._now() - start

    def _now(self) -> float:
        if self._stages.device.type == "cuda":
            torch.cuda.synchronize(self._stages.device)
        return time.perf_counter()


def _answers(
    stages: _TimedStages, cases: Iterable[CaseFrames], way: Way, batch_size: int
) -> Iterator[ExitAnswer]:
    return run_with_exits(stages, cases, way.plan, way.rule, batch_size=batch_size)


def loaded_cases(loader: DataLoader[Batch]) -> Iterator[CaseFrames]:
    """Yield the clips one by one; workers decode the next ones meanwhile."""
    for batch in loader:
        frames, glances = batch["frames"], batch.get("glance_frames")
        for place in range(len(frames)):
            glance = None if glances is None else _crops(glances[place])
            yield CaseFrames(_crops(frames[place]), glance)


def _crops(frames: torch.Tensor) -> torch.Tensor:
    return frames if frames.dim() == 5 else frames.unsqueeze(0)
