"""Labels of a table of scans: a diagnosis, a class, or the position of a class."""

from neurofocus.errors import CohortError
from neurofocus.ingest.bids.tables import column_names
from neurofocus.ingest.delivered import DeliveredTable
from neurofocus.ingest.labels import class_of, describe_values
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["diagnoses"]


def diagnoses(table: DeliveredTable, spec: CohortSpec) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Return the diagnosis of every row, from its label where it has none.

    Args:
        table: columns diagnosis and label (a class, or its position from 0), or one of them.
        spec: the cohort definition.

    Returns:
        The diagnoses, where each stands, and a warning if labels were read by position.

    Raises:
        CohortError: if there is neither column, a label is no class, or a label contradicts its diagnosis.
    """
    given = _given_diagnoses(table, spec)
    if not table.has("label"):
        return given, table.sources("diagnosis"), ()
    told = [_class_told(table, row, spec) for row in range(len(given))]
    for row, (diagnosis, name) in enumerate(zip(given, told, strict=True)):
        if MISSING not in (name, diagnosis) and class_of(diagnosis, spec) != name:
            raise CohortError(
                f"{table.where(row, 'label')}: {table.frame['label'].iloc[row]!r} means {name}, but "
                f"{spec.label_column!r} says {diagnosis!r}, which is of class {class_of(diagnosis, spec) or 'none'}; "
                "mend the row, remove one of the two columns, or use the cohort definition that made the table"
            )
    stands = table.sources("diagnosis") if table.has("diagnosis") else table.sources("label")
    by_label = [diagnosis == MISSING != name for diagnosis, name in zip(given, told, strict=True)]
    sources = [
        label if use else own
        for use, label, own in zip(by_label, table.sources("label"), stands, strict=True)
    ]
    result = [
        spec.classes[name][0] if use else diagnosis
        for use, name, diagnosis in zip(by_label, told, given, strict=True)
    ]
    positions = [
        use and text not in spec.classes for use, text in zip(by_label, table.frame["label"], strict=True)
    ]
    meanings = ", ".join(f"{number} as {name}" for number, name in enumerate(spec.classes))
    return result, sources, ((f"column 'label' is read by position: {meanings}",) if any(positions) else ())


def _given_diagnoses(table: DeliveredTable, spec: CohortSpec) -> list[str]:
    if table.has("diagnosis"):
        wanted = [name.lower() for name in column_names("diagnosis", "scans", spec)]
        # The column that our own tables call diagnosis holds what the label column held.
        if next(iter(table.delivered.values()))["diagnosis"].lower() in wanted or table.has(
            "diagnosis_source"
        ):
            return list(table.frame["diagnosis"])
    if table.has("label"):
        return [MISSING] * len(table.frame)
    raise CohortError(
        f"{table.frame['file'].iloc[0]}: no column {spec.label_column!r} and no column 'label'; "
        "set 'label_column' in the cohort definition"
    )


def _class_told(table: DeliveredTable, row: int, spec: CohortSpec) -> str:
    """Return the class that a label names or numbers, or n/a."""
    label = table.frame["label"].iloc[row]
    classes = list(spec.classes)
    if label in (*classes, MISSING):
        return str(label)
    if label.isdecimal() and int(label) < len(classes):
        return classes[int(label)]
    raise CohortError(
        f"{table.where(row, 'label')}: holds {label!r} (all: {describe_values(table.frame['label'])}); accepted are "
        f"{', '.join(classes)}, or 0 to {len(classes) - 1} in this order"
    )
