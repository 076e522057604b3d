"""One person in several cohorts: refused where identities cannot be matched, grouped where a table matches them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.checks.identity import oasis_study, person_key
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING, read_delivered

__all__ = [
    "Links",
    "link_people",
    "read_links",
    "refuse_shared_names",
    "refuse_shared_people",
    "refuse_shared_studies",
    "resolve_links",
    "shared_people",
]

_NEEDED = ("participant_id", "person_id")


@dataclass(frozen=True)
class Links:
    """Which participants are one person.

    Attributes:
        source: the file, for messages.
        people: participant_id -> person_id.
    """

    source: str
    people: Mapping[str, str]


def read_links(path: Path) -> Links:
    """Read a table with the columns participant_id and person_id, separated by tab, comma or semicolon.

    A person_id may be the participant_id that the person has in another cohort.

    Raises:
        CohortError: if a column or a value is missing, or one participant is two people.
    """
    frame = read_delivered(path)
    for column in _NEEDED:
        if column not in frame.columns:
            raise CohortError(
                f"--links {path}: no column {column!r}; it has {', '.join(frame.columns)}; "
                "needed are participant_id and person_id"
            )
        if (frame[column] == MISSING).any():
            raise CohortError(
                f"--links {path}: row {frame.index[frame[column] == MISSING][0]} has no {column}"
            )
    people: dict[str, str] = {}
    for line, name, person in zip(frame.index, frame["participant_id"], frame["person_id"], strict=True):
        if people.setdefault(name, person) != person:
            raise CohortError(
                f"--links {path}: row {line}: participant {name!r} is person {person!r} here and "
                f"{people[name]!r} above; one participant is one person"
            )
    return Links(path.name, people)


def shared_people(one: CohortSpec, other: CohortSpec) -> bool:
    """Return whether the same people may be in both cohorts, under other identifiers."""
    return other.name in one.shares_people_with or one.name in other.shares_people_with


def refuse_shared_people(specs: Sequence[CohortSpec], links: Links | None) -> None:
    """Refuse to combine cohorts that share people, unless a table says who is who.

    Raises:
        CohortError: naming the two cohorts.
    """
    for one, other in combinations(specs, 2):
        if shared_people(one, other) and links is None:
            raise CohortError(
                f"leak (wrong split): cohorts {one.name!r} and {other.name!r} share people under different "
                "identifiers, so one person could train and be tested; use one of them, or say who is who with "
                "--links FILE.tsv (participant_id, person_id)"
            )


def refuse_shared_studies(table: pd.DataFrame) -> None:
    """Refuse people of several OASIS studies, whatever their cohorts are called, where no table says who is who.

    Args:
        table: participant_id.

    Raises:
        CohortError: naming one participant of two studies.
    """
    first: dict[str, str] = {}
    for name in table["participant_id"]:
        if study := oasis_study(name):
            first.setdefault(study, name)
    if len(first) > 1:
        (one, name), (other, second) = sorted(first.items())[:2]
        raise CohortError(
            f"leak (wrong split): {name!r} is of {one}, {second!r} of {other}; these studies share people under "
            "different identifiers, so one person could train and be tested; use one of them, or say who is who with "
            "--links FILE.tsv (participant_id, person_id)"
        )


def resolve_links(links: Links, table: pd.DataFrame) -> Links:
    """Return the links of a table's participants, under their names there, each with one person for all.

    The links may spell participants otherwise (``OAS30001`` for ``sub-OAS30001``), and may link a participant to
    another one that is linked itself. What links nobody of the table stays as it is.

    Args:
        links: as they were read.
        table: participant_id.

    Raises:
        CohortError: if nobody of the table is linked.
    """
    spellings: dict[str, list[str]] = {}
    for name in table["participant_id"].unique():
        spellings.setdefault(person_key(name), []).append(name)
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while parents.get(name, name) != name:
            name = parents[name]
        return name

    linked: set[str] = set()
    for name, person in links.people.items():
        for known in spellings.get(person_key(name), [name]):
            linked.add(known)
            parents[root(known)] = root(person)
    if linked.isdisjoint(table["participant_id"]):
        raise CohortError(
            f"--links {links.source}: names nobody of the cohorts (they hold {table['participant_id'].iloc[0]}, …; the "
            f"links {min(links.people, default='no rows')}, …); write participant_id as the cohorts do"
        )
    linked.update(name for name in table["participant_id"] if name in parents)
    return Links(links.source, {name: root(name) for name in sorted(linked)})


def refuse_shared_names(table: pd.DataFrame, links: Links | None) -> None:
    """Refuse identifiers that occur in several cohorts, unless the links list them: then they are one person.

    Args:
        table: participant_id and cohort, one row a scan.
        links: who is who.

    Raises:
        CohortError: naming the first identifier, and how many there are.
    """
    counts = table.groupby("participant_id")["cohort"].nunique()
    known = {} if links is None else links.people
    shared = [name for name in counts.index[counts > 1] if name not in known]
    if shared:
        where = table.loc[table["participant_id"] == shared[0], "cohort"].unique()
        raise CohortError(
            f"leak (wrong split): participant {shared[0]!r} is in cohorts {' and '.join(map(repr, where))} "
            f"({len(shared)} such names); if they are different people, rename those of one cohort; if they are "
            "the same people, list them in --links FILE.tsv (participant_id, person_id)"
        )


def link_people(table: pd.DataFrame, links: Links) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Give everyone one participant_id: the person's.

    Everything after this (folds, scoring, intervals) then treats a person's scans as one person's. A linked
    scan's session_id gets the former identifier appended, so that sessions stay distinct and traceable.

    Args:
        table: the combined cohort table.
        links: who is who, resolved for this table.

    Returns:
        The table, and warnings about links that name nobody.
    """
    names = table["participant_id"]
    people = names.map(lambda name: links.people.get(name, name))
    sizes = names.groupby(people).nunique() > 1
    cohorts = table["cohort"].groupby(people).nunique() > 1
    linked = people.map(sizes | cohorts).astype(bool)
    renamed = [
        f"{'ses-' if session == MISSING else session}{name.removeprefix('sub-')}{cohort}"
        if touched
        else session
        for session, name, cohort, touched in zip(
            table["session_id"], names, table["cohort"], linked, strict=True
        )
    ]
    unused = sorted(set(links.people) - set(names))
    warnings = (
        (
            f"{links.source}: {len(unused)} of {len(links.people)} participants are not in the cohorts ({unused[0]}, …)",
        )
        if unused
        else ()
    )
    return table.assign(participant_id=people.astype(object), session_id=renamed), warnings
