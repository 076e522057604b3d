"""How strongly the label goes together with something that is not the disease: effect sizes and p-values."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "Association",
    "Difference",
    "associate",
    "compare",
    "cramers_v",
    "odds_ratio",
    "share_auc",
]

_PERMUTATIONS = 4999
_SMALL_EXPECTED = 5.0  # Cochran's rule: below it the chi-squared distribution does not hold
_SEED = 20201

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Association:
    """A table of values against labels.

    Attributes:
        counts: people by value (rows) and label (columns).
        v: Cramér's V without its upward bias, 0 (none) to 1 (the value tells the label).
        p: probability of a table as uneven as this if value and label had nothing to do with each other.
        test: "Fisher", "chi-squared" or "permutation".
    """

    counts: pd.DataFrame
    v: float
    p: float
    test: str


@dataclass(frozen=True)
class Difference:
    """A number in two groups.

    Attributes:
        d: Cohen's d, second minus first group over the pooled standard deviation.
        auc: probability that one of the second group has the larger number, ties half.
        p: of the Mann-Whitney U test, two-sided.
        means: of the first and the second group.
    """

    d: float
    auc: float
    p: float
    means: tuple[float, float]


def associate(values: pd.Series, labels: pd.Series) -> Association:
    """Return how values and labels go together, one a person.

    The p-value is Fisher's for 2 x 2 tables, from 4,999 permutations where a cell is expected to hold fewer than
    5 people, else from the chi-squared distribution.
    """
    table = pd.crosstab(values, labels)
    counts = table.to_numpy(dtype=np.int64)
    p, test = _p_value(counts, values, labels)
    return Association(table, cramers_v(counts), p, test)


def compare(first: pd.Series, second: pd.Series) -> Difference:
    """Return how a number differs between two groups of at least two people each, without missing values."""
    from scipy import stats

    one, two = first.to_numpy(dtype=np.float64), second.to_numpy(dtype=np.float64)
    freedom = len(one) + len(two) - 2
    pooled = np.sqrt(((len(one) - 1) * one.var(ddof=1) + (len(two) - 1) * two.var(ddof=1)) / freedom)
    gap = float(two.mean() - one.mean())
    # Two constants that differ: as far apart as numbers can be.
    d = gap / float(pooled) if pooled > 0 else float(np.sign(gap)) * 99.0
    found = stats.mannwhitneyu(two, one, alternative="two-sided")
    auc = float(found.statistic) / (len(one) * len(two))
    return Difference(d, auc, float(found.pvalue), (float(one.mean()), float(two.mean())))


def cramers_v(counts: Counts) -> float:
    """Return Cramér's V corrected for its bias in small and wide tables (Bergsma 2013, doi 10.1016/j.jkss.2012.10.002).

    Args:
        counts: [R, C] with at least two rows and columns, none of them empty.
    """
    total, (rows, columns) = counts.sum(), counts.shape
    phi = max(0.0, _chi_squared(counts) / total - (rows - 1) * (columns - 1) / (total - 1))
    width = min(rows - (rows - 1) ** 2 / (total - 1), columns - (columns - 1) ** 2 / (total - 1)) - 1
    return float(min(1.0, np.sqrt(phi / width))) if width > 0 else 0.0


def odds_ratio(counts: Counts) -> float:
    """Return the odds ratio of a 2 x 2 table; half a person is added to each cell where one is empty (Haldane)."""
    (a, b), (c, d) = counts + (0.5 if (counts == 0).any() else 0.0)
    return float(a * d / (b * c))


def share_auc(counts: Counts) -> float:
    """Return the AUC of telling the columns of a 2 x 2 table apart by its row alone."""
    shares = counts[0] / counts.sum(axis=0)
    return float(0.5 + abs(shares[0] - shares[1]) / 2)


def _p_value(counts: Counts, values: pd.Series, labels: pd.Series) -> tuple[float, str]:
    from scipy import stats

    if counts.shape == (2, 2):
        return float(stats.fisher_exact(counts)[1]), "Fisher"
    expected = _expected(counts)
    if expected.min() >= _SMALL_EXPECTED:
        freedom = (counts.shape[0] - 1) * (counts.shape[1] - 1)
        return float(stats.chi2.sf(_chi_squared(counts), freedom)), "chi-squared"
    return _permutation_p(counts, values, labels), "permutation"


def _permutation_p(counts: Counts, values: pd.Series, labels: pd.Series) -> float:
    """Return the share of shuffled labels whose table is at least as uneven (the table itself counts once)."""
    rows = pd.factorize(values, sort=True)[0]
    columns = pd.factorize(labels, sort=True)[0]
    width, cells = counts.shape[1], counts.size
    weights = 1.0 / _expected(counts).ravel()
    rng = np.random.default_rng(_SEED)
    # The chi-squared statistic is the sum of count² / expected, less a constant: margins never change.
    limit = float((counts.ravel() ** 2 * weights).sum()) * (1 - 1e-12)
    above = 0
    for _ in range(_PERMUTATIONS):
        shuffled = np.bincount(rows * width + rng.permutation(columns), minlength=cells)
        above += float((shuffled**2 * weights).sum()) >= limit
    return (above + 1) / (_PERMUTATIONS + 1)


def _expected(counts: Counts) -> NDArray[np.float64]:
    return np.asarray(np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum(), dtype=np.float64)


def _chi_squared(counts: Counts) -> float:
    expected = _expected(counts)
    return float(((counts - expected) ** 2 / expected).sum())
