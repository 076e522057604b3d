"""Prediction within a budget: the exits of complete predictions, less work, and saliency of what was looked at."""

import dataclasses
import hashlib
import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from neurofocus.data.dataset import evaluation_frames
from neurofocus.early_exit.criteria import uncertainty
from neurofocus.early_exit.decide import exit_positions, rule_for_budget
from neurofocus.errors import ConfigError
from neurofocus.model.cost import measure_cost
from neurofocus.schema.bundle import FoldEntry
from neurofocus.schema.early_exit import ExitPlan
from neurofocus.schema.load import load_cohort_spec
from neurofocus.workflows.bundle import ModelBundle, default_bundle, load_bundle
from neurofocus.workflows.cohort.setup import prepare_scans, set_up_cohort
from neurofocus.workflows.cross_validate import run_config
from neurofocus.workflows.exit_budget import BudgetedAnswer, answer_within, exit_budget
from neurofocus.workflows.folds.record import finished_fold
from neurofocus.workflows.predict import Prediction, predict

FOCUS = 4  # T_L of the tiny model


def ends(bundle: ModelBundle) -> tuple[float, float]:
    """What both fold models spend at the cheapest and at the dearest exit."""
    ladders = [entry.exits.ladder.gflops for entry in bundle.manifest.folds if entry.exits is not None]
    return sum(ladder[0] for ladder in ladders), sum(ladder[-1] for ladder in ladders)


def with_thresholds(bundle: ModelBundle, *thresholds: tuple[float, ...]) -> ModelBundle:
    """The bundle with one rule a fold, as if it had been solved so."""
    entries = []
    for entry, values in zip(bundle.manifest.folds, thresholds, strict=True):
        assert entry.exits is not None
        rule = entry.exits.rules[0].model_copy(update={"thresholds": values, "gflops": 1e-6})
        plan = entry.exits.model_copy(update={"rules": (rule,)})
        entries.append(entry.model_copy(update={"exits": plan}))
    manifest = bundle.manifest.model_copy(update={"folds": tuple(entries)})
    return dataclasses.replace(bundle, manifest=manifest)


def test_exits_are_those_of_the_complete_test_predictions(
    tiny_run: Path, bundle: ModelBundle, tiny_cohort: Path, tiny_config: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """Case by case: what a fold's model of the bundle does with a test scan is what the run's stored logits say."""
    config = run_config(str(tiny_cohort), tiny_config)
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    setup = set_up_cohort(load_cohort_spec(tiny_cohort), tiny_data, config, run)
    cases, _ = prepare_scans(setup, config)
    people = setup.table["participant_id"].tolist()
    stops: set[int] = set()
    for number in (1, 2):
        result = finished_fold(run / f"fold-{number}", ("CN", "AD"))
        assert result is not None
        assert bundle.manifest.folds[number - 1].exits == result.exits
        complete = torch.from_numpy(result.exit_logits).double().softmax(-1).numpy()
        unsure = uncertainty(complete, "entropy")
        middle = tuple(np.quantile(unsure[:, :-1], 0.6, axis=0))
        strict = tuple(np.quantile(unsure[:, :-1], 0.2, axis=0))
        both = with_thresholds(bundle, *([middle] * 2)), with_thresholds(bundle, *([strict] * 2))
        for given in (bundle, *both):
            for share in (0.0, 0.3, 0.6, 1.0):
                low, high = ends(given)
                budget = exit_budget(given, low + share * (high - low))
                expected = exit_positions(unsure, budget.rules[number - 1].thresholds)
                for row, person in enumerate(result.predictions["participant_id"]):
                    frames = evaluation_frames(cases[people.index(person)].frames, config.model.num_frames)[0]
                    found = answer_within(budget, given, frames[None])
                    answer = found.answers[number - 1]
                    position = result.exits.ladder.steps.index(answer.step)
                    near = np.abs(unsure[row, :-1] - budget.rules[number - 1].thresholds).min() < 1e-5
                    assert position == expected[row] or near
                    np.testing.assert_allclose(answer.probabilities, complete[row, position], atol=1e-5)
                    assert answer.gflops == result.exits.ladder.gflops[position]
                    assert found.looks[number - 1].focus_frames == position
                    stops.add(position)
                if given is not bundle:
                    break  # one rule only
    assert len(stops) >= 4


@pytest.fixture(scope="module")
def half(tiny_scan: Path, bundle: ModelBundle, tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    """A prediction whose first model stops after one focus frame and whose second after the glance."""
    once = with_thresholds(bundle, (-1.0, 1.0, -1.0, -1.0), (1.0, -1.0, -1.0, -1.0))
    return predict(tiny_scan, once, out=tmp_path_factory.mktemp("half"), budget=1.0)


def test_the_document_says_what_was_spent(half: Prediction, bundle: ModelBundle) -> None:
    costs = measure_cost(bundle.manifest.config.model).exit_gflops
    document = json.loads(half.files["prediction"].read_text(encoding="utf-8"))
    exits = document["exits"]
    assert exits["budget"] == 1.0
    assert [each["exit_step"] for each in exits["fold_models"]] == [5, 4]
    assert [each["focus_frames"] for each in exits["fold_models"]] == [1, 0]
    assert [each["gflops"] for each in exits["fold_models"]] == pytest.approx([costs[4], costs[3]])
    assert exits["gflops_spent"] == document["gflops"] == pytest.approx(costs[4] + costs[3])
    assert exits["expected"]["gflops"] == pytest.approx(2e-6)
    dearest = bundle.manifest.metrics["exits"]["conditional"][-1]
    assert exits["cross_validated"] == {
        key: dearest[key] for key in ("budget", "gflops", "balanced_accuracy")
    }
    (line,) = [line for line in half.summary_lines() if line.startswith("  budget")]
    assert "1 GFLOPs: spent" in line and "focus frames seen: 1, 0 of 4" in line
    page = half.files["report"].read_text(encoding="utf-8")
    assert "focus frames seen: 1, 0 of 4" in page and "SYNTHETIC" in page


def test_only_what_was_looked_at_is_explained(half: Prediction, done: Prediction) -> None:
    first, second = half.explained.saliency.per_model
    whole = done.explained.saliency.per_model[0]
    assert first.frames.tolist() == [whole.frames[0]]
    assert len(second.frames) == len(second.boxes) == 0
    assert [frame["fold_model"] for frame in half.document["frames"]] == [1]
    saliency = nib.load(half.files["saliency"]).get_fdata()
    assert np.isfinite(saliency).all() and saliency.max() > 0
    assert not np.allclose(saliency, nib.load(done.files["saliency"]).get_fdata())
    for model, answer in zip((first, second), half.document["exits"]["fold_models"], strict=True):
        assert len(model.frames) == answer["focus_frames"]
    mean = np.mean([first.probabilities, second.probabilities], axis=0)
    assert list(half.probabilities.values()) == pytest.approx(mean.tolist(), abs=1e-5)


def test_a_glance_alone_has_a_picture(tiny_scan: Path, bundle: ModelBundle, tmp_path: Path) -> None:
    low, _ = ends(bundle)
    found = predict(tiny_scan, bundle, out=tmp_path, budget=low)
    assert found.document["frames"] == []
    assert found.document["gflops"] == pytest.approx(low)
    assert found.files["overlay"].read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_a_large_budget_is_no_limit(tiny_scan: Path, bundle: ModelBundle, done: Prediction) -> None:
    found = predict(tiny_scan, bundle, budget=1e6)
    assert list(found.probabilities.values()) == pytest.approx(list(done.probabilities.values()), abs=1e-6)
    assert found.document["gflops"] == pytest.approx(done.document["gflops"])
    assert found.document["frames"] == done.document["frames"]
    assert "exits" not in done.document


def test_a_budget_is_shared_evenly(bundle: ModelBundle) -> None:
    low, high = ends(bundle)
    for share in (0.0, 0.25, 0.8):
        budget = low + share * (high - low)
        found = exit_budget(bundle, budget)
        for entry, rule in zip(bundle.manifest.folds, found.rules, strict=True):
            assert entry.exits is not None
            assert rule == rule_for_budget(entry.exits, budget / 2)


def test_budgets_that_cannot_be_kept(bundle: ModelBundle) -> None:
    low, _ = ends(bundle)
    advice = re.escape(f"--budget 0.001: below the cheapest exit; give {low:.4g} GFLOPs")
    with pytest.raises(ConfigError, match=advice):
        exit_budget(bundle, 0.001)
    assert exit_budget(bundle, low).rules[0].gflops == pytest.approx(low / 2)
    entries = tuple(entry.model_copy(update={"exits": None}) for entry in bundle.manifest.folds)
    old = dataclasses.replace(bundle, manifest=bundle.manifest.model_copy(update={"folds": entries}))
    with pytest.raises(
        ConfigError, match=r"--budget 1: the bundle 'tiny' was made without exits; leave --budget out, or"
    ):
        exit_budget(old, 1.0)


def test_the_accuracy_of_a_budget_is_the_cross_validated_one(bundle: ModelBundle) -> None:
    """That of the dearest budget scored on test scans which the share of one model pays for."""
    points = bundle.manifest.metrics["exits"]["conditional"]
    budgets = sorted(point["budget"] for point in points)
    assert len(set(budgets)) > 2
    for place, (budget, dearer) in enumerate(pairwise([*budgets, 2 * budgets[-1]])):
        for share in (budget, 0.5 * (budget + dearer)):
            found = exit_budget(bundle, 2 * share).cross_validated
            assert found is not None
            assert found["budget"] == budgets[place]
            assert found["balanced_accuracy"]["low"] <= found["balanced_accuracy"]["value"]
    few = {**points[0], "budget": 0.0, "balanced_accuracy": {"value": 0.5, "low": None, "high": None}}
    metrics = {"exits": {"conditional": [few]}}
    unknown = dataclasses.replace(bundle, manifest=bundle.manifest.model_copy(update={"metrics": metrics}))
    answer = BudgetedAnswer(exit_budget(unknown, 1.0), (), (), FOCUS)
    assert "cross-validation" not in answer.line()  # no accuracy without its interval
    silent = dataclasses.replace(bundle, manifest=bundle.manifest.model_copy(update={"metrics": {}}))
    assert exit_budget(silent, 1.0).cross_validated is None


def test_bundles_of_older_versions_load(tiny_bundle: Path, tiny_scan: Path, tmp_path: Path) -> None:
    """A manifest as it was written before there were exits."""
    folder = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    text = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    del text["config"]["exit"]
    for entry in text["folds"]:
        del entry["exits"]
    text["sha256"] = "0" * 64
    blank = json.dumps(text, indent=2)
    digest = hashlib.sha256(blank.encode()).hexdigest()
    (folder / "bundle.json").write_text(blank.replace("0" * 64, digest, 1), encoding="utf-8")
    old = load_bundle(folder)
    assert [entry.exits for entry in old.manifest.folds] == [None, None]
    with pytest.raises(ConfigError, match="was made without exits"):
        predict(tiny_scan, old, budget=1.0)
    load_bundle(default_bundle())


def test_a_plan_survives_the_bundle(bundle: ModelBundle) -> None:
    for entry in bundle.manifest.folds:
        assert FoldEntry.model_validate_json(entry.model_dump_json()) == entry
        assert isinstance(entry.exits, ExitPlan)
        assert entry.exits.ladder.steps == (3, 4, 5, 6, 7)


def test_weights_decide_which_frames_come_first(tiny_scan: Path, bundle: ModelBundle) -> None:
    once = with_thresholds(bundle, *([(-1.0, 1.0, -1.0, -1.0)] * 2))
    entries: list[Any] = [
        entry.model_copy(update={"exits": entry.exits.model_copy(update={"order": "weight"})})
        for entry in once.manifest.folds
        if entry.exits is not None
    ]
    manifest = once.manifest.model_copy(update={"folds": tuple(entries)})
    found = predict(tiny_scan, dataclasses.replace(once, manifest=manifest), budget=1.0)
    whole = predict(tiny_scan, bundle).explained.saliency.per_model
    for model, complete, answer in zip(
        found.explained.saliency.per_model, whole, found.document["exits"]["fold_models"], strict=True
    ):
        assert answer["focus_frames"] == len(model.frames) == 1
        assert model.weights[0] == pytest.approx(complete.weights.max())
