"""One scan a session, one session a subject: which one, and why."""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

__all__ = ["first_session", "first_variant", "natural_key"]


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sorting key that counts numbers as numbers: ses-M6 before ses-M12."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)


def first_variant(scans: pd.DataFrame) -> pd.Series:
    """Mark the scan to use where a session has several: True keeps the row.

    In order: the series that the cohort definition prefers; a scan in template space before a native one; the
    lower ``run`` (none counts as 0); fewer entities in the name (the plainest); then the file name.

    Args:
        scans: columns participant_id, session_id, path, rank (of the series; lower is better), space, run, entities.
    """
    order = scans.assign(
        native=scans["space"] != "template", name=scans["path"].map(lambda path: Path(path).name)
    ).sort_values(["rank", "native", "run", "entities", "name", "path"], kind="stable")
    keep = ~order.duplicated(["participant_id", "session_id"])
    return keep.reindex(scans.index)


def first_session(scans: pd.DataFrame) -> pd.Series:
    """Mark each participant's first session: True keeps the row.

    Sessions go by acquisition time where every session of the participant has one that can be read
    (``acq_time`` of the sessions table, ISO 8601), otherwise by name with numbers as numbers.

    Args:
        scans: columns participant_id, session_id, acq_time; one row a session.
    """
    groups = scans.groupby("participant_id", sort=False)
    masks = [pd.Series(_first_mask(group), index=group.index) for _, group in groups]
    return pd.concat(masks).reindex(scans.index) if masks else pd.Series(True, index=scans.index)


def _first_mask(group: pd.DataFrame) -> list[bool]:
    """Return True for the one row of a participant that is the first session."""
    times = _times(list(group["acq_time"]))
    names = [natural_key(name) for name in group["session_id"]]
    keys = list(zip(times, names, strict=True))
    first = keys.index(min(keys))
    return [row == first for row in range(len(keys))]


def _times(values: Sequence[str]) -> list[datetime]:
    """Return one time a value; the same for all if any is missing or not ISO 8601, so that names decide."""
    try:
        return [datetime.fromisoformat(value).replace(tzinfo=None) for value in values]
    except ValueError:
        return [datetime.min] * len(values)
