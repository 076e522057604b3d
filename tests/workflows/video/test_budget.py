"""Budgets: clips from files, run with exits, stop where complete answers say, with the same answers."""

import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from workflows.video.exit_models import CLASSES, MODELS, model_of, put_ten, settings_of

from neurofocus.early_exit.compare import exit_steps
from neurofocus.errors import ConfigError, NeurofocusError
from neurofocus.evaluation.video.scores import softmax
from neurofocus.model.build import build_model
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.early_exit import ExitRule
from neurofocus.schema.run import RunConfig
from neurofocus.tables import read_tsv
from neurofocus.workflows.video import budget as module
from neurofocus.workflows.video.budget import Budget, evaluate_within
from neurofocus.workflows.video.bundle import VideoModel
from neurofocus.workflows.video.evaluate import VideoEvaluation, evaluate_videos, write_evaluation
from neurofocus.workflows.video.exits import ClipExits, for_crops, read_exits, solve_exits, write_exits
from neurofocus.workflows.video.score import ExitRequest, score_model
from neurofocus.workflows.video.source import VideoData

GEOMETRIC = (
    "exit.solver=geometric",
    "exit.num_budgets=5",
)  # several exits are in use, whatever they are worth


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> VideoData:
    return put_ten(tmp_path_factory.mktemp("ten"))


def solved(model: UniAdaFocus, data: VideoData, config: RunConfig) -> ClipExits:
    found = solve_exits(model, data, data.clips("validation"), config, kind="clips")
    assert found is not None
    return found


def after_the_fact(whole: VideoEvaluation, exits: ClipExits, rule: ExitRule) -> tuple[Any, Any]:
    """Return the steps [N] and answers [N, K] that complete answers give under a rule."""
    assert whole.logits is not None
    probabilities = softmax(whole.logits.astype(np.float64))
    probabilities = probabilities.mean(1) if probabilities.ndim == 4 else probabilities
    steps = exit_steps(probabilities, exits.plan, rule)
    return steps, probabilities[np.arange(len(steps)), steps]


@pytest.mark.parametrize("name", MODELS)
def test_a_budget_stops_every_clip_where_complete_answers_say(ten: VideoData, name: str) -> None:
    config = settings_of(name, *GEOMETRIC)
    model = model_of(config)
    exits = solved(model, ten, config)
    whole = evaluate_videos(model, ten, "test", config, exits=exits)
    seen = set()
    for rule, batch in zip(exits.plan.rules, (2, 3, 32, 4, 2), strict=False):
        settings = config.model_copy(update={"train": config.train.model_copy(update={"batch_size": batch})})
        found = evaluate_within(model, ten, "test", settings, Budget(rule.gflops, exits))
        steps, answers = after_the_fact(whole, exits, rule)
        table = found.predictions
        assert table["clip_id"].tolist() == whole.predictions["clip_id"].tolist()
        assert (table["exit_step"] - 1).tolist() == steps.tolist()
        assert table["predicted"].tolist() == [CLASSES[k] for k in answers.argmax(1)]
        np.testing.assert_allclose(table["probability"], answers.max(1), atol=1e-5)
        row = whole.metrics["exits"]["conditional"][exits.plan.rules.index(rule)]
        assert (
            found.metrics["mean_gflops"]
            == pytest.approx(table["gflops"].mean())
            == pytest.approx(row["gflops"])
        )
        assert found.metrics["exits"]["shares"] == row["shares"]
        assert found.metrics["pooled"]["top1"]["value"] == pytest.approx(row["top1"]["value"])
        assert found.metrics["pooled"]["map"]["value"] == pytest.approx(row["map"]["value"])
        seen |= set(steps.tolist())
    assert len(seen) == len(exits.plan.ladder.steps)


def test_three_crops_stop_together_and_cost_thrice(ten: VideoData) -> None:
    config = settings_of("frames", *GEOMETRIC, "video.test_crops=3")
    model = model_of(config)
    exits = solved(model, ten, config)
    whole = evaluate_videos(model, ten, "test", config)
    assert whole.logits is not None and whole.logits.shape[1] == 3
    three = for_crops(exits, 3)
    rule = three.plan.rules[1]
    found = evaluate_within(model, ten, "test", config, Budget(rule.gflops, exits))
    steps, answers = after_the_fact(whole, three, rule)
    assert (found.predictions["exit_step"] - 1).tolist() == steps.tolist()
    np.testing.assert_allclose(found.predictions["probability"], answers.max(1), atol=1e-5)
    costs = dict(zip(three.plan.ladder.steps, three.plan.ladder.gflops, strict=True))
    assert found.predictions["gflops"].tolist() == pytest.approx([costs[step] for step in steps.tolist()])
    assert found.metrics["exits"]["expected"] == three.expected(rule)


class Counted:
    """Counts the images that a module is given."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.images = 0
        module.register_forward_pre_hook(self._count)

    def _count(self, module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        self.images += len(inputs[0])


def test_only_what_is_needed_is_looked_at(ten: VideoData) -> None:
    config = settings_of("frames", *GEOMETRIC)
    model = model_of(config)
    exits = solved(model, ten, config)
    counted = Counted(model.local_encoder)
    found = evaluate_within(model, ten, "test", config, Budget(exits.plan.rules[2].gflops, exits))
    assert counted.images == (found.predictions["exit_step"] - 3).sum() < 6 * 3


def test_seconds_beside_those_to_the_end(ten: VideoData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways see the same clips, each decoded once; the other way is what complete answers give."""
    config = settings_of("frames", *GEOMETRIC)
    model = model_of(config)
    exits = solved(model, ten, config)
    whole = evaluate_videos(model, ten, "test", config)
    opened: list[str] = []
    opener = type(ten.opener(ten.clips("test")))
    call = opener.__call__
    monkeypatch.setattr(opener, "__call__", lambda self, name: opened.append(name) or call(self, name))
    found = evaluate_within(
        model, ten, "test", config, Budget(exits.plan.rules[-1].gflops, exits, timed=True)
    )
    assert sorted(opened) == sorted(found.predictions["clip_id"])
    assert set(found.predictions["exit_step"]) == {3}
    end = found.metrics["exits"]["to_the_end"]
    assert end["gflops"] == exits.plan.ladder.gflops[-1]
    assert {name: end[name] for name in ("top1", "map")} == {
        name: pytest.approx(whole.metrics["pooled"][name]) for name in ("top1", "map")
    }
    seconds = found.metrics["exits"]["seconds"]
    assert 0 < seconds["within_budget"] < seconds["to_the_end"]
    assert seconds["ratio"] == pytest.approx(seconds["within_budget"] / seconds["to_the_end"])
    assert (seconds["batch_size"], seconds["device"]) == (4, "cpu")


def test_seconds_of_every_rule_and_every_fixed_length(
    ten: VideoData, video: VideoModel, tmp_path: Path
) -> None:
    """Every budget and every fixed length on the clock: what does more takes longer, with the accuracy of the curve."""
    own = replace(video, exits=solved_like(video, ten))
    assert own.exits is not None
    found = score_model(own, ten, request=ExitRequest(timed=True))
    exits = found.metrics["exits"]
    assert len(exits["seconds"]["conditional"]) == len(own.exits.plan.rules)
    assert len(exits["seconds"]["fixed"]) == len(exits["steps"]) == 4
    assert exits["seconds"]["fixed"][0] < exits["seconds"]["fixed"][-1]
    assert (
        exits["seconds"]["conditional"][-1] < exits["seconds"]["fixed"][-1]
    )  # everybody stops after the glance
    files = write_evaluation(tmp_path, found)
    table = pd.read_csv(files["seconds table"])
    assert list(table.columns) == ["series", "seconds", "map", "map_low", "map_high"]
    fixed = table[table["series"] == "fixed length"]
    assert sorted(fixed["seconds"]) == pytest.approx(sorted(exits["seconds"]["fixed"]))
    by_time = dict(zip(fixed["seconds"].round(9), fixed["map"], strict=True))
    for seconds, step in zip(exits["seconds"]["fixed"], exits["steps"], strict=True):
        assert by_time[round(seconds, 9)] == pytest.approx(found.metrics["steps"][step - 1]["map"]["value"])
    conditional = table[table["series"] == "conditional exit"]
    assert sorted(conditional["map"]) == pytest.approx(
        sorted(row["map"]["value"] for row in exits["conditional"])
    )
    assert files["seconds"].read_bytes()[1:4] == b"PNG"


def test_files_of_a_budget_leave_those_of_complete_answers_alone(ten: VideoData, tmp_path: Path) -> None:
    config = settings_of("temporal shift", *GEOMETRIC)
    model = model_of(config)
    exits = solved(model, ten, config)
    write_evaluation(tmp_path, evaluate_videos(model, ten, "test", config, exits=exits))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    found = evaluate_within(model, ten, "test", config, Budget(99.0, exits))
    files = write_evaluation(tmp_path, found)
    assert {
        path.name: path.read_bytes() for path in tmp_path.iterdir() if path not in files.values()
    } == before
    table = read_tsv(files["predictions"], numbers=["gflops"], integers=["exit_step"])
    assert set(table["exit_step"]) == {2}  # more than all of it costs: every clip goes to the end
    metrics = json.loads(files["metrics"].read_text(encoding="utf-8"))
    assert metrics == json.loads(json.dumps(found.metrics))
    assert (metrics["split"], metrics["n_videos"], metrics["exits"]["shares"]) == ("test", 6, [0.0, 1.0])


@pytest.fixture(scope="module")
def video() -> VideoModel:
    config = settings_of("frames", *GEOMETRIC)
    return VideoModel(model_of(config), config, CLASSES, {"name": "theirs.pth.tar"})


def test_thresholds_for_a_model_without(video: VideoModel, ten: VideoData, tmp_path: Path) -> None:
    """Solved on one split for the other, kept in a file, used again."""
    with pytest.raises(
        ConfigError,
        match=r"--budget: theirs\.pth\.tar holds no exit thresholds; 'video evaluate --solve-exits SPLIT'",
    ):
        score_model(video, ten, request=ExitRequest(budget=1.0))
    assert score_model(video, ten).metrics["exits"] is None
    found = score_model(video, ten, request=ExitRequest(solve_on="validation"))
    assert found.metrics["exits"]["solved_on"] == "4 clips of the validation split"
    assert found.exits == solved_like(video, ten)
    write_exits(tmp_path / "exits.json", found.exits, video.model)
    again = replace(video, exits=read_exits(tmp_path / "exits.json", video.model))
    budget = found.exits.plan.rules[1].gflops
    direct = score_model(video, ten, request=ExitRequest(budget=budget, solve_on="validation"))
    assert score_model(again, ten, request=ExitRequest(budget=budget)).metrics == direct.metrics
    assert direct.metrics["exits"]["budget"] == budget


def test_thresholds_are_not_scored_on_what_they_were_solved_on(
    video: VideoModel, ten: VideoData, caplog: pytest.LogCaptureFixture
) -> None:
    own = replace(video, exits=solved_like(video, ten))
    assert score_model(own, ten).metrics["exits"] is not None
    said = r"the exit thresholds of theirs\.pth\.tar were solved on the validation split \(4 clips of"
    with pytest.raises(ConfigError, match=rf"--budget: {said}.*; score another split, or solve on another"):
        score_model(own, ten, split="validation", request=ExitRequest(budget=1.0))
    with caplog.at_level(logging.WARNING, "neurofocus.workflows"):
        assert score_model(own, ten, split="validation").metrics["exits"] is None
    assert re.search(rf"{said}.*: conditional exits are not scored on it", caplog.text)


def solved_like(video: VideoModel, data: VideoData) -> ClipExits | None:
    assert isinstance(video.model, UniAdaFocus)
    kind = "clips of the validation split"
    return solve_exits(video.model, data, data.clips("validation"), video.config, kind=kind)


@pytest.mark.parametrize(
    ("request_", "split", "message"),
    [
        (ExitRequest(solve_on="test"), None, "--solve-exits test: is the split that is scored"),
        (
            ExitRequest(solve_on="validation"),
            "validation",
            "--solve-exits validation: is the split that is scored",
        ),
        (ExitRequest(solve_on="val"), None, "--solve-exits 'val': accepted are train, validation, test"),
        (ExitRequest(timed=True), None, r"--time: theirs\.pth\.tar holds no exit thresholds"),
        (
            ExitRequest(budget=1e-9, solve_on="validation"),
            None,
            r"--budget 1e-09: below the cheapest exit; give [0-9.e-]+ GFLOPs or more",
        ),
    ],
)
def test_requests_that_cannot_be_met(
    video: VideoModel, ten: VideoData, request_: ExitRequest, split: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        score_model(video, ten, split=split, request=request_)


def test_a_model_that_answers_once(ten: VideoData) -> None:
    config = settings_of("frames", "model.kind=tsm_plus", "model.classifier.kind=average")
    config = config.model_copy(
        update={
            "model": config.model.model_copy(
                update={"num_frames": 4, "num_glance_frames": 4, "num_focus_frames": 4}
            )
        }
    )
    video = VideoModel(build_model(config.model).eval(), config, CLASSES, {"name": "plus"})
    with pytest.raises(ConfigError, match="--solve-exits validation: plus answers once"):
        score_model(video, ten, request=ExitRequest(solve_on="validation"))
    assert score_model(video, ten).metrics["exits"] is None


def test_answers_that_are_not_finite(ten: VideoData) -> None:
    config = settings_of("frames", *GEOMETRIC)
    model = model_of(config)
    exits = solved(model, ten, config)
    torch.nn.init.constant_(next(model.classifier.parameters()), float("nan"))
    with pytest.raises(NeurofocusError, match="answers to test clips are not finite"):
        evaluate_within(model, ten, "test", config, Budget(99.0, exits))


def test_decoding_goes_on_beside_the_model_but_not_beside_the_clock(video: VideoModel) -> None:
    assert isinstance(video.model, UniAdaFocus)
    assert video.config.data.num_workers == 0
    assert module._workers(video.model, video.config, timed=False) == 1
    assert module._workers(video.model, video.config, timed=True) == 0
