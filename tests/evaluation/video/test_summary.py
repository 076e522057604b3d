"""The content of metrics.json: values, intervals, baselines, warnings."""

import itertools
import json
import logging

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from neurofocus.evaluation.intervals import bootstrap_weights
from neurofocus.evaluation.video.metrics import resampled_map
from neurofocus.evaluation.video.scores import VideoScores, score_videos
from neurofocus.evaluation.video.summary import baselines, measure_names, measure_steps, summarise_videos


def draw(
    seed: int = 0, count: int = 80, classes: int = 8, skill: tuple[float, ...] = (1.0, 3.0)
) -> VideoScores:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, count - classes)])
    values = rng.normal(size=(count, len(skill), classes))
    for step, amount in enumerate(skill):
        values[np.arange(count), step, labels] += amount
    return score_videos([f"v{i:03d}" for i in range(count)], [(int(label),) for label in labels], values)


def test_which_measures() -> None:
    assert measure_names(2, "top1", official=False) == ["top1"]
    assert measure_names(174, "top1", official=False) == ["top1", "top5"]
    assert measure_names(200, "map", official=True) == ["top1", "top5", "map", "map_official"]


def test_every_step_has_values_within_their_intervals() -> None:
    scores = draw()
    names = measure_names(8, "map", official=True)
    found = summarise_videos(scores, list("ABCDEFGH"), [1.5, 4.0], names)
    labels = scores.targets.argmax(1)
    for step, row in enumerate(found["steps"]):
        values = scores.probabilities[:, step]
        assert row["top1"]["value"] == pytest.approx((values.argmax(1) == labels).mean())
        assert row["map"]["value"] == pytest.approx(average_precision_score(scores.targets, values))
        assert row["map_official"]["value"] >= row["map"]["value"]
        for name in names:
            assert 0 <= row[name]["low"] <= row[name]["value"] <= row[name]["high"] <= 1
        widths = [row[name]["high"] - row[name]["low"] for name in ("map", "map_official")]
        assert widths[0] != pytest.approx(widths[1], rel=1e-6)  # each from its own draws
    assert [row["gflops"] for row in found["steps"]] == [1.5, 4.0]
    assert found["pooled"] == {name: found["steps"][1][name] for name in names}
    assert found["steps"][1]["top1"]["low"] > found["steps"][0]["top1"]["high"]
    assert (found["n_videos"], found["warnings"]) == (80, [])
    json.dumps(found, allow_nan=False)


def test_of_steps_that_cost_the_same_the_last_has_an_interval() -> None:
    scores = draw(skill=(0.5, 1.0, 2.0, 3.0))
    found = summarise_videos(scores, list("ABCDEFGH"), [1.0, 1.0, 1.0, 2.0], ["top1", "map"])
    alone = measure_steps(scores, ["top1", "map"])
    for place, row in enumerate(found["steps"]):
        for name in ("top1", "map"):
            kept = alone[place][name] if place >= 2 else {"value": alone[place][name]["value"]}
            assert row[name] == kept


def test_the_result_does_not_depend_on_the_order_of_videos() -> None:
    scores = draw()
    order = np.random.default_rng(5).permutation(80)
    other = VideoScores(
        tuple(scores.cases[i] for i in order), scores.targets[order], scores.probabilities[order]
    )
    for one, two in zip(measure_steps(scores, ["top1"]), measure_steps(other, ["top1"]), strict=True):
        assert one["top1"] == pytest.approx(two["top1"])


def test_absent_classes_are_counted_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    scores = draw()
    kept = ~scores.targets[:, [2, 5]].any(1)
    names = [case for case, keep in zip(scores.cases, kept, strict=True) if keep]
    part = VideoScores(tuple(names), scores.targets[kept], scores.probabilities[kept])
    with caplog.at_level(logging.WARNING, "neurofocus.evaluation"):
        found = summarise_videos(part, list("ABCDEFGH"), [1.0, 2.0], ["map"])
    assert found["absent_classes"] == ["C", "F"]
    assert caplog.text.count("2 of 8 classes have no video here and are left out") == 1
    assert found["warnings"][0].endswith(": C, F")
    present = [k for k in range(8) if k not in (2, 5)]
    expected = average_precision_score(part.targets[:, present], part.probabilities[:, 1][:, present])
    assert found["pooled"]["map"]["value"] == pytest.approx(expected)
    assert summarise_videos(part, list("ABCDEFGH"), [1.0, 2.0], ["top1"])["warnings"] == []


def test_the_baseline_predicts_the_most_frequent_classes() -> None:
    labels = [0] * 2 + [3] * 5 + [4] * 3
    targets = np.eye(6, dtype=bool)[labels]
    found = baselines(targets, ["top1", "top5", "map"])
    assert found["baseline"]["top1"] == 0.5
    assert found["baseline"]["top5"] == 1.0
    # Equal scores for all videos: the average precision of a class is its share.
    assert found["baseline"]["map"] == pytest.approx((0.2 + 0.5 + 0.3) / 3)
    assert found["chance"]["top1"] == pytest.approx(1 / 6)
    assert found["chance"]["top5"] == pytest.approx(5 / 6)


def test_chance_of_several_labels_is_the_share_of_all_guesses() -> None:
    targets = np.array([[1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 0]], dtype=bool)
    found = baselines(targets, ["top1", "top5"])["chance"]
    for name, k in (("top1", 1), ("top5", 5)):
        guesses = list(itertools.combinations(range(7), k))
        expected = np.mean([[row[list(guess)].any() for guess in guesses] for row in targets])
        assert found[name] == pytest.approx(expected)


def test_names_and_costs_must_fit() -> None:
    with pytest.raises(ValueError, match="7 class names and 2 costs for 8 classes and 2 steps"):
        summarise_videos(draw(), list("ABCDEFG"), [1.0, 2.0], ["top1"])


def test_intervals_lie_around_the_value_although_draws_lift_average_precision() -> None:
    """With few videos a class most draws lie above the value: their own percentiles would leave it out."""
    scores = draw(0, 600, 150, (1.5,))
    interval = measure_steps(scores, ["map"])[0]["map"]
    weights = bootstrap_weights(list(scores.cases), scores.targets.argmax(1).tolist(), seed=0, num_draws=200)
    draws = resampled_map(scores.targets, scores.probabilities[:, 0], weights)
    assert np.quantile(draws, 0.025) > interval["value"]
    below, above = interval["value"] - interval["low"], interval["high"] - interval["value"]
    assert below == pytest.approx(above, rel=0.25)
    assert below == pytest.approx(1.96 * draws.std(), rel=0.25)
