"""From delivered diagnosis values to classes: by the cohort definition's list, never by guessing."""

from collections.abc import Sequence

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.schema.cohort import CohortSpec
from neurofocus.schema.load import suggest
from neurofocus.tables import MISSING

__all__ = ["class_of", "describe_values", "refuse_without_labels", "suggest"]


def class_of(value: str, spec: CohortSpec) -> str | None:
    """Return the class that lists exactly this value (spaces around it aside), or None."""
    for name, values in spec.classes.items():
        if value.strip() in values:
            return name
    return None


def refuse_without_labels(diagnoses: pd.Series, spec: CohortSpec, source: str) -> None:
    """Refuse values of which no class lists a single one.

    Args:
        diagnoses: the delivered values, one a scan.
        spec: the cohort definition.
        source: where the values come from, for the message.

    Raises:
        CohortError: naming the values seen with their counts, the values accepted and the next step.
    """
    if any(class_of(value, spec) is not None for value in diagnoses):
        return
    accepted = "; ".join(f"{name}: {_quoted(values)}" for name, values in spec.classes.items())
    known = [value for values in spec.classes.values() for value in values]
    seen = sorted({value for value in diagnoses if value != MISSING})
    near = next((suggest(value, known) for value in seen if suggest(value, known)), "")
    raise CohortError(
        f"{source}: column {spec.label_column!r} holds no value of any class; seen {describe_values(diagnoses)}; "
        f"accepted {accepted}{near}; edit 'classes' or 'label_column' in the cohort definition, or choose another cohort"
    )


def _quoted(values: Sequence[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def describe_values(values: pd.Series, limit: int = 12) -> str:
    """Return values with their counts, most frequent first: ``'MCI' (12), 'n/a' (3)``."""
    counts = values.value_counts()
    shown = [f"'{value}' ({count})" for value, count in counts.head(limit).items()]
    rest = f" and {len(counts) - limit} more" if len(counts) > limit else ""
    return (", ".join(shown) or "nothing") + rest
