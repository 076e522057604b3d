"""Conditional exits of real models: the answers of complete predictions, and only the work that they need."""

import functools
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from neurofocus.data.video.augment import normalise
from neurofocus.early_exit.compare import exit_steps
from neurofocus.early_exit.criteria import uncertainty
from neurofocus.early_exit.plan import exit_ladder, solve_plan
from neurofocus.early_exit.runner import run_with_exits
from neurofocus.inference.optimise import optimised
from neurofocus.inference.torch_stages import CaseFrames, TorchStages
from neurofocus.model.cost import measure_cost
from neurofocus.model.frame_sampling import by_weight
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.early_exit import ExitConfig, ExitPlan, ExitRule
from neurofocus.schema.model import ModelConfig

FRAMEWISE: dict[str, Any] = {
    "num_classes": 3,
    "frame_size": 32,
    "num_frames": 12,
    "num_glance_frames": 4,
    "num_focus_frames": 5,
    "patch_size": 16,
    "global_encoder": {"name": "compact", "width": 0.25},
    "local_encoder": {"name": "compact", "width": 0.25},
    "classifier": {"hidden": 16},
    "spatial_policy": {"channels": 8},
    "temporal_policy": {"channels": 8},
}
CLIPS: dict[str, Any] = FRAMEWISE | {
    "streams": "separate",
    "classifier": {"kind": "average"},
    "spatial_policy": {"channels": 8, "scope": "clip"},
}
MODELS: dict[str, dict[str, Any]] = {
    "max pooling": FRAMEWISE,
    "average": FRAMEWISE | {"classifier": {"kind": "average"}},
    "no reuse": FRAMEWISE | {"classifier": {"hidden": 16, "reuse_global": False}},
    "uniform frames": FRAMEWISE | {"temporal_policy": {"dynamic": False}},
    "temporal shift": CLIPS
    | {
        "global_encoder": {"name": "resnet18", "width": 0.25, "temporal_shift": True},
        "local_encoder": {"name": "resnet18", "width": 0.25, "temporal_shift": True},
    },
    "x3d": CLIPS
    | {
        "global_encoder": {"name": "x3d_s", "width": 0.25},
        "local_encoder": {"name": "x3d_l", "width": 0.25},
        "classifier": {"kind": "pooled_mlp", "hidden": 16},
        "auxiliary_hidden": 16,
    },
}
COUNT = 16
Order = Literal["time", "weight"]


class Counter:
    """How many images a module was given since."""

    def __init__(self, module: nn.Module) -> None:
        self.images = 0
        self.hook = module.register_forward_pre_hook(self._count)

    def _count(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.images += len(inputs[0])


@functools.cache
def build(name: str) -> UniAdaFocus:
    torch.manual_seed(0)
    model = UniAdaFocus(ModelConfig.model_validate(MODELS[name]))
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight.data *= 4  # untrained answers would hardly differ
        if isinstance(module, _BatchNorm):
            module.momentum = 0.5  # one pass moves them half of the way: channels without variance stay tame
    with torch.no_grad():
        model(*videos(model))
    return model.eval()


def videos(model: UniAdaFocus, crops: int = 1) -> tuple[Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(1)
    level = torch.randn(COUNT * crops, 12, 3, 1, 1, generator=generator)
    frames = level + torch.randn(COUNT * crops, 12, 3, 32, 32, generator=generator)
    return frames, frames[:, ::3].contiguous() if model.config.streams == "separate" else None


@functools.cache
def complete(model: UniAdaFocus, order: Order, crops: int = 1) -> np.ndarray:
    """Probabilities of every exit step without any exit, [N, E, K], one case at a time."""
    frames, glances = videos(model, crops)
    found = []
    with torch.no_grad():
        for number in range(len(frames)):
            output = model(
                frames[number : number + 1], None if glances is None else glances[number : number + 1]
            )
            logits = output.logits
            if order == "weight" and not model.local_encoder.mixes_frames:
                places = by_weight(output.frame_weights, 12, output.frame_indices)[0]
                logits = model.classifier(
                    output.glance.global_features, output.focus.local_features[:, places]
                )
            found.append(logits.double().softmax(-1))
    return torch.cat(found).view(COUNT, crops, *found[0].shape[1:]).mean(1).numpy()


def planned(model: UniAdaFocus, probabilities: np.ndarray, order: Order) -> ExitPlan:
    costs = measure_cost(model.config).exit_gflops
    focus = len(costs) - TorchStages(model).num_global_exits
    worth = np.random.default_rng(0).random(probabilities.shape[:2])
    settings = ExitConfig(order=order, num_budgets=5, solver="geometric")
    return solve_plan(probabilities, worth, exit_ladder(costs, focus, every=2), settings)


def near(probabilities: np.ndarray, plan: ExitPlan, rule: ExitRule) -> np.ndarray:
    """Which cases have an uncertainty so near a threshold that rounding decides, [N]."""
    unsure = uncertainty(probabilities[:, plan.ladder.steps[:-1]], plan.criterion)
    found: np.ndarray = (np.abs(unsure - np.array(rule.thresholds)) < 1e-5).any(1)
    return found


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
