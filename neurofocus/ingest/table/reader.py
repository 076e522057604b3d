"""Any CSV or TSV table with one row a scan, such as the one that ``neurofocus cohort scan`` writes."""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.bids.tables import column_names, with_prefix
from neurofocus.ingest.delivered import DeliveredTable, open_table, require_table
from neurofocus.ingest.flow import flow_step
from neurofocus.ingest.labels import class_of, describe_values
from neurofocus.ingest.scans import SCAN_COLUMNS, FoundScans
from neurofocus.ingest.table.labels import diagnoses
from neurofocus.ingest.values import dates, numbers
from neurofocus.schema.cohort import ORIENTATIONS, CohortSpec, TableSpec
from neurofocus.tables import MISSING

__all__ = ["read_table"]

_SHOWN = 3
_DATE = re.compile(
    r"(19|20)\d{2}[-_/.]?(0[1-9]|1[0-2])[-_/.]?([0-2]\d|3[01])|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}"
)
_TEXTS = (
    "age",
    "sex",
    "site",
    "visit",
    "image_id",
    "description",
    "processing",
    "field_strength",
    "manufacturer",
)


def read_table(data: Path, spec: CohortSpec) -> FoundScans:
    """Read a table with one row a scan.

    Columns go by our names (those of ``SCAN_COLUMNS`` and label) and by the aliases of the role ``scans`` of the
    cohort definition; participant_id and path are needed. Paths count from the table's folder. ``label`` (a
    class, or its position from 0) may stand for ``diagnosis``; where both stand they must agree.

    Args:
        data: the table, or a folder that holds it.
        spec: the cohort definition; of any layout if ``data`` is a file.

    Raises:
        CohortError: naming file, row, column and value of what is missing or unclear.
    """
    role = _role(spec)
    if data.is_file():
        root, table = data.parent, open_table(data, "scans", role)
    else:
        root, table = data, require_table(data, "scans", role)
    if table.frame.empty:
        raise CohortError(f"{data}: the table has no rows; write one row a scan")
    people = _people(table, spec)
    frame = pd.DataFrame(
        {
            "participant_id": people,
            "session_id": _sessions(table, people),
            "path": _paths(table, root),
            "space": _spaces(table),
            "orientation": _orientations(table),
        }
    )
    for name in _TEXTS:
        frame[name] = table.frame[name] if table.has(name) else MISSING
    for name in ("run", "session_order"):
        if table.has(name):
            frame[name] = numbers(table, name).fillna(0).astype("int64")
    if table.has("acq_time"):
        frame["acq_time"] = _times(table)
    frame["diagnosis"], here, warnings = diagnoses(table, spec)
    frame["diagnosis_source"] = _sources(table, frame["diagnosis"], "diagnosis", here)
    for name in ("age", "sex", "site"):
        stands = table.sources(name) if table.has(name) else [MISSING] * len(frame)
        frame[f"{name}_source"] = _sources(table, frame[name], name, stands)
    names = [class_of(value, spec) or value for value in frame["diagnosis"]]
    source = str(root / table.frame["file"].iloc[0])
    return FoundScans(frame, source, (flow_step("scans listed", names),), (*table.warnings, *warnings))


def _role(spec: CohortSpec) -> TableSpec:
    """Return the definition's role ``scans`` with our own column names for whatever it does not name."""
    given = spec.tables.get("scans", TableSpec(files=("*.tsv", "*.csv"), columns={}))
    own = {name: (name,) for name in (*SCAN_COLUMNS, "label")}
    columns = {**own, **given.columns}
    columns["diagnosis"] = (*column_names("diagnosis", "scans", spec), "diagnosis")
    return given.model_copy(update={"columns": columns, "required": ("participant_id", "path")})


def _people(table: DeliveredTable, spec: CohortSpec) -> list[str]:
    """Return participant identifiers with "sub-"; other identifiers lose what is no letter or digit."""
    delivered: dict[str, str] = {}
    result = []
    for row, value in enumerate(table.frame["participant_id"]):
        if value == MISSING:
            raise CohortError(
                f"{table.where(row, 'participant_id')}: empty; say whose scan it is, or remove the row"
            )
        name = _identifier(value, "sub-", spec.participant_prefix)
        if delivered.setdefault(name, value) != value:
            raise CohortError(
                f"{table.where(row, 'participant_id')}: {value!r} and {delivered[name]!r} both become {name!r}; "
                "write one person in one way, and two people in different letters or digits"
            )
        result.append(name)
    return result


def _sessions(table: DeliveredTable, people: Sequence[str]) -> list[str]:
    """Return session identifiers with "ses-"; dates are refused, for they help to identify people."""
    if not table.has("session_id"):
        return [MISSING] * len(people)
    delivered: dict[tuple[str, str], str] = {}
    result = []
    for row, (person, value) in enumerate(zip(people, table.frame["session_id"], strict=True)):
        where = table.where(row, "session_id")
        if _DATE.search(value.removeprefix("ses-")):
            raise CohortError(
                f"{where}: holds {value!r}, a date, which helps to identify people; name visits (m00, m12), and "
                "give dates in a column acq_time, from which only their order is kept"
            )
        name = _identifier(value, "ses-", "") if value != MISSING else MISSING
        if delivered.setdefault((person, name), value) != value:
            raise CohortError(
                f"{where}: {value!r} and {delivered[person, name]!r} of {person} both become {name!r}; write one "
                "visit in one way, and two visits in different letters or digits"
            )
        result.append(name)
    return result


def _times(table: DeliveredTable) -> list[str]:
    """Return acquisition times as ISO 8601, from that or from the usual dates."""
    texts = list(table.frame["acq_time"])
    try:
        for text in texts:
            if text != MISSING:
                datetime.fromisoformat(text)
    except ValueError:
        return [MISSING if pd.isna(time) else time.isoformat() for time in dates(table, "acq_time")]
    return texts


def _identifier(value: str, prefix: str, more: str) -> str:
    if value.startswith(prefix) and re.fullmatch(r"[A-Za-z0-9._+-]+", value):
        return value
    return with_prefix(more + re.sub(r"[^A-Za-z0-9]", "", value.removeprefix(prefix)), prefix)


def _paths(table: DeliveredTable, root: Path) -> list[str]:
    """Return absolute paths of files or of folders of DICOM series."""
    paths, missing = [], []
    for row, (value, file) in enumerate(zip(table.frame["path"], table.frame["file"], strict=True)):
        path = (root / file).parent / value
        if value == MISSING or not path.exists():
            missing.append(f"row {table.frame['line'].iloc[row]}: {value}")
        paths.append(str(path.absolute()))
    if missing:
        more = ", …" if len(missing) > _SHOWN else ""
        raise CohortError(
            f"{table.frame['file'].iloc[0]}: column 'path': {len(missing)} of {len(paths)} files are "
            f"not there ({', '.join(missing[:_SHOWN])}{more}); paths count from the table's folder; mend them or "
            "remove the rows"
        )
    return paths


def _spaces(table: DeliveredTable) -> list[str]:
    if not table.has("space"):
        return ["native"] * len(table.frame)
    result = []
    for row, value in enumerate(table.frame["space"]):
        if value in ("native", MISSING):
            result.append("native")
        elif value == "template" or value.startswith("MNI152"):
            result.append("template")
        else:
            raise CohortError(
                f"{table.where(row, 'space')}: holds {value!r} (all: {describe_values(table.frame['space'])}); accepted "
                "are native, template and names that begin with MNI152 (already in that space: not registered again)"
            )
    return result


def _orientations(table: DeliveredTable) -> list[str]:
    if not table.has("orientation"):
        return ["header"] * len(table.frame)
    result = []
    for row, value in enumerate(table.frame["orientation"]):
        if value not in ("header", MISSING) and value not in ORIENTATIONS:
            raise CohortError(
                f"{table.where(row, 'orientation')}: holds {value!r}; accepted are header, and three letters that say "
                "where the voxel axes run to, such as RAS or ASL"
            )
        result.append("header" if value == MISSING else value)
    return result


def _sources(table: DeliveredTable, values: pd.Series, name: str, here: Sequence[str]) -> list[str]:
    """Return where the values stand: as the table itself says if it has such a column, else in the table."""
    if table.has(f"{name}_source"):
        return list(table.frame[f"{name}_source"])
    return [own if value != MISSING else MISSING for own, value in zip(here, values, strict=True)]
