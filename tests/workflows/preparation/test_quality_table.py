"""Robust z-scores and the rows of quality.tsv."""

from typing import Any

import numpy as np
import pytest

from neurofocus.data.scan_quality import MEASURES
from neurofocus.workflows.preparation.quality_table import quality_table, robust_z


def record(number: int, **measures: float | None) -> dict[str, Any]:
    usual: dict[str, float | None] = {name: 1.0 + 0.01 * (number % 5) for name in MEASURES}
    return {
        "participant_id": f"sub-{number:02d}",
        "session_id": "n/a",
        "source": {"space": "native"},
        "measures": {**usual, **measures},
        "warnings": [],
    }


def test_robust_z_by_hand() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 100.0])
    # median 5, absolute deviations 4 3 2 1 0 1 2 3 95 -> median 2
    expected = (values - 5.0) / (1.4826 * 2.0)
    np.testing.assert_allclose(robust_z(values), expected)


def test_robust_z_of_mostly_equal_few_or_unknown_values() -> None:
    values = np.array([1.0] * 9 + [2.0])
    assert robust_z(values)[-1] == pytest.approx(1.0 / (1.2533 * 0.1))
    assert not robust_z(np.ones(20)).any()
    assert not robust_z(np.array([1.0, 2.0, 90.0])).any(), "too few to say"
    found = robust_z(np.array([np.nan, *range(10)]))
    assert np.isnan(found[0])
    assert np.isfinite(found[1:]).all()


def test_only_the_suspicious_side_counts() -> None:
    records = [record(number) for number in range(20)]
    records[3] = record(3, noise_percent=9.0)
    records[4] = record(4, noise_percent=0.1)
    records[5] = record(5, template_ncc=0.1, affine_determinant=3.0)
    records[6] = record(6, mask_dice=None)
    table = quality_table(records, ["AD"] * 20)
    assert table["outlier_measures"][3].startswith("noise_percent ")
    assert table["outlier_measures"][4] == "n/a", "little noise is no fault"
    assert table["outlier_measures"][5].startswith("affine_determinant ")
    assert "template_ncc" in table["outlier_measures"][5]
    assert np.isnan(table["mask_dice"][6])
    assert table["outlier_score"][3] > table["outlier_score"][5] > 3.5
    assert table["outlier_score"][4] < 3.5
    assert list(table["label"]) == ["AD"] * 20
