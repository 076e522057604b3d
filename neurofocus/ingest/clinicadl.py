"""ClinicaDL's k-fold tables instead of folds of our own: who trains and who is tested in each split."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.bids.tables import with_prefix
from neurofocus.ingest.flow import CohortTable, flow_step
from neurofocus.ingest.labels import class_of
from neurofocus.ingest.selection import natural_key
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING, read_delivered

__all__ = ["Part", "Splits", "read_splits", "restrict_to_splits"]

_FOLDER = re.compile(r"split[-_](\d+)")
_BASELINE = "_baseline"
_MIN_SPLITS = 2


@dataclass(frozen=True)
class Part:
    """One table of a split.

    Attributes:
        people: participants, "sub-" in front.
        sessions: (participant, session), where the table has sessions.
        diagnoses: (participant, session or n/a) -> the diagnosis, where the table has a column diagnosis or group.
    """

    people: frozenset[str]
    sessions: frozenset[tuple[str, str]]
    diagnoses: Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class Splits:
    """What a folder of splits says.

    Attributes:
        name: of the folder.
        digest: SHA-256 of who is where; another digest means other folds.
        train: one part a fold (from 1): who trains (their whole training part; ours validates on some of it).
        test: one part a fold: who is tested, which ClinicaDL calls validation.
    """

    name: str
    digest: str
    train: Mapping[int, Part]
    test: Mapping[int, Part]

    def people(self) -> frozenset[str]:
        """Return everybody who is in some part."""
        return frozenset().union(*(part.people for part in (*self.train.values(), *self.test.values())))


def read_splits(folder: Path) -> Splits:
    """Read a folder as ``clinicadl tsvtools kfold`` (1.x) or ``make_kfold`` (2.0) writes it.

    ``split-0``, ``split-1``, … hold train.tsv (all sessions) or train_baseline.tsv, and NAME_baseline.tsv (NAME.tsv
    with all sessions), where NAME is "validation" unless its maker chose another. Columns: participant_id, and
    session_id and diagnosis where there are any.

    Raises:
        CohortError: if tables are missing, or somebody trains and is tested in one split, or is tested in two (leak).
    """
    numbered = _split_folders(folder)
    train, test = {}, {}
    for number, split in enumerate(numbered, start=1):
        train[number], test[number] = _read_split(split)
        if both := sorted(train[number].people & test[number].people):
            raise CohortError(
                f"{split}: leak: {len(both)} participants are in train and in the other part (first: {both[0]}); "
                "splits must divide people, not scans; draw them again"
            )
    _refuse_tested_twice(test, numbered)
    text = [
        f"{number}\t{name}\t{person}"
        for number in train
        for name, part in (("train", train[number]), ("test", test[number]))
        for person in sorted(part.people)
    ]
    return Splits(folder.resolve().name, hashlib.sha256("\n".join(text).encode()).hexdigest(), train, test)


def restrict_to_splits(cohort: CohortTable, splits: Splits, spec: CohortSpec) -> CohortTable:
    """Return the cohort without the people who are in no split, with counts and warnings of every difference.

    Raises:
        CohortError: if nobody of the cohort is in the splits.
    """
    table, people = cohort.table, splits.people()
    known = table["participant_id"].isin(people)
    if not known.any():
        raise CohortError(
            f"--splits {splits.name}: holds none of the cohort's participants (splits: {min(people)}, …; cohort: "
            f"{table['participant_id'].iloc[0]}, …); give the splits of this cohort, with the same identifiers"
        )
    classes = list(spec.classes)
    names = table["label"].map(lambda label: classes[label])
    left_out = flow_step("participant in no split", names[~known], kind="dropped")
    steps = (left_out, flow_step("scans used with the splits", names[known])) if left_out.count else ()
    kept = table[known].reset_index(drop=True)
    missing = len(people - set(kept["participant_id"]))
    warnings = [*cohort.warnings]
    if missing:
        warnings.append(
            f"--splits {splits.name}: {missing} of {len(people)} participants are not in the cohort"
        )
    if dropped := table.loc[~known, "participant_id"].nunique():
        warnings.append(
            f"--splits {splits.name}: {dropped} participants of the cohort are in no split: left out"
        )
    warnings.extend(_differences(kept, splits, spec))
    return CohortTable(kept, (*cohort.flow, *steps), tuple(warnings))


def _differences(table: pd.DataFrame, splits: Splits, spec: CohortSpec) -> Iterator[str]:
    """Say where the splits mean other sessions or other labels than the cohort."""
    tested = {
        person: natural_key(session) for part in splits.test.values() for person, session in part.sessions
    }
    first = table[table["session_order"] == 1]
    other = [
        person
        for person, session in zip(first["participant_id"], first["session_id"], strict=True)
        if session != MISSING and person in tested and tested[person] != natural_key(session)
    ]
    if other:
        yield (
            f"--splits {splits.name}: of {len(other)} participants the splits test another session than the cohort's "
            f"first (first: {other[0]}); the cohort's session rule decides"
        )
    said = {
        (person, natural_key(session)): value
        for part in (*splits.train.values(), *splits.test.values())
        for (person, session), value in part.diagnoses.items()
    }
    classes = list(spec.classes)
    changed = [
        f"{person} ({value}, here {classes[label]})"
        for person, session, label in zip(
            table["participant_id"], table["session_id"], table["label"], strict=True
        )
        if (value := said.get((person, natural_key(session)), MISSING)) != MISSING
        and value != classes[label]
        and class_of(value, spec) != classes[label]
    ]
    if changed:
        yield (
            f"--splits {splits.name}: {len(changed)} scans have another diagnosis in the splits (first: {changed[0]}); "
            "the cohort's labels are used"
        )


def _split_folders(folder: Path) -> list[Path]:
    """Return the folders of the splits in the order of their numbers."""
    if not folder.is_dir():
        raise CohortError(
            f"--splits {folder}: no such folder; give the folder that holds split-0, split-1, …"
        )
    found = {
        int(match[1]): path for path in sorted(folder.iterdir()) if (match := _FOLDER.fullmatch(path.name))
    }
    if len(found) < _MIN_SPLITS:
        inside = sorted(path.parent.name for path in folder.glob("*/split[-_]0"))
        hint = f"; did you mean {folder / inside[0]}?" if inside else ""
        raise CohortError(
            f"--splits {folder}: holds {len(found)} folders split-0, split-1, …, at least {_MIN_SPLITS} are needed, as "
            f"'clinicadl tsvtools kfold' writes them{hint}"
        )
    return [found[number] for number in sorted(found)]


def _read_split(split: Path) -> tuple[Part, Part]:
    """Return the training part and the tested part of a split."""
    names = {path.stem for path in split.glob("*.tsv")}
    others = sorted({name.removesuffix(_BASELINE) for name in names} - {"train"})
    if not names & {"train", "train" + _BASELINE} or len(others) != 1:
        raise CohortError(
            f"{split}: needs train.tsv or train_baseline.tsv, and one other part such as validation_baseline.tsv; it "
            f"holds {', '.join(sorted(f'{name}.tsv' for name in names)) or 'no .tsv file'}"
        )
    # Training: all sessions if they are there. Testing: the first session of a person, as ClinicaDL scores.
    train = "train" if "train" in names else "train" + _BASELINE
    test = others[0] + _BASELINE if others[0] + _BASELINE in names else others[0]
    return _read_part(split / f"{train}.tsv"), _read_part(split / f"{test}.tsv")


def _read_part(path: Path) -> Part:
    frame = read_delivered(path)
    if "participant_id" not in frame.columns:
        raise CohortError(f"{path}: no column 'participant_id'; it has {', '.join(frame.columns)}")
    people = [with_prefix(value, "sub-") for value in frame["participant_id"]]
    if MISSING in people:
        raise CohortError(
            f"{path}: row {frame.index[people.index(MISSING)]} has no participant_id; mend the table"
        )
    has_sessions = "session_id" in frame.columns
    sessions = (
        [with_prefix(value, "ses-") for value in frame["session_id"]]
        if has_sessions
        else [MISSING] * len(people)
    )
    keys = list(zip(people, sessions, strict=True))
    column = next((name for name in ("diagnosis", "group") if name in frame.columns), None)
    diagnoses = {} if column is None else dict(zip(keys, frame[column], strict=True))
    return Part(frozenset(people), frozenset(keys if has_sessions else ()), diagnoses)


def _refuse_tested_twice(test: Mapping[int, Part], folders: list[Path]) -> None:
    seen: dict[str, int] = {}
    for number, part in test.items():
        for person in sorted(part.people):
            if (before := seen.setdefault(person, number)) != number:
                raise CohortError(
                    f"{folders[number - 1].parent}: leak: participant {person} is tested in "
                    f"{folders[before - 1].name} and in {folders[number - 1].name}; everybody is tested once; draw the "
                    "splits again"
                )
