"""Conditional exits of real models: the answers of complete predictions, and only the work that they need."""

from typing import Any

import numpy as np
import pytest
import torch
from inference.exit_models import COUNT, MODELS, Order, build, complete, near, planned, videos
from torch import Tensor, nn

from neurofocus.data.video.augment import normalise
from neurofocus.early_exit.compare import exit_steps
from neurofocus.early_exit.runner import run_with_exits
from neurofocus.inference.optimise import optimised
from neurofocus.inference.torch_stages import CaseFrames, TorchStages
from neurofocus.model.cost import measure_cost
from neurofocus.model.uni_adafocus import UniAdaFocus


class Counter:
    """How many images a module was given since."""

    def __init__(self, module: nn.Module) -> None:
        self.images = 0
        self.hook = module.register_forward_pre_hook(self._count)

    def _count(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.images += len(inputs[0])


def cases(model: UniAdaFocus, crops: int = 1) -> list[CaseFrames]:
    frames, glances = videos(model, crops)
    rows = [slice(start, start + crops) for start in range(0, len(frames), crops)]
    return [CaseFrames(frames[row], None if glances is None else glances[row]) for row in rows]


@pytest.mark.parametrize(
    ("name", "order"),
    [*((name, "time") for name in MODELS), ("max pooling", "weight"), ("average", "weight")],
)
def test_exits_are_those_of_complete_predictions(name: str, order: Order) -> None:
    model = build(name)
    probabilities = complete(model, order)
    plan = planned(model, probabilities, order)
    assert len(plan.rules) >= 3
    for rule, batch_size in zip(plan.rules, (1, 7, 100), strict=False):
        expected = exit_steps(probabilities, plan, rule)
        tied = near(probabilities, plan, rule)
        assert tied.sum() <= 2
        answers = list(
            run_with_exits(
                TorchStages(model, order=order), iter(cases(model)), plan, rule, batch_size=batch_size
            )
        )
        assert sorted(answer.index for answer in answers) == list(range(COUNT))
        for answer in answers:
            assert answer.step == expected[answer.index] or tied[answer.index]
            assert answer.probabilities == pytest.approx(probabilities[answer.index, answer.step], abs=1e-5)
            assert answer.gflops == plan.ladder.gflops[plan.ladder.steps.index(answer.step)]


@pytest.mark.parametrize("name", ["max pooling", "temporal shift"])
def test_only_the_work_that_an_exit_needs_is_done(name: str) -> None:
    model = build(name)
    plan = planned(model, complete(model, "time"), "time")
    glance, focus, policy = map(Counter, (model.global_encoder, model.local_encoder, model.spatial_policy))
    rule = plan.rules[len(plan.rules) // 2]
    answers = list(run_with_exits(TorchStages(model), cases(model), plan, rule, batch_size=5))
    for counter in (glance, focus, policy):
        counter.hook.remove()
    first = len(measure_cost(model.config).exit_gflops) - (1 if name == "temporal shift" else 5)
    frames = [answer.step + 1 - first for answer in answers]
    if name == "temporal shift":
        frames = [5 * number for number in frames]
    assert 0 < sum(frames) < COUNT * 5
    assert (glance.images, focus.images) == (COUNT * 4, sum(frames))
    assert policy.images == sum(number > 0 for number in frames)


def test_crops_are_averaged_before_a_case_may_stop() -> None:
    model = build("max pooling")
    probabilities = complete(model, "time", crops=2)
    plan = planned(model, probabilities, "time")
    rule = plan.rules[2]
    for answer in run_with_exits(TorchStages(model), cases(model, crops=2), plan, rule, batch_size=4):
        assert answer.step == exit_steps(probabilities, plan, rule)[answer.index]
        assert answer.probabilities == pytest.approx(probabilities[answer.index, answer.step], abs=1e-5)


def test_cases_are_read_only_as_there_is_room() -> None:
    model = build("max pooling")
    plan = planned(model, complete(model, "time"), "time")
    read, answered = 0, 0

    def source() -> Any:
        nonlocal read
        for case in cases(model):
            read += 1
            assert read - answered <= 3
            yield case

    for _ in run_with_exits(TorchStages(model), source(), plan, plan.rules[1], batch_size=3):
        answered += 1
    assert answered == COUNT


@pytest.mark.parametrize("name", ["max pooling", "temporal shift", "x3d"])
def test_the_fast_model_stops_where_the_plain_one_does(name: str) -> None:
    model = build(name)
    probabilities = complete(model, "time")
    plan = planned(model, probabilities, "time")
    fast = optimised(model)
    assert isinstance(fast, UniAdaFocus)
    rule = plan.rules[len(plan.rules) // 2]
    expected, tied = exit_steps(probabilities, plan, rule), near(probabilities, plan, rule)
    assert len(set(expected)) > 1
    for answer in run_with_exits(TorchStages(fast), cases(model), plan, rule, batch_size=5):
        assert answer.step == expected[answer.index] or tied[answer.index]
        assert answer.probabilities == pytest.approx(probabilities[answer.index, answer.step], abs=1e-4)


@pytest.mark.parametrize("name", ["max pooling", "temporal shift"])
def test_pixels_are_prepared_only_where_an_encoder_looks(name: str) -> None:
    model = build(name)
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (4, 12, 3, 32, 32), dtype=torch.uint8, generator=generator)
    glance = pixels[:, ::3] if model.config.streams == "separate" else None
    prepared: list[int] = []

    def prepare(frames: Tensor) -> Tensor:
        prepared.append(frames.flatten(0, -4).shape[0])
        return normalise(frames, "imagenet")

    def answers(stages: TorchStages, frames: Tensor, shown: Tensor | None) -> np.ndarray:
        states = stages.glance(
            [
                CaseFrames(frames[row : row + 1], None if shown is None else shown[row : row + 1])
                for row in range(4)
            ]
        )
        return stages.focus(states, [5 if name == "max pooling" else 1] * 4)

    expected = answers(
        TorchStages(model),
        normalise(pixels, "imagenet"),
        None if glance is None else normalise(glance, "imagenet"),
    )
    assert answers(TorchStages(model, prepare=prepare), pixels, glance) == pytest.approx(expected, abs=1e-6)
    assert sum(prepared) == 4 * (4 + 5)
