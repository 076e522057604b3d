"""What the OASIS readers share: folders of any depth, one table row a session, CDR scores as text."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.delivered import DeliveredTable, find_table, require_table
from neurofocus.ingest.flow import FlowStep, flow_step
from neurofocus.ingest.labels import class_of
from neurofocus.ingest.values import numbers
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = [
    "cdr_texts",
    "check_call",
    "delivered_table",
    "files_below",
    "image_pairs",
    "listed_sessions",
    "optional_table",
    "people_steps",
    "shown_labels",
]

# What stands in empty cells besides nothing: "." in the UDS forms, the rest from spreadsheets.
_BLANK = dict.fromkeys(("", ".", "N/A", "NA", "na", "NaN", "nan", "#N/A"), MISSING)
_VALUES = ("cdr", "group", "age", "sex")


def check_call(root: Path, spec: CohortSpec, rule: str) -> None:
    """Refuse a folder that is not there, and a label rule that this layout cannot follow.

    Raises:
        CohortError: naming the folder or the rule.
    """
    if not root.is_dir():
        raise CohortError(f"{root}: no such folder; give the folder of the OASIS download with --data")
    if spec.label_rule != rule:
        raise CohortError(
            f"cohort {spec.name!r}: label_rule is {spec.label_rule!r}; layout {spec.layout!r} accepts {rule!r} only; "
            "mend the cohort definition"
        )


def files_below(root: Path, *suffixes: str) -> Iterator[Path]:
    """Yield the files below a folder that end in one of the suffixes (case aside), in order of their paths.

    Links to folders are followed, each folder once; hidden files and folders are skipped.
    """
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(suffixes) and not name.startswith("."):
                yield Path(folder) / name


def image_pairs(root: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Return the .hdr files below a folder whose .img lies beside them, and a warning about the others."""
    headers = list(files_below(root, ".hdr"))
    whole = [path for path in headers if path.with_suffix(_image_suffix(path)).is_file()]
    halves = sorted(set(headers) - set(whole))
    if not halves:
        return whole, ()
    return whole, (
        f"{len(halves)} .hdr files without their .img are left out, the first is {halves[0].name}",
    )


def _image_suffix(header: Path) -> str:
    return ".IMG" if header.suffix.isupper() else ".img"


def delivered_table(root: Path, role: str, spec: CohortSpec) -> DeliveredTable:
    """Return a table that the cohort needs; whatever OASIS writes for a missing value is ``n/a``.

    Raises:
        CohortError: if it is not there, or only as an Excel file.
    """
    found = optional_table(root, role, spec)
    return found if found is not None else require_table(root, role, spec.tables[role])


def optional_table(root: Path, role: str, spec: CohortSpec) -> DeliveredTable | None:
    """Return a table that may be there, None if it is not; missing values are ``n/a``.

    Raises:
        CohortError: if it is there as an Excel file only, or the definition does not describe the role.
    """
    if role not in spec.tables:
        raise CohortError(
            f"cohort {spec.name!r}: its definition lacks 'tables.{role}'; copy it from a shipped one"
        )
    found = find_table(root, role, spec.tables[role])
    return None if found is None else replace(found, frame=found.frame.replace(_BLANK))


def listed_sessions(table: DeliveredTable) -> pd.DataFrame:
    """Return cdr, group, age and sex of each listed session, with where each stands; the index is the session.

    Raises:
        CohortError: if a session is listed twice, or a CDR score is no number.
    """
    frame = table.frame
    names = [MISSING if name == MISSING else name.upper() for name in frame["session"]]
    seen: dict[str, int] = {}
    for row, session in enumerate(names):
        if session in seen and session != MISSING:
            first = frame["line"].iloc[seen[session]]
            raise CohortError(
                f"{table.where(row, 'session')}: {session!r} is listed already in row {first}; keep one row a session"
            )
        seen[session] = row
    columns: dict[str, list[str]] = {}
    for name in _VALUES:
        if table.has(name):
            values = cdr_texts(table) if name == "cdr" else list(frame[name])
            sources = table.sources(name)
        else:
            values, sources = [MISSING] * len(frame), [MISSING] * len(frame)
        columns[name] = values
        columns[f"{name}_source"] = [
            source if value != MISSING else MISSING for value, source in zip(values, sources, strict=True)
        ]
    result = pd.DataFrame(columns, index=pd.Index(names, name="session"), dtype=object)
    return result[result.index != MISSING]


def cdr_texts(table: DeliveredTable, column: str = "cdr") -> list[str]:
    """Return Clinical Dementia Ratings as ``0``, ``0.5``, ``1`` … however they are written; ``n/a`` where blank.

    Raises:
        CohortError: naming file, row, column and value of the first that is no number.
    """
    plain = table.frame[column].str.replace(",", ".")
    scores = numbers(replace(table, frame=table.frame.assign(**{column: plain})), column)
    return [MISSING if pd.isna(score) else f"{score:g}" for score in scores]


def people_steps(people: pd.Series, present: pd.Series, spec: CohortSpec) -> list[FlowStep]:
    """Return how many people are listed, and how many of them have no image.

    Args:
        people: diagnosis of each listed person, indexed by the person.
        present: the persons of all images.
        spec: the cohort definition.
    """
    missing = people[~people.index.isin(present)]
    return [
        flow_step("participants listed", shown_labels(people, spec), unit="participants"),
        flow_step("no image", shown_labels(missing, spec), kind="dropped", unit="participants"),
    ]


def shown_labels(diagnoses: pd.Series, spec: CohortSpec) -> list[str]:
    """Return the class of each diagnosis, or the diagnosis itself where no class has it."""
    return [class_of(value, spec) or value for value in diagnoses]
