"""Outer folds of people, with an inner validation part in each: by label, by site, or as somebody else drew them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from neurofocus.data.folds_check import refuse_broken, refuse_changed, refuse_few, refuse_incomplete
from neurofocus.data.folds_roles import KEYS, draw_roles, first_sessions, sorted_scans
from neurofocus.data.sites import site_groups
from neurofocus.errors import CohortError
from neurofocus.tables import read_tsv, write_tsv

__all__ = ["Folds", "Role", "SessionRule", "given_folds", "load_folds", "make_folds", "site_folds"]

Role = Literal["train", "validation", "test", "unused"]
SessionRule = Literal["first", "first_scored", "all"]


@dataclass(frozen=True)
class Folds:
    """Who trains, validates and is tested in which fold.

    Attributes:
        frame: participant_id, session_id, label, fold (1..N: the fold that tests the person) and
            role_1..role_N ("train", "validation", "test" or "unused"); sorted by participant and session.
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
            role: "train", "validation", "test" or "unused".
        """
        if not 1 <= fold <= self.num_folds:
            raise ValueError(f"fold {fold} is not in 1..{self.num_folds}")
        chosen = self.frame.loc[self.frame[f"role_{fold}"] == role, KEYS]
        wanted = pd.MultiIndex.from_frame(chosen)
        return np.flatnonzero(pd.MultiIndex.from_frame(table[KEYS]).isin(wanted))

    def save(self, path: Path) -> None:
        """Write folds.tsv atomically."""
        write_tsv(path, self.frame)


def make_folds(
    table: pd.DataFrame,
    num_folds: int,
    validation_fraction: float,
    seed: int,
    *,
    session_rule: SessionRule = "all",
) -> Folds:
    """Draw folds that depend only on the seed and on who is in the table, not on its row order.

    People are dealt, not scans: each counts once, under the label of the first session, so that folds differ by
    at most one person a label however many sessions people have (scikit-learn's StratifiedKFold over people;
    its StratifiedGroupKFold balances scans and can leave a fold without a class). Inside each training part,
    about ``validation_fraction`` of the people of every label validate (at least one, never all).

    Args:
        table: the cohort table (participant_id, session_id, label, session_order if there are several sessions).
        num_folds: N, at least 2.
        validation_fraction: of each training part, by subject.
        seed: of the run.
        session_rule: "first_scored" validates and tests the first session of a person only; the later ones of
            people who validate or are tested are unused, those of all others train.

    Raises:
        CohortError: if a class has too few participants for so many folds.
    """
    from sklearn.model_selection import StratifiedKFold

    frame = sorted_scans(table)
    people = first_sessions(frame)
    refuse_few(people, num_folds)
    splitter = StratifiedKFold(n_splits=num_folds, shuffle=True, random_state=seed)
    fold_of: dict[str, int] = {}
    for number, (_, test) in enumerate(splitter.split(people, people["label"]), start=1):
        fold_of.update(dict.fromkeys(people["participant_id"].iloc[test], number))
    fold = frame["participant_id"].map(fold_of)
    return _assemble(frame.assign(fold=fold, site_fold=fold), validation_fraction, seed, session_rule)


def site_folds(
    table: pd.DataFrame,
    min_people: int,
    validation_fraction: float,
    seed: int,
    *,
    session_rule: SessionRule = "all",
) -> Folds:
    """Return leave-one-site-out folds (``data.sites.site_groups``); the seed draws the inner validation part only.

    A scan is never tested by a model that saw its site, and never trains a model that is tested on its person:
    where a person was scanned at several sites, the scans that would do so are unused.

    Args:
        table: the cohort table (as for ``make_folds``, and site).
        min_people: of each class, for a fold of a site's own.
        validation_fraction: of each training part, by subject.
        seed: of the run.
        session_rule: as for ``make_folds``.

    Raises:
        CohortError: if sites are unknown, or there are not two groups of sites.
    """
    frame = sorted_scans(table, "site")
    groups = site_groups(first_sessions(frame), frame["site"], min_people)
    number_of = {site: number for number, group in enumerate(groups, start=1) for site in group}
    frame["site_fold"] = frame["site"].map(number_of).astype("int64")
    first = first_sessions(frame).set_index("participant_id")["site_fold"]
    frame["fold"] = frame["participant_id"].map(first)
    return _assemble(frame, validation_fraction, seed, session_rule)


def given_folds(
    table: pd.DataFrame,
    parts: Mapping[int, tuple[frozenset[str], frozenset[str]]],
    validation_fraction: float,
    seed: int,
    *,
    session_rule: SessionRule = "all",
) -> Folds:
    """Return folds that somebody else drew; the inner validation part is drawn here, inside each training part.

    Args:
        table: the cohort table (as for ``make_folds``).
        parts: fold (1..N) -> participants who train, participants who are tested. People in neither part of a
            fold are unused in it.
        validation_fraction: of each training part, by subject.
        seed: of the run.
        session_rule: as for ``make_folds``.

    Raises:
        CohortError: if somebody is not tested exactly once, or trains and is tested in one fold, or a part lacks a
            class.
    """
    frame = sorted_scans(table)
    tested: dict[str, int] = {}
    for number, (train, test) in parts.items():
        for person in sorted(test & set(frame["participant_id"])):
            if person in train or tested.setdefault(person, number) != number:
                raise CohortError(
                    f"leak: participant {person!r} is in two parts of the splits; draw them again"
                )
    alone = sorted(set(frame["participant_id"]) - tested.keys())
    if alone:
        raise CohortError(
            f"{len(alone)} participants are tested in no fold of the splits (first: {alone[0]}); give all splits"
        )
    if empty := sorted(set(parts) - set(tested.values())):
        raise CohortError(
            f"fold {empty[0]} of the splits tests nobody of the cohort; use the cohort they are of"
        )
    names = frame["participant_id"]
    absent = {number: ~names.isin(train) for number, (train, _) in parts.items()}
    fold = names.map(tested)
    return _assemble(frame.assign(fold=fold, site_fold=fold), validation_fraction, seed, session_rule, absent)


def load_folds(path: Path, table: pd.DataFrame) -> Folds:
    """Read folds.tsv and make sure that it belongs to this cohort table.

    Raises:
        CohortError: if the cohort changed since the folds were drawn, or the file was edited into a leak.
    """
    frame = read_tsv(path, integers=["label", "fold"])
    roles = [f"role_{number}" for number in range(1, 1 + sum(c.startswith("role_") for c in frame.columns))]
    expected = [*KEYS, "label", "fold", *roles]
    if list(frame.columns) != expected or len(roles) < 2:
        raise CohortError(
            f"{path}: columns {', '.join(frame.columns)} are not those of a folds table; use --fresh"
        )
    refuse_changed(path, frame, table)
    refuse_broken(path, frame, roles)
    return Folds(_tidy(frame, roles))


def _assemble(
    frame: pd.DataFrame,
    fraction: float,
    seed: int,
    session_rule: SessionRule,
    absent: Mapping[int, pd.Series] | None = None,
) -> Folds:
    """Give every row a role in every fold.

    Args:
        frame: participant_id, session_id, label, order, fold (that tests the person), site_fold (that tests the
            row's site); sorted.
        fraction: of each training part that validates.
        seed: of the run.
        session_rule: which sessions are validated and tested.
        absent: fold -> rows of people who do not train in it.
    """
    first = frame.groupby("participant_id")["order"].transform("min")
    scored = frame["order"].eq(first) if session_rule == "first_scored" else frame["order"].notna()
    roles = {
        f"role_{number}": draw_roles(
            frame.assign(scored=scored, absent=False if absent is None else absent[number]),
            number,
            fraction,
            seed,
        )
        for number in range(1, int(frame["fold"].max()) + 1)
    }
    folds = Folds(_tidy(frame[[*KEYS, "label", "fold"]].assign(**roles), list(roles)))
    refuse_incomplete(folds.frame, folds.num_folds)
    return folds


def _tidy(frame: pd.DataFrame, roles: list[str]) -> pd.DataFrame:
    """Return the columns of ``Folds.frame`` with the same types, whether drawn or read."""
    texts, whole = dict.fromkeys([*KEYS, *roles], "object"), dict.fromkeys(["label", "fold"], "int64")
    return frame.astype(texts).astype(whole).sort_values(KEYS, ignore_index=True)
