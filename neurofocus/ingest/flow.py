"""What every reader returns: one row a scan, and how the rows came to be (the inclusion flow)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

__all__ = ["COHORT_COLUMNS", "CohortTable", "FlowStep", "flow_step", "flow_table"]

COHORT_COLUMNS = (
    "participant_id",
    "session_id",
    "path",
    "diagnosis",
    "label",
    "age",
    "sex",
    "site",
    "space",
    "orientation",
    "session_order",
    "visit",
    "image_id",
    "description",
    "processing",
    "field_strength",
    "manufacturer",
    "diagnosis_source",
    "age_source",
    "sex_source",
    "site_source",
    "cohort",
)


@dataclass(frozen=True)
class FlowStep:
    """One line of the inclusion flow.

    Attributes:
        step: what happened, in words.
        count: how many participants or scans.
        by_label: the same count by class name; by the delivered value where no class has it.
        kind: "kept" (how many there are now) or "dropped" (how many left, and why).
        unit: what is counted.
    """

    step: str
    count: int
    by_label: Mapping[str, int]
    kind: Literal["kept", "dropped"] = "kept"
    unit: Literal["participants", "scans"] = "scans"


@dataclass(frozen=True)
class CohortTable:
    """A cohort that was read.

    Attributes:
        table: one row a scan, columns ``COHORT_COLUMNS``, sorted by participant and session. ``session_id``
            is "n/a" where the data set has no sessions; ``age`` is float64 (NaN unknown); ``label`` is the
            class index; ``space`` is "template" for scans already in MNI152 space, else "native";
            ``orientation`` is "header", or three letters for files whose header does not say how they are stored;
            ``session_order`` counts the sessions of a participant in the table from 1, by time; ``*_source`` says
            where a value stands (FILE:COLUMN); ``cohort`` is the name of the definition; text is "n/a" where the archive says nothing.
        flow: the inclusion flow in order.
        warnings: what a person should know about the table's values.
    """

    table: pd.DataFrame
    flow: tuple[FlowStep, ...]
    warnings: tuple[str, ...] = ()


def flow_step(
    step: str,
    labels: Iterable[str],
    *,
    kind: Literal["kept", "dropped"] = "kept",
    unit: Literal["participants", "scans"] = "scans",
) -> FlowStep:
    """Return a step that counts one label an item."""
    counts = Counter(labels)
    return FlowStep(step, sum(counts.values()), dict(sorted(counts.items())), kind, unit)


def flow_table(flow: Iterable[FlowStep]) -> pd.DataFrame:
    """Return the flow as a table to print or save: step, kind, unit, count, by_label (as text)."""
    rows = [
        {
            "step": item.step,
            "kind": item.kind,
            "unit": item.unit,
            "count": item.count,
            "by_label": ", ".join(f"{name} {count}" for name, count in item.by_label.items()),
        }
        for item in flow
    ]
    return pd.DataFrame(rows, columns=["step", "kind", "unit", "count", "by_label"])
