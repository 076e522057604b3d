"""Oracles: scikit-learn, with sample weights where it takes them, and the toolkit's rule video by video."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, top_k_accuracy_score

from neurofocus.evaluation.video.metrics import (
    average_precisions,
    interpolated_average_precisions,
    resampled_accuracy,
    resampled_map,
    top_k_hits,
)


def draw(
    seed: int, count: int = 30, classes: int = 5, *, levels: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Videos of one to three labels; with few levels there are many ties."""
    rng = np.random.default_rng(seed)
    targets = np.zeros((count, classes), dtype=bool)
    for row in targets:
        row[rng.choice(classes, rng.integers(1, 4), replace=False)] = True
    values = rng.random((count, classes)) if levels is None else rng.integers(0, levels, (count, classes))
    return targets, values.astype(np.float64)


def toolkit_ap(positive: np.ndarray, values: np.ndarray) -> float:
    """VOC 2011 as the ActivityNet toolkit states it: one prediction after the other, then the envelope."""
    order = sorted(range(len(values)), key=lambda place: -values[place])
    precision, recall, found = [], [], 0
    for rank, place in enumerate(order, start=1):
        found += bool(positive[place])
        precision.append(found / rank)
        recall.append(found / positive.sum())
    area, reached = 0.0, 0.0
    for place, level in enumerate(recall):
        area += (level - reached) * max(precision[place:])
        reached = level
    return area


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([None, 2, 4]))
def test_every_class_is_scikit_learns_average_precision(seed: int, levels: int | None) -> None:
    targets, values = draw(seed, levels=levels)
    expected = [
        average_precision_score(targets[:, k], values[:, k]) if targets[:, k].any() else np.nan
        for k in range(5)
    ]
    np.testing.assert_allclose(average_precisions(targets, values), expected, rtol=0, atol=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_without_ties_it_is_the_mean_precision_at_the_positives(seed: int) -> None:
    """What the released code computes (non-interpolated), for classes that occur."""
    targets, values = draw(seed)
    for k, found in enumerate(average_precisions(targets, values)):
        ranked = targets[np.argsort(-values[:, k]), k]
        if ranked.any():
            precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
            assert found == pytest.approx(precision[ranked].mean(), abs=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_the_interpolated_precision_is_the_toolkits(seed: int) -> None:
    targets, values = draw(seed)
    found = interpolated_average_precisions(targets, values)
    for k in range(5):
        if targets[:, k].any():
            assert found[k] == pytest.approx(toolkit_ap(targets[:, k], values[:, k]), abs=1e-12)
    assert (np.nan_to_num(found) >= np.nan_to_num(average_precisions(targets, values)) - 1e-12).all()


def test_precision_by_hand() -> None:
    targets = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], dtype=bool)
    values = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    # Class 0 ranks + - - +: (1 + 2/4) / 2. Class 1 ranks - + + -: (1/2 + 2/3) / 2; the envelope lifts 1/2 to 2/3.
    np.testing.assert_allclose(average_precisions(targets, values), [0.75, 7 / 12])
    np.testing.assert_allclose(interpolated_average_precisions(targets, values), [0.75, 2 / 3])


def test_a_class_without_positives_moves_no_other() -> None:
    """The released code renumbers the classes that occur and then reads the wrong columns."""
    targets, values = draw(3)
    wide = np.insert(targets, 2, False, axis=1)
    scores = np.insert(values, 2, 1.0, axis=1)
    for measure in (average_precisions, interpolated_average_precisions):
        found = measure(wide, scores)
        assert np.isnan(found[2])
        np.testing.assert_array_equal(np.delete(found, 2), measure(targets, values))


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([None, 3]))
def test_resampling_is_scikit_learns_sample_weight(seed: int, levels: int | None) -> None:
    targets, values = draw(seed, levels=levels)
    weights = np.random.default_rng(seed + 1).multinomial(30, np.full(30, 1 / 30), size=3).astype(float)
    for found, row in zip(resampled_map(targets, values, weights), weights, strict=True):
        drawn = [k for k in range(5) if row[targets[:, k]].sum() > 0]
        expected = [average_precision_score(targets[:, k], values[:, k], sample_weight=row) for k in drawn]
        assert found == pytest.approx(np.mean(expected), abs=1e-12)


def test_resampling_counts_a_video_as_often_as_it_was_drawn() -> None:
    targets, values = draw(8, levels=6)
    counts = np.random.default_rng(0).integers(0, 3, 30)
    again = np.repeat(np.arange(30), counts)
    found = resampled_map(targets, values, counts[None].astype(float), official=True)
    expected = np.nanmean(interpolated_average_precisions(targets[again], values[again]))
    assert found[0] == pytest.approx(expected, abs=1e-12)


def test_many_draws_are_each_as_one() -> None:
    """More draws than fit into one part."""
    targets, values = draw(5)
    weights = np.random.default_rng(1).integers(0, 4, (450, 30)).astype(float)
    whole = resampled_map(targets, values, weights)
    assert whole.shape == (450,)
    for place in (0, 199, 200, 449):
        assert whole[place] == resampled_map(targets, values, weights[place : place + 1])[0]


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_top_k_is_scikit_learns(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(5), rng.integers(0, 5, 25)])
    values = rng.random((30, 5))
    expected = top_k_accuracy_score(labels, values, k=k, labels=range(5))
    assert top_k_hits(np.eye(5, dtype=bool)[labels], values, k).mean() == pytest.approx(expected)


def test_top_k_of_several_labels_and_of_ties() -> None:
    targets = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 1]], dtype=bool)
    values = np.array([[0.1, 0.2, 0.7], [0.2, 0.2, 0.6], [0.4, 0.4, 0.2]])
    assert top_k_hits(targets, values, 1).tolist() == [True, False, False]
    assert top_k_hits(targets, values, 2).tolist() == [True, True, False]
    assert top_k_hits(targets, values, 3).all()
    hits = top_k_hits(targets, values, 1)
    np.testing.assert_allclose(resampled_accuracy(hits, np.array([[1.0, 1, 1], [2, 1, 0]])), [1 / 3, 2 / 3])


def test_of_many_equal_classes_the_first_come_first() -> None:
    values = np.random.default_rng(0).integers(0, 3, (20, 200)).astype(float)
    for k in (1, 30):
        for row in values:
            best = sorted(range(200), key=lambda place: (-row[place], place))[:k]
            hits = top_k_hits(np.eye(200, dtype=bool), np.tile(row, (200, 1)), k)
            assert np.flatnonzero(hits).tolist() == sorted(best)
