"""Effect sizes by hand and against scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from neurofocus.ingest.checks.associations import associate, compare, cramers_v, odds_ratio, share_auc


def rows(counts: list[list[int]]) -> tuple[pd.Series, pd.Series]:
    """Return one value and one label a person from a table of counts."""
    pairs = [
        (f"v{i}", f"l{j}") for i, line in enumerate(counts) for j, n in enumerate(line) for _ in range(n)
    ]
    frame = pd.DataFrame(pairs, columns=["value", "label"]).sample(frac=1, random_state=0, ignore_index=True)
    return frame["value"], frame["label"]


def test_cramers_v_by_hand() -> None:
    """40, 10 / 10, 40: chi² = 36, phi² = 0.36 - 1/99, width = 2 - 1/99 - 1."""
    expected = np.sqrt((0.36 - 1 / 99) / (1 - 1 / 99))
    assert cramers_v(np.array([[40, 10], [10, 40]])) == pytest.approx(expected)
    assert cramers_v(np.array([[8, 0], [0, 8]])) == pytest.approx(1.0)
    assert cramers_v(np.array([[8, 8], [8, 8]])) == 0.0


def test_cramers_v_of_many_small_values_is_not_inflated() -> None:
    """Sites of two people each, one a label: the plain V of chance tables would be large."""
    rng = np.random.default_rng(0)
    values, labels = pd.Series(np.repeat(np.arange(40), 2)), pd.Series(rng.permutation([0, 1] * 40))
    found = associate(values, labels)
    plain = stats.contingency.association(found.counts.to_numpy())
    assert plain > 0.5
    assert found.v < 0.3
    assert found.p > 0.05


def test_fisher_for_two_by_two() -> None:
    found = associate(*rows([[12, 3], [4, 11]]))
    assert found.test == "Fisher"
    assert found.p == pytest.approx(stats.fisher_exact([[12, 3], [4, 11]])[1])
    assert found.counts.to_numpy().tolist() == [[12, 3], [4, 11]]


def test_chi_squared_where_cells_are_full() -> None:
    counts = [[20, 10, 15], [10, 22, 13]]
    found = associate(*rows(counts))
    assert found.test == "chi-squared"
    assert found.p == pytest.approx(stats.chi2_contingency(counts, correction=False).pvalue)


def test_permutation_where_cells_are_few() -> None:
    """Three values, one a label each, two people each: 6! / 2!³ = 90 tables, 6 of them as uneven."""
    found = associate(*rows([[2, 0, 0], [0, 2, 0], [0, 0, 2]]))
    assert found.test == "permutation"
    assert found.p == pytest.approx(6 / 90, abs=0.01)
    assert associate(*rows([[2, 0, 0], [0, 2, 0], [0, 0, 2]])).p == found.p  # seeded


def test_values_of_one_person_each_tell_nothing() -> None:
    found = associate(pd.Series(range(12)), pd.Series([0, 1] * 6))
    assert found.p == 1.0
    assert found.v == 0.0


def test_difference_by_hand() -> None:
    """Means 2 and 5, both variances 1: d = 3; every one of the second is larger."""
    found = compare(pd.Series([1.0, 2.0, 3.0]), pd.Series([4.0, 5.0, 6.0]))
    assert found.d == pytest.approx(3.0)
    assert found.auc == 1.0
    assert found.means == (2.0, 5.0)
    assert found.p == pytest.approx(0.1)  # 2 of 20 orders
    assert compare(pd.Series([4.0, 5.0, 6.0]), pd.Series([1.0, 2.0, 3.0])).d == pytest.approx(-3.0)


def test_auc_counts_ties_half() -> None:
    assert compare(pd.Series([1.0, 2.0]), pd.Series([2.0, 3.0])).auc == pytest.approx(3.5 / 4)


def test_constants() -> None:
    assert compare(pd.Series([60.0, 60.0]), pd.Series([70.0, 70.0])).d == 99.0
    assert compare(pd.Series([60.0, 60.0]), pd.Series([60.0, 60.0])).d == 0.0


def test_odds_ratio_and_auc_by_hand() -> None:
    counts = np.array([[30, 10], [10, 30]])
    assert odds_ratio(counts) == pytest.approx(9.0)
    assert share_auc(counts) == pytest.approx(0.75)
    assert odds_ratio(np.array([[5, 0], [5, 10]])) == pytest.approx(5.5 * 10.5 / (0.5 * 5.5))
