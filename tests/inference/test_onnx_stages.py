"""The stages of an export on numpy arrays: the answers of complete predictions, whatever computes the graphs.

Here PyTorch computes them, graph by graph; ``test_onnx_export`` has the real files.
"""

import copy
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from inference.exit_models import COUNT, MODELS, Order, build, complete, near, planned, videos
from torch import nn

from neurofocus.early_exit.compare import exit_steps
from neurofocus.early_exit.runner import run_with_exits
from neurofocus.errors import NeurofocusError
from neurofocus.inference.agreement import (
    agreement_line,
    agrees,
    compare,
    read_answers,
    write_answers,
)
from neurofocus.inference.onnx_export import known_answers
from neurofocus.inference.onnx_graphs import NamedGraph, cut_model
from neurofocus.inference.onnx_stages import CaseArrays, ExitGraphs, OnnxStages
from neurofocus.inference.torch_stages import TorchStages
from neurofocus.model.cost import count_operations, measure_cost
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.export import Agreement
from neurofocus.schema.model import ModelConfig

_NO_TORCH = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "monai", "ignite", "filelock", "pandas", "omegaconf"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Without())
import neurofocus.early_exit.runner, neurofocus.early_exit.plan, neurofocus.schema.export
import neurofocus.inference.onnx_stages, neurofocus.inference.check_export
import neurofocus.cli.main, neurofocus.cli.export
"""


class TorchGraph:
    """A graph that PyTorch computes; counts its calls and the rows it was given."""

    def __init__(self, graph: NamedGraph) -> None:
        self.graph = graph
        self.inputs = frozenset(graph.inputs)
        self.rows: list[int] = []

    def __call__(self, values: Mapping[str, Any]) -> dict[str, Any]:
        assert set(values) == self.inputs
        given = [torch.from_numpy(np.ascontiguousarray(values[name])) for name in self.graph.inputs]
        for tensor, example in zip(given, self.graph.inputs.values(), strict=True):
            assert tensor.dtype == example.dtype
            assert tensor.dim() == example.dim()
        self.rows.append(len(given[0]))
        with torch.no_grad():
            found = self.graph.module(*given)
        found = found if isinstance(found, tuple) else (found,)
        return {name: value.numpy() for name, value in zip(self.graph.outputs, found, strict=True)}


def graphs_of(model: UniAdaFocus) -> ExitGraphs:
    return ExitGraphs(**{name: TorchGraph(graph) for name, graph in cut_model(model).items()})


def arrays(model: UniAdaFocus, crops: int = 1) -> list[CaseArrays]:
    frames, glances = videos(model, crops)
    rows = [slice(start, start + crops) for start in range(0, len(frames), crops)]
    return [
        CaseArrays(frames[row].numpy(), None if glances is None else glances[row].numpy()) for row in rows
    ]


@pytest.mark.parametrize(
    ("name", "order", "crops"),
    [
        *((name, "time", 1) for name in MODELS),
        ("max pooling", "weight", 1),
        ("average", "weight", 1),
        ("max pooling", "time", 2),
        ("temporal shift", "time", 2),
    ],
)
def test_exits_are_those_of_complete_predictions(name: str, order: Order, crops: int) -> None:
    model = build(name)
    probabilities = complete(model, order, crops)
    plan = planned(model, probabilities, order)
    for rule, batch_size in zip(plan.rules, (1, 7, 100), strict=False):
        expected = exit_steps(probabilities, plan, rule)
        tied = near(probabilities, plan, rule)
        stages = OnnxStages(graphs_of(model), model.config, order=order)
        assert stages.num_global_exits == TorchStages(model).num_global_exits
        answers = list(run_with_exits(stages, arrays(model, crops), plan, rule, batch_size=batch_size))
        assert sorted(answer.index for answer in answers) == list(range(COUNT))
        for answer in answers:
            assert answer.step == expected[answer.index] or tied[answer.index]
            assert answer.probabilities == pytest.approx(probabilities[answer.index, answer.step], abs=1e-5)


def test_an_exit_after_the_glance_runs_the_glance_only() -> None:
    model = build("max pooling")
    plan = planned(model, complete(model, "time"), "time")
    cheapest = plan.rules[-1]
    graphs = graphs_of(model)
    steps = [
        answer.step
        for answer in run_with_exits(
            OnnxStages(graphs, model.config), arrays(model), plan, cheapest, batch_size=8
        )
    ]
    after = sum(step >= model.classifier.num_global_exits for step in steps)
    assert sum(graphs.glance.rows) == COUNT
    assert sum(graphs.decide.rows) == after < COUNT


def test_all_graphs_together_cost_what_the_model_costs() -> None:
    """What is cut out of f_C and given to the other graphs is neither lost nor computed twice."""
    model = build("max pooling")
    each = {
        # Examples hold two cases, or one frame of two.
        name: count_operations(graph.module, *graph.inputs.values()).gflops("mac")[
            type(graph.module).__name__
        ]
        / 2
        for name, graph in cut_model(model).items()
    }
    frames = model.config.num_focus_frames
    whole = each["glance"] + each["decide"] + frames * (each["focus"] + each["classifier"])
    # Steps during the glance are no exits: their heads are left out.
    left_out = sum(head[1].weight.numel() for head in model.classifier.global_classifiers[:-1]) / 1e9
    assert whole + left_out == pytest.approx(measure_cost(model.config).executed_gflops, rel=1e-3)


def test_glances_are_shrunk_as_the_model_does() -> None:
    settings = MODELS["max pooling"] | {"glance_size": 20}
    torch.manual_seed(0)
    for antialias in (True, False):
        model = UniAdaFocus(
            ModelConfig.model_validate(settings | {"patches": {"antialias": antialias}})
        ).eval()
        frames = torch.randn(3, 4, 3, 32, 32)
        found = TorchGraph(cut_model(model)["glance"])({"frames": frames.numpy()})
        with torch.no_grad():
            expected = model.glance(frames).global_features
        np.testing.assert_allclose(found["global_features"], expected.numpy(), atol=1e-5)


def told(model: UniAdaFocus, other: UniAdaFocus, cases: int = 6) -> Agreement:
    """How near the graphs of one model are to the answers of another."""
    known = known_answers(model, cases=cases, seed=0)
    return compare(OnnxStages(graphs_of(other), other.config), known, runtime="onnx")


@pytest.mark.parametrize("name", ["max pooling", "x3d"])
def test_agreement_notices_another_model(name: str, tmp_path: Path) -> None:
    model = build(name)
    same = told(model, model)
    assert agrees(same, model.config)
    assert same.cases == 6
    assert agreement_line(1, same).startswith(
        "fold 1: 100.0% of 6 cases with equal frames; largest difference"
    )
    answers, policy, places = (copy.deepcopy(model) for _ in range(3))
    answers.classifier.apply(lambda part: part.reset_parameters() if isinstance(part, nn.Linear) else None)
    assert told(model, answers).probability_difference > 0.01
    assert policy.temporal_policy is not None
    policy.temporal_policy.Tconv[-1].weight.data *= -5
    assert told(model, policy).equal_frames < 1
    places.spatial_policy.encoder[-2].weight.data *= -1
    assert told(model, places).box_difference > 0.01
    for other in (answers, policy, places):
        assert not agrees(told(model, other), model.config)
    answers.classifier.apply(
        lambda part: part.weight.data.fill_(np.nan) if isinstance(part, nn.Linear) else None
    )
    with pytest.raises(NeurofocusError, match="not finite"):
        told(answers, answers, cases=1)


def test_answers_come_back_from_their_file(tmp_path: Path) -> None:
    model = build("max pooling")
    known = known_answers(model, cases=3, seed=7)
    write_answers(tmp_path / "answers.npz", known)
    found = read_answers(tmp_path / "answers.npz")
    assert found.seed == 7
    for name in ("means", "frames", "boxes", "probabilities"):
        np.testing.assert_array_equal(getattr(found, name), getattr(known, name))
    # The glance, then one exit a focus frame.
    assert found.probabilities.shape == (3, 6, 3)
    with pytest.raises(NeurofocusError, match="draws other cases from seed 8"):
        compare(OnnxStages(graphs_of(model), model.config), replace(found, seed=8), runtime="onnx")


def test_nothing_of_it_needs_pytorch() -> None:
    subprocess.run([sys.executable, "-c", _NO_TORCH], check=True)
