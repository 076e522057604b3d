"""The tables of a BIDS data set: participants.tsv, and the optional sessions and scans tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.labels import suggest
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING, read_tsv

__all__ = [
    "VALUES",
    "column_names",
    "find_column",
    "read_participants",
    "read_scans",
    "read_sessions",
    "tables_root",
    "with_prefix",
]

# What a table may say about a person, a session or a scan, and the column names met in published data sets, in order
# of preference; compared without case. ``tables.ROLE.columns`` of a cohort definition adds names. The diagnosis has no
# other names here: a column such as diagnosis_bl or group may hold the diagnosis at enrolment.
_ALIASES = {
    "diagnosis": (),
    "age": ("age", "age_bl", "age_at_scan"),
    "sex": ("sex", "gender"),
    "site": ("site", "site_id", "center", "centre"),
    "acq_time": ("acq_time",),
    "cdr_global": ("cdr_global",),
}
VALUES = tuple(_ALIASES)
_LEVELS_UP = 3  # sub-X/ses-Y/anat


def tables_root(root: Path) -> Path:
    """Return the folder that holds participants.tsv: the data set, or the raw set around a derivative.

    Raises:
        CohortError: if neither holds one.
    """
    if not root.is_dir():
        raise CohortError(f"{root}: no such folder; give the folder of a BIDS data set with --data")
    if (root / "participants.tsv").is_file():
        return root
    if root.absolute().parent.name == "derivatives":
        raw = root.absolute().parent.parent
        if (raw / "participants.tsv").is_file():
            return raw
    inside = sorted(entry.name for entry in root.iterdir() if (entry / "participants.tsv").is_file())
    near = [*(root / name for name in inside[:1]), *_with_participants(root.absolute().parents)]
    hint = f"; did you mean {near[0]}?" if near else "; point --data at the folder that holds it"
    raise CohortError(
        f"{root}: no participants.tsv, the table of a BIDS data set with participant_id and diagnosis{hint}"
    )


def _with_participants(folders: Sequence[Path]) -> list[Path]:
    return [folder for folder in folders[:_LEVELS_UP] if (folder / "participants.tsv").is_file()]


def read_participants(folder: Path, spec: CohortSpec) -> pd.DataFrame:
    """Return participants.tsv as text: participant_id ("sub-" always in front), VALUES and where each stands.

    A column that the file lacks is ``n/a`` throughout; ``attrs["has_label"]`` says whether a label column
    is there (the sessions tables may hold it instead) and ``attrs["columns"]`` what the file does have.

    Raises:
        CohortError: if participant_id is missing or empty, or one participant is listed twice.
    """
    path = folder / "participants.tsv"
    frame = read_tsv(path)
    if "participant_id" not in frame.columns:
        near = suggest("participant_id", list(frame.columns))
        raise CohortError(f"{path}: no column 'participant_id'{near}; it has {', '.join(frame.columns)}")
    identifiers = [with_prefix(value, "sub-") for value in frame["participant_id"]]
    seen: dict[str, int] = {}
    for row, identifier in enumerate(identifiers, start=2):
        if identifier == MISSING:
            raise CohortError(f"{path}: row {row} has no participant_id; fill it in or remove the row")
        if identifier in seen:
            raise CohortError(
                f"{path}: participant {identifier!r} is listed twice (rows {seen[identifier]} and {row}); "
                "keep one row a participant, visits belong into sub-X_sessions.tsv"
            )
        seen[identifier] = row
    result = _values(frame, "participants", spec, path.name, {"participant_id": identifiers})
    result.attrs = {"has_label": _has_label(frame, "participants", spec), "columns": list(frame.columns)}
    return result


def read_sessions(folder: Path, participants: list[str], spec: CohortSpec) -> pd.DataFrame:
    """Return all sub-X_sessions.tsv as one table: participant_id, session_id, VALUES and where each stands.

    Empty when the data set has none. ``attrs["has_label"]``: a file has a label column.

    Raises:
        CohortError: if a file has no session_id, or lists a session twice.
    """
    tables = []
    has_label = False
    for participant in participants:
        path = folder / participant / f"{participant}_sessions.tsv"
        if not path.is_file():
            continue
        frame = read_tsv(path)
        if "session_id" not in frame.columns:
            raise CohortError(f"{path}: no column 'session_id'; it has {', '.join(frame.columns)}")
        has_label = has_label or _has_label(frame, "sessions", spec)
        sessions = [with_prefix(value, "ses-") for value in frame["session_id"]]
        twice = sorted({name for name in sessions if sessions.count(name) > 1})
        if twice:
            raise CohortError(f"{path}: session {twice[0]!r} is listed twice; keep one row a session")
        keys = {"participant_id": [participant] * len(sessions), "session_id": sessions}
        tables.append(_values(frame, "sessions", spec, f"{participant}/{path.name}", keys))
    result = pd.concat(tables, ignore_index=True) if tables else _nothing("participant_id", "session_id")
    result.attrs = {"has_label": has_label}
    return result


def read_scans(root: Path, spec: CohortSpec) -> pd.DataFrame:
    """Return all scans tables as one: filename (below the root), VALUES and where each stands.

    Only images of the cohort's suffix count. Empty when the data set has no scans table. ``attrs["has_label"]``:
    a file has a label column.

    Raises:
        CohortError: if a table has no column filename, lists an image that is not on disk, or lists one twice.
    """
    endings = (f"_{spec.suffix}.nii.gz", f"_{spec.suffix}.nii")
    tables: list[pd.DataFrame] = []
    missing: list[tuple[Path, str]] = []
    has_label = False
    for path in sorted([*root.glob("sub-*/sub-*_scans.tsv"), *root.glob("sub-*/ses-*/sub-*_scans.tsv")]):
        frame = read_tsv(path)
        if "filename" not in frame.columns:
            raise CohortError(f"{path}: no column 'filename'; it has {', '.join(frame.columns)}")
        has_label = has_label or _has_label(frame, "scans", spec)
        folder = path.parent.relative_to(root).as_posix()
        frame = frame[frame["filename"].str.endswith(endings)]
        keys = {"filename": [f"{folder}/{name}" for name in frame["filename"]]}
        known = _values(frame, "scans", spec, f"{folder}/{path.name}", keys)
        missing.extend((path, name) for name in known["filename"] if not (root / name).is_file())
        tables.append(known)
    if missing:
        table, name = missing[0]
        raise CohortError(
            f"{table}: column 'filename' lists {name}, which is not on disk ({len(missing)} such files in all); "
            "fetch the images (for example with datalad get) or remove their rows"
        )
    result = pd.concat(tables, ignore_index=True) if tables else _nothing("filename")
    if (twice := result["filename"].duplicated()).any():
        name = result.loc[twice, "filename"].iloc[0]
        raise CohortError(
            f"{root}: {name} is listed twice in scans tables (…_scans.tsv); keep one row a file, in one table"
        )
    result.attrs = {"has_label": has_label}
    return result


def find_column(frame: pd.DataFrame, *names: str) -> str | None:
    """Return the first column of the table that bears one of the names, exactly or but for case."""
    for name in names:
        if name in frame.columns:
            return name
        for column in frame.columns:
            if str(column).lower() == name.lower():
                return str(column)
    return None


def column_names(value: str, role: str, spec: CohortSpec) -> tuple[str, ...]:
    """Return the column names that may hold a value in a table: the label column first, then the definition's."""
    if role == "participants" and value == "acq_time":
        return ()  # a person has no one time of scanning
    own = spec.tables[role].columns.get(value, ()) if role in spec.tables else ()
    first = (spec.label_column,) if value == "diagnosis" else ()
    return (*first, *own, *_ALIASES[value])


def with_prefix(value: str, prefix: str) -> str:
    """Return a BIDS identifier with its prefix, whether the table wrote it or not."""
    return value if value == MISSING or value.startswith(prefix) else prefix + value


def _has_label(frame: pd.DataFrame, role: str, spec: CohortSpec) -> bool:
    return find_column(frame, *column_names("diagnosis", role, spec)) is not None


def _values(
    frame: pd.DataFrame, role: str, spec: CohortSpec, file: str, keys: Mapping[str, list[str]]
) -> pd.DataFrame:
    """Return keys and VALUES, ``n/a`` where the table has no such column, and for each NAME_source as FILE:COLUMN."""
    columns: dict[str, list[str]] = dict(keys)
    for value in VALUES:
        column = find_column(frame, *column_names(value, role, spec))
        columns[value] = [MISSING] * len(frame) if column is None else list(frame[column])
        source = MISSING if column is None else f"{file}:{column}"
        columns[f"{value}_source"] = [source] * len(frame)
    return pd.DataFrame(columns, dtype=object)


def _nothing(*keys: str) -> pd.DataFrame:
    return pd.DataFrame(columns=[*keys, *VALUES, *(f"{value}_source" for value in VALUES)], dtype=object)
