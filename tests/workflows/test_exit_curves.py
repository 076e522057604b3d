"""Figure 12 of a cross-validation: every fold by its own rules, random and fixed exits beside them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from neurofocus.early_exit.compare import exit_steps, random_exits
from neurofocus.early_exit.plan import solve_plan
from neurofocus.evaluation.summary import summarise
from neurofocus.evaluation.thresholds import decide
from neurofocus.schema.early_exit import ExitConfig, ExitLadder, ExitPlan, ExitRule
from neurofocus.workflows.exit_curves import exit_curves
from neurofocus.workflows.folds.record import FoldResult
from neurofocus.workflows.report.exits import exit_points, exit_sentence

CLASSES = ("CN", "AD")
GFLOPS = (1.0, 1.5, 2.0, 3.0)
THRESHOLDS = (0.4, 0.7)
SETTINGS = ExitConfig(every=1, num_budgets=9)


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits.astype(np.float64))
    return np.asarray(odds / odds.sum(-1, keepdims=True))


def cases(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits [N, 4, 2] that know more from step to step, of easy cases at once, and labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    ease = rng.exponential(size=count)[:, None] * np.array([0.7, 1.0, 1.5, 2.5])
    signed = (2 * labels[:, None] - 1) * ease + 0.8 * rng.normal(size=(count, 4))
    return np.stack([-signed, signed], axis=-1).astype(np.float32), labels


def make_plan(seed: int) -> ExitPlan:
    logits, labels = cases(seed, 90)
    probabilities = softmax(logits)
    worth = (probabilities.argmax(-1) == labels[:, None]).astype(np.float64)
    ladder = ExitLadder(steps=(3, 5, 7, 9), gflops=GFLOPS)
    every = np.zeros((90, 10, 2))
    every[:, list(ladder.steps)] = probabilities
    values = np.zeros((90, 10))
    values[:, list(ladder.steps)] = worth
    return solve_plan(every, values, ladder, SETTINGS)


def fold(number: int, count: int, plan: ExitPlan | None = None) -> FoldResult:
    logits, labels = cases(number, count)
    probabilities, threshold = softmax(logits)[:, -1], THRESHOLDS[number - 1]
    table: dict[str, Any] = {
        "participant_id": [f"sub-{number}{case:03d}" for case in range(count)],
        "session_id": "n/a",
        "fold": number,
        "label": np.array(CLASSES)[labels],
        "predicted": np.array(CLASSES)[decide(probabilities, threshold)],
        "prob_CN": probabilities[:, 0],
        "prob_AD": probabilities[:, 1],
        "gflops": GFLOPS[-1],
    }
    validation = {
        "threshold": threshold,
        "exits": (plan or make_plan(10 + number)).model_dump(mode="json"),
    }
    return FoldResult(number, Path(), pd.DataFrame(table), logits, validation, pd.DataFrame())


@pytest.fixture(scope="module")
def folds() -> list[FoldResult]:
    return [fold(1, 50), fold(2, 34)]


@pytest.fixture(scope="module")
def curves(folds: list[FoldResult]) -> dict[str, Any]:
    return exit_curves(folds, CLASSES, SETTINGS, seed=5)


def test_the_last_fixed_length_is_the_run(folds: list[FoldResult], curves: dict[str, Any]) -> None:
    predictions = pd.concat([result.predictions for result in folds], ignore_index=True)
    pooled = summarise(predictions, CLASSES, threshold_rule="", seed=5)["pooled"]
    for point in (curves["fixed"][-1], curves["conditional"][-1], curves["random"][-1]):
        assert point["gflops"] == pytest.approx(GFLOPS[-1])
        for name in ("balanced_accuracy", "accuracy"):
            assert point[name] == pytest.approx(pooled[name])
    assert [point["gflops"] for point in curves["fixed"]] == pytest.approx(GFLOPS)
    assert curves["conditional"][0]["balanced_accuracy"] == curves["fixed"][0]["balanced_accuracy"]


def test_conditional_exits_case_by_case(folds: list[FoldResult], curves: dict[str, Any]) -> None:
    """At the dearest fold rule of a budget, every case is followed by hand through its own fold's thresholds."""
    from neurofocus.early_exit.decide import rule_for_budget

    for place, point in enumerate(curves["conditional"]):
        budget = 1 + 2 * place / 8
        assert point["budget"] == pytest.approx(budget)
        right, costs, labels = [], [], []
        for result in folds:
            rule = rule_for_budget(result.exits, budget)
            for logits, label in zip(softmax(result.exit_logits), result.predictions["label"], strict=True):
                entropy = -(logits * np.log(logits)).sum(-1)
                step = next((s for s in range(3) if entropy[s] <= rule.thresholds[s]), 3)
                positive = logits[step, 1] >= THRESHOLDS[result.fold - 1]
                right.append(CLASSES[int(positive)] == label)
                costs.append(GFLOPS[step])
                labels.append(label)
        found = pd.DataFrame({"right": right, "label": labels})
        assert point["gflops"] == pytest.approx(np.mean(costs))
        assert point["accuracy"]["value"] == pytest.approx(np.mean(right))
        balanced = found.groupby("label")["right"].mean().mean()
        assert point["balanced_accuracy"]["value"] == pytest.approx(balanced)
        above = point["balanced_accuracy"]["value"] - curves["random"][place]["balanced_accuracy"]["value"]
        assert point["above_random"]["value"] == pytest.approx(above)
        assert point["above_random"]["low"] <= above <= point["above_random"]["high"]


def test_random_exits_are_the_mean_of_deals_within_each_fold(
    folds: list[FoldResult], curves: dict[str, Any]
) -> None:
    from neurofocus.early_exit.decide import rule_for_budget

    place = 4
    found = []
    for deal in range(600):
        right = []
        for result in folds:
            plan = result.exits.model_copy(update={"ladder": ExitLadder(steps=(0, 1, 2, 3), gflops=GFLOPS)})
            probabilities = softmax(result.exit_logits)
            steps = random_exits(exit_steps(probabilities, plan, rule_for_budget(plan, 2.0)), seed=deal)
            decided = decide(probabilities[np.arange(len(steps)), steps], result.threshold)
            right.append(np.array(CLASSES)[decided] == result.predictions["label"].to_numpy())
        found.append(np.concatenate(right).mean())
    expected = curves["random"][place]["accuracy"]["value"]
    assert expected == pytest.approx(np.mean(found), abs=4 * np.std(found) / np.sqrt(len(found)))
    assert curves["random"][place]["gflops"] == curves["conditional"][place]["gflops"]


def test_every_fold_obeys_its_own_plan() -> None:
    ladder = ExitLadder(steps=(3, 5, 7, 9), gflops=GFLOPS)
    never, at_once = (-1.0, -1.0, -1.0), (0.7, -1.0, -1.0)
    plans = [
        ExitPlan(
            criterion="entropy",
            order="time",
            ladder=ladder,
            rules=(ExitRule(thresholds=thresholds, gflops=1, accuracy=promised),),
        )
        for thresholds, promised in ((never, 0.9), (at_once, 0.6))
    ]
    folds = [fold(1, 30, plans[0]), fold(2, 10, plans[1])]
    curves = exit_curves(folds, CLASSES, SETTINGS, seed=0)
    for point in curves["conditional"]:
        assert point["gflops"] == pytest.approx((30 * 3 + 10 * 1) / 40)
        assert point["expected"] == pytest.approx({"gflops": 1, "balanced_accuracy": (3 * 0.9 + 0.6) / 4})


def test_knowing_when_to_stop_pays_here(curves: dict[str, Any]) -> None:
    inner = curves["conditional"][2:7]
    assert all(point["above_random"]["value"] > 0 for point in inner)
    points = exit_points(curves)
    assert [point.series for point in points].count("conditional exit") == 9
    assert len(points) == 9 + 9 + 4
    value = curves["conditional"][4]["balanced_accuracy"]["value"]
    sentence = exit_sentence(curves)
    assert f"balanced accuracy {value:.3f} (95 % interval" in sentence
    better = sum(point["above_random"]["value"] > 0 for point in curves["conditional"][1:-1])
    assert f"Above random at {better} of the 7 budgets" in sentence


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        ({"value": 0.1, "low": 0.05, "high": 0.2}, "knowing when to stop pays"),
        ({"value": -0.1, "low": -0.2, "high": -0.05}, "misleads"),
        ({"value": 0.1, "low": -0.1, "high": 0.2}, "do not tell the two apart"),
        ({"value": None, "low": None, "high": None}, "too few scans"),
    ],
)
def test_the_sentence_says_what_the_interval_allows(
    curves: dict[str, Any], gain: dict[str, float | None], words: str
) -> None:
    conditional = [point | {"above_random": gain} for point in curves["conditional"]]
    assert words in exit_sentence(curves | {"conditional": conditional})


def test_one_exit_is_one_point() -> None:
    ladder = ExitLadder(steps=(9,), gflops=(3.0,))
    plan = ExitPlan(
        criterion="entropy",
        order="time",
        ladder=ladder,
        rules=(ExitRule(thresholds=(), gflops=3, accuracy=0.8),),
    )
    whole = fold(1, 20, plan)
    single = FoldResult(
        1, Path(), whole.predictions, whole.exit_logits[:, -1:], whole.validation, whole.history
    )
    curves = exit_curves([single], CLASSES, SETTINGS, seed=0)
    assert len(curves["conditional"]) == len(curves["random"]) == len(curves["fixed"]) == 1
    assert curves["conditional"][0]["above_random"]["value"] == 0
    assert "Above random at 0 of the 0 budgets" in exit_sentence(curves)
