"""Scans meet the tables of sessions and of people: which row is a scan's, and whose diagnosis may stand for it."""

import pandas as pd

from neurofocus.ingest.selection import natural_key
from neurofocus.tables import MISSING

__all__ = ["find_visits", "person_rows"]


def find_visits(scans: pd.DataFrame, sessions: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the row of a table of sessions for every scan (missing throughout where it has none), and warnings.

    Sessions are equal but for leading zeros: Clinica called the first one ses-M00 and calls it ses-M000 now.

    Args:
        scans: columns participant_id and session_id.
        sessions: columns participant_id, session_id and values.
    """
    exact = {(row.participant_id, row.session_id): number for number, row in enumerate(sessions.itertuples())}
    alike = {(person, natural_key(str(session))): number for (person, session), number in exact.items()}
    people = {person for person, _ in exact}
    found = [
        exact.get((person, session), alike.get((person, natural_key(session)), -1))
        for person, session in zip(scans["participant_id"], scans["session_id"], strict=True)
    ]
    rows = sessions.reset_index(drop=True).reindex(found)
    warnings = []
    pairs = zip(scans["participant_id"], scans["session_id"], rows["session_id"], strict=True)
    other = [item for item in dict.fromkeys(pairs) if isinstance(item[2], str) and item[2] != item[1]]
    if other:
        person, session, name = other[0]
        warnings.append(
            f"{len(other)} sessions are written with other zeros in the tables ({person}: {name} for {session}) "
            "and taken as the same"
        )
    alone = [
        (person, session)
        for person, session, number in zip(scans["participant_id"], scans["session_id"], found, strict=True)
        if number < 0 and person in people
    ]
    if alone:
        person, session = alone[0]
        warnings.append(
            f"{len(alone)} scans are of sessions that are not in their person's table of sessions (first: {person} "
            f"{session})"
        )
    return rows, tuple(warnings)


def person_rows(
    scans: pd.DataFrame, participants: pd.DataFrame, sessions: pd.DataFrame, visits: pd.DataFrame
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the row of participants.tsv for every scan, and warnings.

    Its diagnosis may be that of the enrolment: it is left out where sessions of the same person have diagnoses.

    Args:
        scans: column participant_id.
        participants: columns participant_id and values, one row a person.
        sessions: columns participant_id, session_id and values.
        visits: the row of ``sessions`` for every scan.
    """
    people = scans["participant_id"]
    rows = participants.set_index("participant_id").reindex(people)
    told = people.isin(sessions.loc[sessions["diagnosis"] != MISSING, "participant_id"]).to_numpy()
    lost = (
        told
        & visits["diagnosis"].isin((MISSING, None)).to_numpy()
        & (rows["diagnosis"] != MISSING).to_numpy()
    )
    rows["diagnosis"] = rows["diagnosis"].mask(told, MISSING)
    if not lost.any():
        return rows, ()
    text = (
        f"{int(lost.sum())} scans have no diagnosis of their visit, others of the same people have: participants.tsv does "
        f"not speak for them (first: {people[lost].iloc[0]}); fill in the tables of sessions"
    )
    return rows, (text,)
