"""The curve of figure 12: each rule by hand, random exits of the same shares, fixed lengths."""

from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from workflows.video.tiny_video import small_config

from neurofocus.early_exit.plan import exit_ladder, solve_plan
from neurofocus.evaluation.video.scores import VideoScores, score_videos
from neurofocus.schema.early_exit import ExitConfig
from neurofocus.workflows.video.exit_curve import compare_exits, curve_points
from neurofocus.workflows.video.exits import ClipExits

COSTS = (1.0, 1.0, 2.0, 4.0)
CLASSES = 4


def drawn(seed: int, count: int = 200) -> VideoScores:
    """Answers that sharpen towards the truth, for easy clips at once."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(CLASSES), rng.integers(0, CLASSES, count - CLASSES)])
    logits = rng.normal(size=(count, 4, CLASSES))
    logits[np.arange(count), :, labels] += rng.gamma(1, 2, (count, 1)) * np.arange(1, 5)
    return score_videos([f"v{place:03d}" for place in range(count)], [(int(k),) for k in labels], logits)


@pytest.fixture(scope="module")
def exits() -> ClipExits:
    scores = drawn(0)
    worth = (scores.probabilities.argmax(-1) == scores.targets.argmax(1)[:, None]).astype(float)
    ladder = exit_ladder(COSTS, 2, every=1)
    settings = ExitConfig(num_budgets=6)
    return ClipExits(
        plan=solve_plan(scores.probabilities, worth, ladder, settings), split="validation", solved_on="those"
    )


@pytest.mark.parametrize("crops", [1, 3])
def test_every_rule_by_hand(exits: ClipExits, crops: int) -> None:
    scores = drawn(1)
    costs = [crops * cost for cost in COSTS]
    config = small_config(f"video.test_crops={crops}")
    found = compare_exits(scores, costs, exits, ["top1", "top5", "map"], config)
    assert (found["steps"], found["step_gflops"]) == ([2, 3, 4], costs[1:])
    assert (found["solved_on"], found["criterion"], found["order"]) == ("those", "entropy", "time")
    assert len(found["rules"]) == len(exits.plan.rules) > 3
    for rule, row in zip(exits.plan.rules, found["rules"], strict=True):
        taken, steps = [], []
        for case in scores.probabilities:
            for step, threshold in zip((1, 2, 3), (*rule.thresholds, 99.0), strict=True):
                if -(case[step] * np.log(case[step])).sum() <= threshold:
                    steps.append(step)
                    taken.append(case[step])
                    break
        answers = np.array(taken)
        assert row["gflops"] == pytest.approx(np.mean([costs[step] for step in steps]))
        assert row["shares"] == pytest.approx([Counter(steps)[step] / 200 for step in (1, 2, 3)])
        assert row["expected"] == {"gflops": pytest.approx(crops * rule.gflops), "top1": rule.accuracy}
        hits = answers.argmax(1) == scores.targets.argmax(1)
        assert row["conditional"]["top1"]["value"] == pytest.approx(hits.mean())
        assert row["conditional"]["map"]["value"] == pytest.approx(
            average_precision_score(scores.targets, answers)
        )
        for series in ("conditional", "random"):
            assert set(row[series]) == {"top1", "map"}
            for entry in row[series].values():
                assert entry["low"] <= entry["value"] <= entry["high"]
    ends = [row["conditional"] for row in (found["rules"][0], found["rules"][-1])]
    assert [found["rules"][place]["random"] for place in (0, -1)] == ends  # everybody stops at the same step


def test_random_exits_keep_the_shares_and_nothing_else(exits: ClipExits) -> None:
    """Their mean over many clips is the accuracy of the steps, weighed by the shares."""
    scores = drawn(2, count=4000)
    found = compare_exits(scores, COSTS, exits, ["top1"], small_config())
    right = (scores.probabilities.argmax(-1) == scores.targets.argmax(1)[:, None]).mean(0)
    better = 0
    for row in found["rules"]:
        expected = np.dot(row["shares"], right[1:])
        assert row["random"]["top1"]["value"] == pytest.approx(expected, abs=0.02)
        better += row["conditional"]["top1"]["value"] > expected + 0.02
    assert better >= 2


def test_the_series(exits: ClipExits) -> None:
    scores = drawn(3)
    rules = compare_exits(scores, COSTS, exits, ["top1"], small_config())
    entry = {"value": 0.5, "low": 0.4, "high": 0.6}
    steps = [
        {"step": 1, "gflops": 1.0, "top1": {"value": 0.1}},
        {"step": 2, "gflops": 1.0, "top1": entry},
        {"step": 3, "gflops": 2.0, "top1": entry},
    ]
    points = curve_points({"steps": steps, "exits": rules}, "top1")
    number = len(exits.plan.rules)
    assert Counter(point.series for point in points) == {
        "fixed length": 2,
        "conditional exit": number,
        "random exit": number,
    }
    assert [(point.gflops, point.value) for point in points[:2]] == [(1.0, 0.5), (2.0, 0.5)]
    assert [point.gflops for point in points[2 : 2 + number]] == [
        point.gflops for point in points[2 + number :]
    ]
    assert {point.series for point in curve_points({"steps": steps, "exits": None}, "top1")} == {
        "fixed length"
    }
