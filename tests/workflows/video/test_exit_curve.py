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
    assert len(found["conditional"]) == len(found["random"]) == len(exits.plan.rules) > 3
    right = (scores.probabilities.argmax(-1) == scores.targets.argmax(1)[:, None]).mean(0)
    for place, rule in enumerate(exits.plan.rules):
        row, dealt = found["conditional"][place], found["random"][place]
        taken, steps = [], []
        for case in scores.probabilities:
            for step, threshold in zip((1, 2, 3), (*rule.thresholds, 99.0), strict=True):
                if -(case[step] * np.log(case[step])).sum() <= threshold:
                    steps.append(step)
                    taken.append(case[step])
                    break
        answers = np.array(taken)
        assert row["gflops"] == dealt["gflops"] == pytest.approx(np.mean([costs[step] for step in steps]))
        assert row["shares"] == pytest.approx([Counter(steps)[step] / 200 for step in (1, 2, 3)])
        expected = {
            "gflops": pytest.approx(crops * rule.gflops),
            "top1": rule.accuracy,
            "top1_interval": None,
        }
        assert row["expected"] == expected
        hits = answers.argmax(1) == scores.targets.argmax(1)
        assert row["top1"]["value"] == pytest.approx(hits.mean())
        assert row["map"]["value"] == pytest.approx(average_precision_score(scores.targets, answers))
        assert dealt["top1"]["value"] == pytest.approx(np.dot(row["shares"], right[1:]))
        gain = row["above_random"]
        assert gain["value"] == pytest.approx(row["top1"]["value"] - dealt["top1"]["value"])
        for entry in (gain, *(each[name] for each in (row, dealt) for name in ("top1", "map"))):
            assert entry["low"] - 1e-12 <= entry["value"] <= entry["high"] + 1e-12
    for place in (0, -1):  # everybody stops at the same step
        for name in ("top1", "map"):
            assert found["random"][place][name] == pytest.approx(found["conditional"][place][name])
    assert max(row["above_random"]["low"] for row in found["conditional"]) > 0


def test_random_exits_are_dealt_anew_for_every_rule(exits: ClipExits) -> None:
    """Their mAP lies between those of the steps; with another seed it is another one."""
    scores = drawn(2, count=300)
    found = [
        compare_exits(scores, COSTS, exits, ["top1", "map"], small_config(f"seed={seed}"))
        for seed in (0, 0, 1)
    ]
    assert found[0] == found[1]
    one, other = ([row["map"]["value"] for row in each["random"]] for each in found[1:])
    assert one[1:-1] != other[1:-1]
    ends = sorted(average_precision_score(scores.targets, scores.probabilities[:, step]) for step in (1, 3))
    assert all(ends[0] - 1e-9 <= value <= ends[1] + 1e-9 for value in (*one, *other))
    assert [row["top1"]["value"] for row in found[1]["random"]] == pytest.approx(
        [row["top1"]["value"] for row in found[2]["random"]]
    )


def test_the_series(exits: ClipExits) -> None:
    scores = drawn(3)
    found = compare_exits(scores, COSTS, exits, ["top1"], small_config())
    entry = {"value": 0.5, "low": 0.4, "high": 0.6}
    steps = [
        {"step": 1, "gflops": 1.0, "top1": {"value": 0.1}},
        {"step": 2, "gflops": 1.0, "top1": entry},
        {"step": 3, "gflops": 2.0, "top1": entry},
    ]
    points = curve_points({"steps": steps, "exits": found}, "top1")
    number = len(exits.plan.rules)
    assert Counter(point.series for point in points) == {
        "fixed length": 2,
        "conditional exit": number,
        "random exit, same proportions": number,
    }
    assert [(point.gflops, point.value) for point in points[:2]] == [(1.0, 0.5), (2.0, 0.5)]
    assert [point.gflops for point in points[2 : 2 + number]] == [
        point.gflops for point in points[2 + number :]
    ]
    assert {point.series for point in curve_points({"steps": steps, "exits": None}, "top1")} == {
        "fixed length"
    }
