"""One scan a session, and the order of a subject's sessions: which one, and why."""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

__all__ = ["first_variant", "natural_key", "session_order"]


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


def session_order(scans: pd.DataFrame) -> pd.Series:
    """Return 1 for each participant's first session, 2 for the next, and so on.

    Sessions go by the order that the table states, where it states one; then by acquisition time where every
    session of the participant has one that can be read (``acq_time``, ISO 8601); then by name with numbers as
    numbers.

    Args:
        scans: columns participant_id, session_id, session_order (0: not stated), acq_time; one row a session.
    """
    groups = scans.groupby("participant_id", sort=False)
    ranks = [pd.Series(_ranks(group), index=group.index) for _, group in groups]
    return (pd.concat(ranks) if ranks else pd.Series(dtype="int64")).reindex(scans.index).astype("int64")


def _ranks(group: pd.DataFrame) -> list[int]:
    """Return the rank from 1 of each row of a participant."""
    times = _times(list(group["acq_time"]))
    names = [natural_key(name) for name in group["session_id"]]
    keys = list(zip(group["session_order"], times, names, strict=True))
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return [order.index(row) + 1 for row in range(len(keys))]


def _times(values: Sequence[str]) -> list[datetime]:
    """Return one time a value; the same for all if any is missing or not ISO 8601, so that names decide."""
    try:
        return [datetime.fromisoformat(value).replace(tzinfo=None) for value in values]
    except ValueError:
        return [datetime.min] * len(values)
