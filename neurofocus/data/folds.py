"""Outer folds stratified by label and grouped by subject, with an inner validation part in each."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.tables import read_tsv, write_tsv

__all__ = ["Folds", "Role", "load_folds", "make_folds"]

Role = Literal["train", "validation", "test"]
_ROLES = ("train", "validation", "test")
_KEYS = ["participant_id", "session_id"]


@dataclass(frozen=True)
class Folds:
    """Who trains, validates and is tested in which fold.

    Attributes:
        frame: participant_id, session_id, label, fold (1..N: the fold that tests the row) and
            role_1..role_N ("train", "validation" or "test"); sorted by participant and session.
    """

    frame: pd.DataFrame

    @property
    def num_folds(self) -> int:
        """The number of outer folds N."""
        return sum(name.startswith("role_") for name in self.frame.columns)

    def positions(self, table: pd.DataFrame, fold: int, role: Role) -> npt.NDArray[np.int64]:
        """Return the row positions in a cohort table that play a role in a fold, in the table's order.

        Args:
            table: the cohort table, in any order.
            fold: 1..N.
            role: "train", "validation" or "test".
        """
        if not 1 <= fold <= self.num_folds:
            raise ValueError(f"fold {fold} is not in 1..{self.num_folds}")
        chosen = self.frame.loc[self.frame[f"role_{fold}"] == role, _KEYS]
        wanted = pd.MultiIndex.from_frame(chosen)
        return np.flatnonzero(pd.MultiIndex.from_frame(table[_KEYS]).isin(wanted))

    def save(self, path: Path) -> None:
        """Write folds.tsv atomically."""
        write_tsv(path, self.frame)


def make_folds(table: pd.DataFrame, num_folds: int, validation_fraction: float, seed: int) -> Folds:
    """Draw folds that depend only on the seed and on who is in the table, not on its row order.

    People are dealt, not scans: each counts once, under the label of the first session, so that folds differ by
    at most one person a label however many sessions people have (scikit-learn's StratifiedKFold over people;
    its StratifiedGroupKFold balances scans and can leave a fold without a class). Inside each training part,
    about ``validation_fraction`` of the people of every label validate (at least one, never all).

    Args:
        table: the cohort table (participant_id, session_id, label).
        num_folds: N, at least 2.
        validation_fraction: of each training part, by subject.
        seed: of the run.

    Raises:
        CohortError: if a class has too few participants for so many folds.
    """
    from sklearn.model_selection import StratifiedKFold

    frame = table[[*_KEYS, "label"]].sort_values(_KEYS, ignore_index=True)
    people = frame.drop_duplicates("participant_id")
    _refuse_few(people, num_folds)
    splitter = StratifiedKFold(n_splits=num_folds, shuffle=True, random_state=seed)
    fold_of: dict[str, int] = {}
    for number, (_, test) in enumerate(splitter.split(people, people["label"]), start=1):
        fold_of.update(dict.fromkeys(people["participant_id"].iloc[test], number))
    frame["fold"] = frame["participant_id"].map(fold_of).astype("int64")
    for number in range(1, num_folds + 1):
        frame[f"role_{number}"] = _roles(frame, number, validation_fraction, seed)
    folds = Folds(frame)
    _refuse_incomplete(folds)
    return folds


def load_folds(path: Path, table: pd.DataFrame) -> Folds:
    """Read folds.tsv and make sure that it belongs to this cohort table.

    Raises:
        CohortError: if the cohort changed since the folds were drawn, or the file was edited into a leak.
    """
    frame = read_tsv(path, integers=["label", "fold"])
    roles = [f"role_{number}" for number in range(1, 1 + sum(c.startswith("role_") for c in frame.columns))]
    expected = [*_KEYS, "label", "fold", *roles]
    if list(frame.columns) != expected or len(roles) < 2:
        raise CohortError(
            f"{path}: columns {', '.join(frame.columns)} are not those of a folds table; use --fresh"
        )
    _refuse_changed(path, frame, table)
    _refuse_broken(path, frame, roles)
    return Folds(frame.sort_values(_KEYS, ignore_index=True))


def _roles(frame: pd.DataFrame, number: int, fraction: float, seed: int) -> list[str]:
    """Return each row's role in one fold; whole participants are drawn label by label."""
    people = frame[frame["fold"] != number].drop_duplicates("participant_id")
    rng = np.random.default_rng([seed, number])
    validation: set[str] = set()
    for _, group in people.groupby("label", sort=True):
        names = group["participant_id"].to_numpy()
        count = min(max(round(fraction * len(names)), 1), len(names) - 1)
        validation.update(rng.permutation(names)[: max(count, 0)])
    return [
        "test" if fold == number else "validation" if person in validation else "train"
        for person, fold in zip(frame["participant_id"], frame["fold"], strict=True)
    ]


def _refuse_few(people: pd.DataFrame, num_folds: int) -> None:
    """Every class needs one participant to test in each fold and two more to train and to validate."""
    needed = max(num_folds, 4)
    counts = people["label"].value_counts()
    if len(counts) < 2:
        raise CohortError(
            f"the cohort has participants of {len(counts)} class only (label {list(counts.index)}); "
            "a cross-validation needs at least two, see the inclusion flow"
        )
    if counts.min() < needed:
        label = counts.idxmin()
        raise CohortError(
            f"data.folds={num_folds}: label {label} has {counts.min()} participants, at least {needed} are needed; "
            "use fewer folds (--folds) or more participants"
        )


def _refuse_incomplete(folds: Folds) -> None:
    """Refuse folds in which a role lacks a class (participants with several labels can cause it)."""
    labels = set(folds.frame["label"])
    for number in range(1, folds.num_folds + 1):
        for role in _ROLES:
            present = set(folds.frame.loc[folds.frame[f"role_{number}"] == role, "label"])
            if present != labels:
                raise CohortError(
                    f"fold {number} has no {role} participants with label {sorted(labels - present)}; "
                    "use fewer folds (--folds) or another --seed"
                )


def _refuse_changed(path: Path, frame: pd.DataFrame, table: pd.DataFrame) -> None:
    """Name what differs between the saved folds and the cohort as it is now."""
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


def _refuse_broken(path: Path, frame: pd.DataFrame, roles: list[str]) -> None:
    """Refuse roles that contradict the fold column or divide a participant."""
    for number, column in enumerate(roles, start=1):
        tested = frame["fold"] == number
        known = frame[column].isin(_ROLES)
        divided = frame.groupby("participant_id")[column].nunique().max() > 1
        if not known.all() or ((frame[column] == "test") != tested).any() or divided:
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
