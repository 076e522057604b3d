"""Folds that must not be used: too few people, a part without a class, another cohort, edited by hand."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError

__all__ = ["refuse_broken", "refuse_changed", "refuse_few", "refuse_incomplete"]

_ROLES = ("train", "validation", "test")
_UNUSED = "unused"


def refuse_few(people: pd.DataFrame, num_folds: int) -> None:
    """Every class needs one participant to test in each fold and two more to train and to validate.

    Args:
        people: one row a participant: label.
        num_folds: to be drawn.

    Raises:
        CohortError: naming the class that is too small.
    """
    needed = max(num_folds, 4)
    counts = people["label"].value_counts()
    if len(counts) < 2:
        raise CohortError(
            f"the cohort has participants of {len(counts)} class only (label {list(counts.index)}, counted from 0); "
            "a cross-validation needs at least two; 'neurofocus cohort scan' shows who left and why"
        )
    if counts.min() < needed:
        label = counts.idxmin()
        fewer = "use fewer folds (--folds) or more participants" if num_folds > 4 else "use more participants"
        raise CohortError(
            f"data.folds={num_folds}: label {label} (classes count from 0) has {counts.min()} participants, at least "
            f"{needed} are needed; {fewer}; 'neurofocus cohort scan' shows who left and why"
        )


def refuse_incomplete(frame: pd.DataFrame, num_folds: int) -> None:
    """Refuse folds in which a role lacks a class (participants with several labels, or small sites, can cause it).

    Args:
        frame: ``Folds.frame``.
        num_folds: N.

    Raises:
        CohortError: naming the fold, the role and the labels.
    """
    labels = set(frame["label"])
    for number in range(1, num_folds + 1):
        for role in _ROLES:
            present = set(frame.loc[frame[f"role_{number}"] == role, "label"])
            if present != labels:
                raise CohortError(
                    f"fold {number} has no {role} participants with label {sorted(labels - present)}; "
                    "use fewer folds (--folds) or another --seed"
                )


def refuse_changed(path: Path, frame: pd.DataFrame, table: pd.DataFrame) -> None:
    """Name what differs between the saved folds and the cohort as it is now.

    Args:
        path: of the saved folds, for the message.
        frame: the saved folds.
        table: the cohort table.

    Raises:
        CohortError: if anything differs.
    """
    saved = _labelled(frame)
    now = _labelled(table)
    reasons = []
    if gone := saved.keys() - now.keys():
        reasons.append(f"{len(gone)} scans are gone ({_first(gone)})")
    if new := now.keys() - saved.keys():
        reasons.append(f"{len(new)} scans are new ({_first(new)})")
    if changed := {key for key in saved.keys() & now.keys() if saved[key] != now[key]}:
        reasons.append(f"{len(changed)} labels changed ({_first(changed)})")
    if reasons:
        raise CohortError(
            f"{path}: the cohort changed since these folds were drawn: {'; '.join(reasons)}; "
            "restore the data, choose another --out, or start over with --fresh"
        )


def refuse_broken(path: Path, frame: pd.DataFrame, roles: list[str]) -> None:
    """Refuse roles that contradict the fold column, divide a participant, or leave one untested.

    Args:
        path: of the saved folds, for the message.
        frame: the saved folds.
        roles: their role columns, fold by fold.

    Raises:
        CohortError: naming the column that was changed.
    """
    people = frame["participant_id"]
    for number, column in enumerate(roles, start=1):
        role, tested = frame[column], frame["fold"] == number
        known = role.isin((*_ROLES, _UNUSED))
        used = role.where(role != _UNUSED)
        divided = used.groupby(people).nunique().max() > 1
        misplaced = (role == "test") & ~tested | tested & ~role.isin(("test", _UNUSED))
        untested = set(people[tested]) - set(people[role == "test"])
        if not known.all() or misplaced.any() or divided or untested:
            raise CohortError(f"{path}: column {column!r} was changed by hand; start over with --fresh")
    if not frame["fold"].isin(range(1, len(roles) + 1)).all():
        raise CohortError(f"{path}: column 'fold' must hold 1..{len(roles)}; start over with --fresh")


def _labelled(frame: pd.DataFrame) -> dict[tuple[str, str], int]:
    return {
        (str(person), str(session)): int(label)
        for person, session, label in zip(
            frame["participant_id"], frame["session_id"], frame["label"], strict=True
        )
    }


def _first(keys: Iterable[tuple[str, str]]) -> str:
    """Return the first key in words, sessions only where there are some."""
    person, session = min(keys)
    return person if session == "n/a" else f"{person} {session}"
