"""Leaks that make a cross-validation worthless are found before it starts, and refused without exception.

The kinds are those of Wen et al. 2020 (Medical Image Analysis 63:101694): a wrong split (one person on both sides),
a late split (something was fitted or multiplied before the split), biased transfer learning (test people trained the
first weights), no independent test set (the test part chose something).
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from neurofocus.ingest.checks.findings import CheckReport, Finding
from neurofocus.ingest.checks.identity import person_key

__all__ = ["find_fold_leaks", "find_leaks", "refuse_leaks"]

_SHOWN = 5


def refuse_leaks(
    table: pd.DataFrame, folds: pd.DataFrame, hashes: Mapping[str, str], session_rule: str = "first"
) -> None:
    """Refuse a cohort or folds by which a test subject could be seen in training.

    Args:
        table: the cohort table.
        folds: the folds table (``folds.tsv``).
        hashes: voxel hash of every path of the table.
        session_rule: of the cohort definition.

    Raises:
        CohortError: if there is a leak. Names participants and file names only.
    """
    keys = ["participant_id", "session_id"]
    if not pd.MultiIndex.from_frame(table[keys]).isin(pd.MultiIndex.from_frame(folds[keys])).all():
        raise ValueError("every row of the table needs a fold")
    CheckReport([*find_fold_leaks(folds, session_rule), *find_leaks(table, hashes)]).refuse()


def find_leaks(table: pd.DataFrame, hashes: Mapping[str, str]) -> list[Finding]:
    """Return the leaks that no folds can avoid: they are in the table.

    One file listed twice; identical voxels under two participants; two spellings of one participant.

    Args:
        table: participant_id, session_id, path.
        hashes: voxel hash of every path of the table.
    """
    voxels = table["path"].map(dict(hashes))
    if voxels.isna().any():
        raise ValueError("every row of the table needs a voxel hash")
    return [*_repeated_files(table), *_identical_voxels(table, voxels), *_spellings(table)]


def find_fold_leaks(folds: pd.DataFrame, session_rule: str) -> list[Finding]:
    """Return the leaks of folds: one person in two parts, or scored by several sessions against the rule.

    Args:
        folds: participant_id, session_id, fold, role_1, role_2, …
        session_rule: of the cohort definition; "all" scores every session.
    """
    found = _split_people(folds)
    return found if session_rule == "all" else [*found, *_repeated_tests(folds)]


def _split_people(folds: pd.DataFrame) -> list[Finding]:
    columns = ["fold", *(name for name in folds.columns if name.startswith("role_"))]
    # A later session that is put aside ("unused") is in no part.
    parts = folds[columns].where(folds[columns] != "unused")
    counts = parts.groupby(folds["participant_id"]).nunique()
    found = []
    for column in columns:
        split = counts.index[counts[column] > 1]
        if not len(split):
            continue
        seen = [
            str(value) for value in parts.loc[folds["participant_id"] == split[0], column].dropna().unique()
        ]
        kind = "no independent test set" if {*seen} == {"validation", "test"} else "wrong split"
        found.append(
            Finding(
                kind,
                f"leak ({kind}): participant {split[0]!r} is in more than one part of the folds "
                f"(column {column!r}: {', '.join(seen)}; {len(split)} such participants); "
                "all scans of a person belong into one part, remove folds.tsv and run again with --fresh",
                {"participants": [str(name) for name in split]},
            )
        )
    return found


def _repeated_tests(folds: pd.DataFrame) -> list[Finding]:
    """Find people whom a fold scores by several sessions: their answers are no independent tests."""
    roles = [name for name in folds.columns if name.startswith("role_")]
    tested = folds[(folds[roles] == "test").any(axis=1)]
    counts = tested.groupby("participant_id")["session_id"].size()
    several = counts[counts > 1]
    if several.empty:
        return []
    return [
        Finding(
            "no independent test set",
            f"leak (no independent test set): {len(several)} participants would be scored by several sessions "
            f"({several.index[0]!r} by {several.iloc[0]}), which are not independent tests; keep the first "
            "session, or set 'session_rule: all' in the cohort definition if every session is meant to count",
            {"participants": [str(name) for name in several.index]},
        )
    ]


def _repeated_files(table: pd.DataFrame) -> list[Finding]:
    real = table["path"].map(lambda path: str(Path(path).resolve()))
    repeated = real[real.duplicated(keep=False)]
    if repeated.empty:
        return []
    pair = table[real == repeated.iloc[0]]
    return [
        Finding(
            "wrong split",
            f"leak (wrong split): one file is listed twice: {_name_pair(pair)}; keep one row a file "
            f"({len(repeated)} such rows)",
            {"participants": sorted({str(name) for name in table.loc[repeated.index, "participant_id"]})},
        )
    ]


def _identical_voxels(table: pd.DataFrame, voxels: pd.Series) -> list[Finding]:
    """Find voxels that several participants share; a file listed twice is told elsewhere."""
    people = table.groupby(voxels)["participant_id"].nunique()
    shared = people.index[people > 1]
    some = voxels.isin(shared)
    groups = [group for _, group in table[some].groupby(voxels[some], sort=False)]
    groups = [group for group in groups if group["path"].map(lambda path: Path(path).resolve()).nunique() > 1]
    if not groups:
        return []
    return [
        Finding(
            "wrong split",
            f"leak (wrong split): identical voxels under two names: {_name_pair(groups[0])}; they are one scan, "
            f"find out whose it is and remove the others ({len(groups)} such scans)",
            {"participants": [sorted({str(name) for name in group["participant_id"]}) for group in groups]},
        )
    ]


def _spellings(table: pd.DataFrame) -> list[Finding]:
    names = pd.Series(table["participant_id"].unique())
    groups = [list(group) for _, group in names.groupby(names.map(person_key)) if len(group) > 1]
    if not groups:
        return []
    shown = "; ".join(" and ".join(repr(name) for name in group) for group in groups[:_SHOWN])
    more = f"; and {len(groups) - _SHOWN} more" if len(groups) > _SHOWN else ""
    return [
        Finding(
            "wrong split",
            f"leak (wrong split): one person under two identifiers: {shown}{more}; they differ in case, prefix, "
            "signs, leading zeros or a session at the end only: give one person one participant_id, and different "
            "people different names",
            {"participants": [[str(name) for name in group] for group in groups]},
        )
    ]


def _name_pair(rows: pd.DataFrame) -> str:
    """Return the first two rows of different participants as ``'sub-01' (a.nii) and 'sub-02' (b.nii)``."""
    first = rows.drop_duplicates("participant_id")
    shown = first if len(first) > 1 else rows
    names = [
        f"{person!r} ({Path(path).name})"
        for person, path in zip(shown["participant_id"], shown["path"], strict=True)
    ]
    return " and ".join(names[:2])
