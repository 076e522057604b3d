"""Confounds: things that are not the disease but tell the label in this cohort, so that a model may learn them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from neurofocus.ingest.checks.associations import Association, associate, compare, odds_ratio, share_auc
from neurofocus.ingest.checks.findings import Finding
from neurofocus.tables import MISSING

__all__ = ["MAX_D", "MAX_ODDS_RATIO", "MAX_V", "TIED_SHARE", "find_confounds"]

# From these on, and only if chance does not explain it (p below 0.05 over the number of things looked at).
MAX_V = 0.3
MAX_D = 0.5
MAX_ODDS_RATIO = 2.5  # what d = 0.5 is on this scale: exp(0.5 * pi / sqrt(3)), Chinn 2000
TIED_SHARE = 0.95
_TIED_PEOPLE = 5
_ALPHA = 0.05
_SHOWN = 6

# Column -> what to call it. The first group says how an image came about: one value for one label is an alarm.
_PROCESSING = {
    "processing": "processing",
    "description": "series description",
    "axes": "axis order",
    "file_format": "file format",
    "space": "space",
}
_OTHER = {
    "cohort": "cohort",
    "site": "site",
    "field_strength": "field strength",
    "manufacturer": "manufacturer",
    "voxel_mm": "voxel size (mm)",
    "matrix": "matrix",
    "number_type": "number type",
}


@dataclass(frozen=True)
class _People:
    """One row a person; ``alpha`` is the p-value below which chance is ruled out, ``classes`` are in order."""

    rows: pd.DataFrame
    classes: Sequence[str]
    alpha: float


def find_confounds(table: pd.DataFrame, classes: Sequence[str]) -> list[Finding]:
    """Return what tells the label and is not the disease, the loudest first.

    People count, not scans: each by the first row. A value that is missing counts as a value of its own
    (``n/a``): if only one label lacks it, that tells the label too.

    Args:
        table: participant_id, label (index into ``classes``), and any of site, age, sex, field_strength,
            manufacturer, processing, description, space, cohort, axes, file_format, voxel_mm, matrix, number_type.
        classes: names of the labels.
    """
    rows = table.drop_duplicates("participant_id")
    rows = rows.assign(label=[classes[int(number)] for number in rows["label"]])
    present = [name for name in classes if (rows["label"] == name).any()]
    columns = [name for name in (*_PROCESSING, *_OTHER) if name in rows.columns and rows[name].nunique() > 1]
    looked_at = len(columns) + sum(_varies(rows, name) for name in ("age", "sex"))
    if len(present) < 2 or not looked_at:
        return []
    people = _People(rows, present, _ALPHA / looked_at)
    found = [finding for name in columns if (finding := _categorical(people, name)) is not None]
    if _varies(rows, "age"):
        found += _age(people)
    if _varies(rows, "sex"):
        found += _sex(people)
    return sorted(found, key=lambda finding: finding.kind != "tied to the label")


def _varies(rows: pd.DataFrame, name: str) -> bool:
    return name in rows.columns and rows[name].replace(MISSING, np.nan).nunique() > 1


def _categorical(people: _People, name: str) -> Finding | None:
    """Return a finding about one column, the alarm if one of its values belongs to one label."""
    values = people.rows[name].fillna(MISSING).astype(str)
    found = associate(values, people.rows["label"])
    title = (_PROCESSING | _OTHER)[name]
    figures = _figures(name, found, people)
    if name in _PROCESSING and (tied := _tied(people, values, found)):
        return Finding(
            "tied to the label",
            f"TIED TO THE LABEL: {title}: {tied} (Cramér's V {found.v:.2f}, p {found.p:.1g}); a model can answer by "
            f"how the image was made and never look at the brain: use scans with one {title} for all labels. "
            f"{_counts(found, people)}",
            figures,
        )
    if found.v <= MAX_V or found.p >= people.alpha:
        return None
    return Finding(
        "confound",
        f"confound: {title} goes with the label (Cramér's V {found.v:.2f}, {found.test} p {found.p:.1g}): "
        f"{_counts(found, people)}",
        figures,
    )


def _tied(people: _People, values: pd.Series, found: Association) -> str:
    """Return which values belong to one label, such as ``'Scaled' only AD (48 of 48)``; "" if none does."""
    answers = []
    for value, counts in found.counts.iterrows():
        total, most = int(counts.sum()), int(counts.max())
        if total < _TIED_PEOPLE or most < TIED_SHARE * total:
            continue
        label = str(counts.idxmax())
        alone = associate(values == value, people.rows["label"] == label)
        if alone.p < people.alpha:
            answers.append((total, f"{value!r} only {label} ({most} of {total})"))
    return ", ".join(text for _, text in sorted(answers, reverse=True)[:_SHOWN])


def _counts(found: Association, people: _People) -> str:
    """Return the people by value and label, the largest values first: ``'A': CN 43, AD 5; …``."""
    order = found.counts.sum(axis=1).sort_values(ascending=False, kind="stable").index
    parts = [
        f"{value!r}: " + ", ".join(f"{name} {int(found.counts.loc[value, name])}" for name in people.classes)
        for value in order[:_SHOWN]
    ]
    more = f"; and {len(order) - _SHOWN} more values" if len(order) > _SHOWN else ""
    return "; ".join(parts) + more


def _figures(name: str, found: Association, people: _People) -> dict[str, object]:
    counts = {
        str(value): {label: int(row[label]) for label in people.classes}
        for value, row in found.counts.iterrows()
    }
    return {
        "column": name,
        "cramers_v": round(found.v, 4),
        "p": found.p,
        "test": found.test,
        "counts": counts,
    }


def _age(people: _People) -> list[Finding]:
    """Compare ages between every two labels."""
    found = []
    ages = people.rows.assign(age=pd.to_numeric(people.rows["age"], errors="coerce")).dropna(subset=["age"])
    for one, two in combinations(people.classes, 2):
        groups = [ages.loc[ages["label"] == name, "age"] for name in (one, two)]
        if min(len(group) for group in groups) < 2:
            continue
        gap = compare(groups[0], groups[1])
        if abs(gap.d) <= MAX_D or gap.p >= people.alpha:
            continue
        auc = max(gap.auc, 1 - gap.auc)
        found.append(
            Finding(
                "confound",
                f"confound: age goes with the label: {one} {gap.means[0]:.1f} years (n {len(groups[0])}), "
                f"{two} {gap.means[1]:.1f} years (n {len(groups[1])}), Cohen's d {gap.d:+.2f}, p {gap.p:.1g}; "
                f"age alone tells them apart with an AUC of {auc:.2f}: a result must beat that",
                {
                    "column": "age",
                    "labels": [one, two],
                    "cohens_d": round(gap.d, 4),
                    "auc": round(auc, 4),
                    "p": gap.p,
                },
            )
        )
    return found


def _sex(people: _People) -> list[Finding]:
    """Compare the shares of women and men between every two labels."""
    found = []
    for one, two in combinations(people.classes, 2):
        rows = people.rows[people.rows["label"].isin([one, two]) & people.rows["sex"].isin(["F", "M"])]
        if rows["sex"].nunique() < 2 or rows["label"].nunique() < 2:
            continue
        table = associate(rows["sex"], rows["label"])
        counts = table.counts[[one, two]].to_numpy(dtype=np.int64)
        ratio, auc = odds_ratio(counts), share_auc(counts)
        if max(ratio, 1 / ratio) <= MAX_ODDS_RATIO or table.p >= people.alpha:
            continue
        women = [
            f"{name} {counts[0, place]} of {counts[:, place].sum()}" for place, name in enumerate((one, two))
        ]
        found.append(
            Finding(
                "confound",
                f"confound: sex goes with the label: women {', '.join(women)}, odds ratio {ratio:.2f}, "
                f"p {table.p:.1g}; sex alone tells them apart with an AUC of {auc:.2f}",
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
