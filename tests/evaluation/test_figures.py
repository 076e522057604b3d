"""Pictures are checked by their pixels: what is drawn is where it should be."""

import io

import matplotlib.image
import numpy as np
import pytest

from neurofocus.evaluation.figures import (
    DARK,
    LIGHT,
    FrameStrip,
    calibration_figure,
    frames_figure,
    roc_figure,
)
from neurofocus.evaluation.metrics import Scores


def pixels(png: bytes) -> np.ndarray:
    assert png.startswith(b"\x89PNG")
    assert b"Software" not in png
    return matplotlib.image.imread(io.BytesIO(png))[..., :3]


@pytest.fixture(params=[2, 3])
def scores(request: pytest.FixtureRequest) -> Scores:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(60) % request.param)
    probabilities = rng.dirichlet(np.ones(request.param), 60)
    return Scores(labels, probabilities.argmax(axis=1), probabilities)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_curves_follow_the_theme_and_are_reproducible(scores: Scores, theme: object) -> None:
    names = ["A", "B", "C"][: scores.num_classes]
    folds = np.arange(60) % 5
    for draw in (
        lambda: roc_figure(scores, folds, names, theme),
        lambda: calibration_figure(scores, names, theme),
    ):
        png = draw()
        paper = np.array([int(theme.paper[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        np.testing.assert_allclose(pixels(png)[0, 0], paper, atol=1 / 255)
        assert draw() == png


def test_a_fold_with_one_class_is_not_drawn_and_does_not_fail() -> None:
    labels = np.array([0, 1, 0, 1, 1, 1])
    positive = np.array([0.2, 0.7, 0.6, 0.4, 0.9, 0.8])
    scores = Scores(labels, (positive > 0.5).astype(np.int64), np.stack([1 - positive, positive], axis=1))
    assert pixels(roc_figure(scores, np.array([1, 1, 1, 1, 2, 2]), ["A", "B"], LIGHT)).std() > 0


def test_boxes_lie_where_they_should() -> None:
    frames = np.ones((1, 100, 100))
    frames[0, 40:60, 40:60] = 2.0
    box = np.array([[30.0, 70.0, 20.0, 40.0]])  # x 10..50, y 60..80
    image = pixels(frames_figure(FrameStrip(frames, box, ["y = 0 mm"])))
    blue = (image[..., 2] > 0.8) & (image[..., 0] < 0.4)
    rows, columns = np.flatnonzero(blue.any(axis=1)), np.flatnonzero(blue.any(axis=0))
    white = image[..., 0] > 0.5
    side = columns[-1] - columns[0]
    assert (rows[-1] - rows[0]) / side == pytest.approx(0.5, abs=0.04)
    # The white square spans 20 of 100 pixels from x = 40, y = 40: half of the box's width, one edge on its right.
    square = np.flatnonzero(white[: rows[0] - 4, :].sum(axis=0) > 20)
    assert (square[-1] - square[0]) / side == pytest.approx(0.5, abs=0.05)
    assert square[0] + side / 4 == pytest.approx(columns[-1], abs=3)


def test_many_frames_take_several_rows() -> None:
    frames = np.random.default_rng(0).normal(size=(11, 20, 20))
    boxes = np.tile([10.0, 10.0, 8.0, 8.0], (11, 1))
    one = pixels(frames_figure(FrameStrip(frames[:8], boxes[:8], ["a"] * 8, ("L", "R", "I", "S"))))
    two = pixels(frames_figure(FrameStrip(frames, boxes, ["a"] * 11)))
    assert two.shape[0] == pytest.approx(2 * one.shape[0], abs=2)
    assert two.shape[1] == one.shape[1]


def test_frames_and_boxes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\[F, 4\]"):
        FrameStrip(np.zeros((2, 5, 5)), np.zeros((1, 4)), ["a", "b"])
