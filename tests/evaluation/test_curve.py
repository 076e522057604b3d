"""The curve as a table and as a picture, checked by its pixels."""

import io

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from neurofocus.evaluation.curve import CurvePoint, curve_figure, curve_table
from neurofocus.evaluation.figures import DARK, LIGHT, Theme

POINTS = [
    CurvePoint("fixed exit", 20.0, 0.80, 0.78, 0.82),
    CurvePoint("conditional exit", 5.0, 0.70, 0.68, 0.72),
    CurvePoint("fixed exit", 5.0, 0.60, 0.58, 0.62),
    CurvePoint("conditional exit", 15.0, 0.80, 0.78, 0.81),
]


def test_the_table_is_ordered_and_survives_csv() -> None:
    table = curve_table(POINTS, "map")
    assert list(table.columns) == ["series", "gflops", "map", "map_low", "map_high"]
    assert list(table["series"]) == ["fixed exit"] * 2 + ["conditional exit"] * 2
    assert list(table["gflops"]) == [5.0, 20.0, 5.0, 15.0]
    assert list(table["map"]) == [0.60, 0.80, 0.70, 0.80]
    again = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    pd.testing.assert_frame_equal(again, table)


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_lines_run_where_the_points_are(theme: Theme) -> None:
    png = curve_figure(POINTS, "mAP", theme)
    assert curve_figure(POINTS, "mAP", theme) == png
    image = matplotlib.image.imread(io.BytesIO(png))[..., :3]
    np.testing.assert_allclose(image[0, 0], rgb(theme.paper), atol=1 / 255)
    spans = []
    for place in range(2):
        drawn = (np.abs(image - rgb(theme.curves[place])) < 0.02).all(-1)
        drawn[image.shape[0] * 3 // 4 :, image.shape[1] // 2 :] = False  # the legend
        columns = np.flatnonzero(drawn.any(axis=0))
        spans.append((columns[0], columns[-1]))
    (first, last), (other_first, other_last) = spans
    # 5 to 20 GFLOPs on one axis, 5 to 15 on the other; the conditional line has two thirds of the length.
    assert first == pytest.approx(other_first, abs=12)
    assert (other_last - other_first) / (last - first) == pytest.approx(2 / 3, abs=0.04)


def ink(png: bytes) -> np.ndarray:
    return matplotlib.image.imread(io.BytesIO(png))[..., :3]


def test_measures_are_spelled_out_and_a_note_is_red() -> None:
    plain, spelled = curve_figure(POINTS, "top1", LIGHT), curve_figure(POINTS, "top-1 accuracy", LIGHT)
    assert plain == spelled
    noted = curve_figure(POINTS, "top1", LIGHT, note="SYNTHETIC")
    reds = [int((np.abs(ink(png) - rgb("#b3261e")).max(-1) < 0.1).sum()) for png in (plain, noted)]
    assert reds[0] == 0 and reds[1] > 100


def test_shares_beyond_all_are_no_ticks() -> None:
    full = [CurvePoint("a", cost, 1.0, 1.0, 1.0) for cost in (1.0, 2.0)]
    drawn = (np.abs(ink(curve_figure(full, "map", LIGHT)) - rgb(LIGHT.curves[0])) < 0.02).all(-1)
    rows = np.flatnonzero(drawn[:, : drawn.shape[1] // 2].any(axis=1))
    assert rows.mean() < 0.45 * len(drawn)  # above the middle, where matplotlib alone would put it
