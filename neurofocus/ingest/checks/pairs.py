"""Ages, sexes and voxel volumes of every two labels: effect sizes that chance does not explain."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from neurofocus.ingest.checks.associations import associate, compare, odds_ratio, share_auc
from neurofocus.ingest.checks.findings import Finding

__all__ = ["MAX_D", "MAX_ODDS_RATIO", "People", "compare_numbers", "compare_sexes"]

MAX_D = 0.5
MAX_ODDS_RATIO = 2.5  # what d = 0.5 is on this scale: exp(0.5 * pi / sqrt(3)), Chinn 2000
# Column -> what to call it, its unit, digits to show.
_NUMBERS = {"age": ("age", "years", 1), "volume": ("voxel volume", "mm3", 2)}


@dataclass(frozen=True)
class People:
    """One row a person; ``alpha`` is the p-value below which chance is ruled out, ``classes`` are in order."""

    rows: pd.DataFrame
    classes: Sequence[str]
    alpha: float

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every two labels."""
        return list(combinations(self.classes, 2))


def compare_numbers(people: People, name: str, column: str) -> list[Finding]:
    """Return the findings about a number: ``name`` in the rows, told as of ``column``."""
    title, unit, digits = _NUMBERS[name]
    found = []
    rows = people.rows.dropna(subset=[name])
    for one, two in people.pairs:
        groups = [rows.loc[rows["label"] == label, name] for label in (one, two)]
        if min(len(group) for group in groups) < 2:
            continue
        gap = compare(groups[0], groups[1])
        if abs(gap.d) <= MAX_D or gap.p >= people.alpha / len(people.pairs):
            continue
        auc = max(gap.auc, 1 - gap.auc)
        means = ", ".join(
            f"{label} {mean:.{digits}f} {unit} (n {len(group)})"
            for label, mean, group in zip((one, two), gap.means, groups, strict=True)
        )
        found.append(
            Finding(
                "confound",
                f"confound: {title} goes with the label: {means}, Cohen's d {gap.d:+.2f}, p {gap.p:.1g}; "
                f"{title} alone tells them apart with an AUC of {auc:.2f}: a result must beat that",
                {
                    "column": column,
                    "labels": [one, two],
                    "cohens_d": round(gap.d, 4),
                    "auc": round(auc, 4),
                    "p": gap.p,
                },
            )
        )
    return found


def compare_sexes(people: People) -> list[Finding]:
    """Return the findings about the shares of women and men."""
    found = []
    for one, two in people.pairs:
        rows = people.rows[people.rows["label"].isin([one, two]) & people.rows["sex"].isin(["F", "M"])]
        if rows["sex"].nunique() < 2 or rows["label"].nunique() < 2:
            continue
        table = associate(rows["sex"], rows["label"])
        counts = table.counts[[one, two]].to_numpy(dtype=np.int64)
        ratio, auc = odds_ratio(counts), share_auc(counts)
        if max(ratio, 1 / ratio) <= MAX_ODDS_RATIO or table.p >= people.alpha / len(people.pairs):
            continue
        women = [
            f"{name} {counts[0, place]} of {counts[:, place].sum()}" for place, name in enumerate((one, two))
        ]
        found.append(
            Finding(
                "confound",
                f"confound: sex goes with the label: women {', '.join(women)}, odds ratio {ratio:.2f}, "
                f"p {table.p:.1g}; sex alone tells them apart with an AUC of {auc:.2f}: a result must beat that",
                {
                    "column": "sex",
                    "labels": [one, two],
                    "odds_ratio": round(ratio, 4),
                    "auc": round(auc, 4),
                    "p": table.p,
                },
            )
        )
    return found
