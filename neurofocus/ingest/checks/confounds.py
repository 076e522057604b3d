"""Confounds: things that are not the disease but tell the label in this cohort, so that a model may learn them."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from neurofocus.ingest.checks.associations import Association, associate
from neurofocus.ingest.checks.findings import Finding
from neurofocus.ingest.checks.pairs import People, compare_numbers, compare_sexes
from neurofocus.tables import MISSING

__all__ = ["MAX_V", "TIED_SHARE", "find_confounds"]

# From these on, and only if chance does not explain it (p below 0.05 over the number of things looked at).
MAX_V = 0.3
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


def find_confounds(table: pd.DataFrame, classes: Sequence[str]) -> list[Finding]:
    """Return what tells the label and is not the disease, the loudest first.

    People count, not scans: each by the first session. A value that is missing counts as a value of its own
    (``n/a``): if only one label lacks it, that tells the label too.

    Args:
        table: participant_id, label (index into ``classes``), and any of session_order, site, age, sex,
            field_strength, manufacturer, processing, description, space, cohort, axes, file_format, voxel_mm (such
            as ``1.00 x 0.94 x 1.20``), matrix, number_type.
        classes: names of the labels.
    """
    rows = _first_rows(table, classes)
    present = [name for name in classes if (rows["label"] == name).any()]
    columns = [name for name in (*_PROCESSING, *_OTHER) if name in rows.columns and rows[name].nunique() > 1]
    known = {"age": rows["age"].notna(), "sex": rows["sex"].isin(["F", "M"])}
    looked_at = [
        *columns,
        *(name for name in ("age", "volume", "sex") if rows[name].replace(MISSING, np.nan).nunique() > 1),
        *(name for name in known if known[name].nunique() > 1),
    ]
    if len(present) < 2 or not looked_at:
        return []
    people = People(rows, present, _ALPHA / len(looked_at))
    found = [finding for name in columns if (finding := _categorical(people, name)) is not None]
    if not any(finding.figures["column"] == "voxel_mm" for finding in found):
        found += compare_numbers(people, "volume", "voxel_mm")
    found += [*compare_numbers(people, "age", "age"), *compare_sexes(people)]
    found += [finding for name in known if (finding := _known(people, name, known[name])) is not None]
    return sorted(found, key=lambda finding: finding.kind != "tied to the label")


def _first_rows(table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Return one row a person, with the label's name, age and voxel volume as numbers (NaN unknown)."""
    if "session_order" in table.columns:
        order = pd.to_numeric(table["session_order"], errors="coerce").to_numpy()
        table = table.iloc[np.argsort(order, kind="stable")]
    rows = table.drop_duplicates("participant_id")
    blank = pd.Series(MISSING, rows.index)
    return rows.assign(
        label=[classes[int(number)] for number in rows["label"]],
        age=pd.to_numeric(rows.get("age", blank), errors="coerce"),
        sex=rows.get("sex", blank),
        volume=rows.get("voxel_mm", blank).map(_volume),
    )


def _volume(voxel_mm: object) -> float:
    """Return the volume of a voxel ``1.00 x 0.94 x 1.20`` in mm3, NaN if that is not what it says."""
    edges = re.fullmatch(r"([\d.]+) x ([\d.]+) x ([\d.]+)", str(voxel_mm))
    return float("nan") if edges is None else float(np.prod([float(edge) for edge in edges.groups()]))


def _categorical(people: People, name: str) -> Finding | None:
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
        f"{_counts(found, people)}; balance the labels by it, or report results by it",
        figures,
    )


def _known(people: People, name: str, known: pd.Series) -> Finding | None:
    """Return a finding if a value is known of one label more often than of another."""
    if known.nunique() < 2:
        return None
    found = associate(known, people.rows["label"])
    if found.v <= MAX_V or found.p >= people.alpha:
        return None
    shares = []
    for label in people.classes:
        own = known[people.rows["label"] == label]
        shares.append(f"{label} {int(own.sum())} of {len(own)}")
    return Finding(
        "confound",
        f"confound: {name} is known of {', '.join(shares)} (Cramér's V {found.v:.2f}, p {found.p:.1g}), so that labels "
        "are compared by it in part only: fill it in where it is missing",
        _figures(name, found, people),
    )


def _tied(people: People, values: pd.Series, found: Association) -> str:
    """Return which values belong to one label, such as ``'Scaled' only AD (48 of 48)``; "" if none does."""
    answers = []
    candidates = found.counts[found.counts.sum(axis=1) >= _TIED_PEOPLE]
    for value, counts in candidates.iterrows():
        total, most = int(counts.sum()), int(counts.max())
        if most < TIED_SHARE * total:
            continue
        label = str(counts.idxmax())
        alone = associate(values == value, people.rows["label"] == label)
        if alone.p < people.alpha / len(candidates):
            answers.append((total, f"{value!r} only {label} ({most} of {total})"))
    return ", ".join(text for _, text in sorted(answers, reverse=True)[:_SHOWN])


def _counts(found: Association, people: People) -> str:
    """Return the people by value and label, the largest values first: ``'A': CN 43, AD 5; …``."""
    order = found.counts.sum(axis=1).sort_values(ascending=False, kind="stable").index
    parts = [
        f"{value!r}: " + ", ".join(f"{name} {int(found.counts.loc[value, name])}" for name in people.classes)
        for value in order[:_SHOWN]
    ]
    more = f"; and {len(order) - _SHOWN} more values" if len(order) > _SHOWN else ""
    return "; ".join(parts) + more


def _figures(name: str, found: Association, people: People) -> dict[str, object]:
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
