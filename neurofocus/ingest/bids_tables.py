"""The tables of a BIDS data set: participants.tsv, and the optional sessions and scans tables."""

from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.labels import suggest
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING, read_tsv

__all__ = ["check_listed_scans", "find_column", "read_participants", "read_sessions", "tables_root"]

# Column names met in published data sets, in order of preference; compared without case.
_ALIASES = {
    "age": ("age", "age_bl", "age_at_scan"),
    "sex": ("sex", "gender"),
    "site": ("site", "site_id", "center", "centre"),
    "acq_time": ("acq_time",),
}


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
    hint = f"; did you mean {root / inside[0]}?" if inside else "; point --data at the folder that holds it"
    raise CohortError(
        f"{root}: no participants.tsv, the table of a BIDS data set with participant_id and diagnosis{hint}"
    )


def read_participants(folder: Path, spec: CohortSpec) -> pd.DataFrame:
    """Return participants.tsv as text: participant_id ("sub-" always in front), diagnosis, age, sex, site.

    A column that the file lacks is ``n/a`` throughout; ``attrs["has_label"]`` says whether the label column
    is there (the sessions tables may hold it instead) and ``attrs["columns"]`` what the file does have.

    Raises:
        CohortError: if participant_id is missing or empty, or one participant is listed twice.
    """
    path = folder / "participants.tsv"
    frame = read_tsv(path)
    if "participant_id" not in frame.columns:
        near = suggest("participant_id", list(frame.columns))
        raise CohortError(f"{path}: no column 'participant_id'{near}; it has {', '.join(frame.columns)}")
    identifiers = [_with_prefix(value, "sub-") for value in frame["participant_id"]]
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
    result = _known_columns(frame, spec)
    result.insert(0, "participant_id", identifiers)
    result.attrs = {
        "has_label": find_column(frame, spec.label_column) is not None,
        "columns": list(frame.columns),
    }
    return result


def read_sessions(folder: Path, participants: list[str], spec: CohortSpec) -> pd.DataFrame:
    """Return all sub-X_sessions.tsv as one table: participant_id, session_id, diagnosis, age, sex, site, acq_time.

    Empty when the data set has none. ``attrs["has_label"]``: a file has the label column.

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
        has_label = has_label or find_column(frame, spec.label_column) is not None
        sessions = [_with_prefix(value, "ses-") for value in frame["session_id"]]
        twice = sorted({name for name in sessions if sessions.count(name) > 1})
        if twice:
            raise CohortError(f"{path}: session {twice[0]!r} is listed twice; keep one row a session")
        known = _known_columns(frame, spec)
        known.insert(0, "session_id", sessions)
        known.insert(0, "participant_id", participant)
        tables.append(known)
    columns = ["participant_id", "session_id", "diagnosis", *_ALIASES]
    result = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns, dtype=object)
    result.attrs = {"has_label": has_label}
    return result


def check_listed_scans(root: Path, suffix: str) -> None:
    """Refuse a scans table that lists an image of this suffix which is not on disk.

    Raises:
        CohortError: naming the table, the file and the number of such files.
    """
    endings = (f"_{suffix}.nii.gz", f"_{suffix}.nii")
    missing: list[tuple[Path, str]] = []
    for path in sorted([*root.glob("sub-*/sub-*_scans.tsv"), *root.glob("sub-*/ses-*/sub-*_scans.tsv")]):
        frame = read_tsv(path)
        if "filename" not in frame.columns:
            raise CohortError(f"{path}: no column 'filename'; it has {', '.join(frame.columns)}")
        listed = [name for name in frame["filename"] if name.endswith(endings)]
        missing.extend((path, name) for name in listed if not (path.parent / name).is_file())
    if missing:
        table, name = missing[0]
        raise CohortError(
            f"{table}: column 'filename' lists {name}, which is not on disk ({len(missing)} such files in all); "
            "fetch the images (for example with datalad get) or remove their rows"
        )


def find_column(frame: pd.DataFrame, *names: str) -> str | None:
    """Return the first column of the table that bears one of the names, exactly or but for case."""
    for name in names:
        if name in frame.columns:
            return name
        for column in frame.columns:
            if str(column).lower() == name.lower():
                return str(column)
    return None


def _known_columns(frame: pd.DataFrame, spec: CohortSpec) -> pd.DataFrame:
    """Return diagnosis, age, sex, site and acq_time, ``n/a`` where the table has no such column."""
    wanted = {"diagnosis": (spec.label_column,), **_ALIASES}
    result = pd.DataFrame(index=frame.index)
    for target, names in wanted.items():
        column = find_column(frame, *names)
        result[target] = MISSING if column is None else frame[column]
    return result


def _with_prefix(value: str, prefix: str) -> str:
    """Return a BIDS identifier with its prefix, whether the table wrote it or not."""
    return value if value == MISSING or value.startswith(prefix) else prefix + value
