"""A CAPS folder (Clinica's outputs) with t1-linear scans becomes one table; they are in template space already."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.bids.checks import lost_labels, mixed_labels
from neurofocus.ingest.bids.reader import add_values, refuse_broken_links
from neurofocus.ingest.bids.tables import (
    VALUES,
    column_names,
    read_participants,
    read_sessions,
    tables_root,
    with_prefix,
)
from neurofocus.ingest.bids.visits import find_visits, person_rows
from neurofocus.ingest.delivered import DeliveredTable, find_table
from neurofocus.ingest.flow import flow_step
from neurofocus.ingest.labels import class_of
from neurofocus.ingest.scans import FoundScans
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["read_caps"]

_FOLDER = "t1_linear"
_TENSORS = "deeplearning_prepare_data"
_KNOWN_VERSION = "1.0.0"


@dataclass(frozen=True)
class _Labels:
    """What tables say of scans.

    Attributes:
        levels: tables with a row a scan in the scans' order, most specific first; see ``add_values``.
        people: participants listed -> a diagnosis.
        source: the table, for messages.
        warnings: of reading.
    """

    levels: list[pd.DataFrame]
    people: Mapping[str, str]
    source: str
    warnings: tuple[str, ...]


def read_caps(root: Path, spec: CohortSpec) -> FoundScans:
    """Read the t1-linear scans of a CAPS folder, cropped or not.

    Labels come from a table of the role ``labels`` in the folder (as ClinicaDL's ``get-labels`` writes it:
    participant_id, session_id, diagnosis, age, sex), otherwise from BIDS tables in it or, for a CAPS folder below
    a data set's ``derivatives``, in that data set. ``description`` is "t1-linear" or "t1-linear cropped".

    Args:
        root: the CAPS folder, which holds ``subjects``.
        spec: the cohort definition.

    Raises:
        CohortError: if scans or labels are missing or contradict each other.
    """
    images = _find_images(root, spec)
    labels = _labels(root, images, spec)
    found = add_values(images, labels.levels)
    known = found["participant_id"].isin(labels.people)
    if not known.any():
        raise CohortError(
            f"{labels.source}: lists none of the participants with scans (scans: {found['participant_id'].iloc[0]}, …; "
            f"table: {min(labels.people, default='no rows')}, …); make the identifiers equal"
        )
    names = pd.Series([_shown(value, spec) for value in found["diagnosis"]], index=found.index)
    people = {person: _shown(value, spec) for person, value in labels.people.items()}
    present = set(found["participant_id"])
    alone = [label for person, label in people.items() if person not in present]
    steps = (
        flow_step("participants listed", people.values(), unit="participants"),
        flow_step("no t1-linear scan", alone, kind="dropped", unit="participants"),
        flow_step("t1-linear scans found", names),
        flow_step("participant not in the table of labels", names[~known], kind="dropped"),
    )
    listed = found[known]
    warnings = (
        *mixed_labels(listed),
        *lost_labels(listed, spec),
        *labels.warnings,
        *_version_warnings(root),
    )
    return FoundScans(listed, labels.source, steps, warnings)


def _shown(value: str, spec: CohortSpec) -> str:
    return class_of(value, spec) or value


def _find_images(root: Path, spec: CohortSpec) -> pd.DataFrame:
    """Return participant_id, session_id, path, space, run, entities and description, one row an image."""
    if not root.is_dir():
        raise CohortError(f"{root}: no such folder; give the CAPS folder with --data")
    paths = sorted(root.glob(f"subjects/sub-*/ses-*/{_FOLDER}/sub-*.nii*"))
    rows = []
    for path in paths:
        entities = _entities(path.name, spec.suffix)
        if entities is None or not entities.get("space", "").startswith("MNI152"):
            continue
        person, session = path.parts[-4:-2]
        if (entities["sub"], entities.get("ses")) != (
            person.removeprefix("sub-"),
            session.removeprefix("ses-"),
        ):
            raise CohortError(
                f"{path}: the name does not fit its folder ({person}/{session}); move or rename the file"
            )
        cropped = entities.get("desc", "").lower() == "crop"
        rows.append(
            {
                "participant_id": person,
                "session_id": session,
                "path": str(path.absolute()),
                "space": "template",
                "run": int(entities["run"]) if entities.get("run", "").isdecimal() else 0,
                "entities": len(entities),  # an uncropped scan has one less
                "description": "t1-linear cropped" if cropped else "t1-linear",
                "processing": "Clinica t1-linear",
            }
        )
    if not rows:
        _refuse_without_images(root)
    refuse_broken_links([Path(str(row["path"])) for row in rows])
    return pd.DataFrame(rows)


def _entities(name: str, suffix: str) -> dict[str, str] | None:
    """Return the entities of a name; None if it is no image of the suffix. Older names hold the suffix twice."""
    *items, last = name.split(".nii")[0].split("_")
    pairs = [item.split("-", 1) for item in items if item != suffix]
    if last != suffix or any(len(pair) != 2 for pair in pairs):
        return None
    return {key: value for key, value in pairs}


def _refuse_without_images(root: Path) -> None:
    pipelines = sorted({path.name for path in root.glob("subjects/sub-*/ses-*/*") if path.is_dir()})
    if _TENSORS in pipelines:
        raise CohortError(
            f"{root}: holds tensors of ClinicaDL ({_TENSORS}/….pt) but no NIfTI scans of t1-linear; .pt files are Python "
            f"pickles, which can run code and are not read; add the folders subjects/sub-X/ses-Y/{_FOLDER} of the "
            "CAPS folder that they were made from"
        )
    seen = (
        f"pipelines there: {', '.join(pipelines)}" if pipelines else "no subjects/sub-X/ses-Y folders there"
    )
    inside = sorted(entry.name for entry in root.iterdir() if (entry / "subjects").is_dir())
    hint = (
        f"; did you mean {root / inside[0]}?"
        if inside
        else "; run Clinica's t1-linear, or use another cohort"
    )
    raise CohortError(
        f"{root}: no scan subjects/sub-X/ses-Y/{_FOLDER}/…_space-MNI152NLin2009cSym_…_T1w.nii.gz ({seen}){hint}"
    )


def _labels(root: Path, images: pd.DataFrame, spec: CohortSpec) -> _Labels:
    """Return what the table of labels says of every scan, or the BIDS tables if there is none."""
    role = spec.tables.get("labels")
    if role is not None:
        own = {**role.columns, "diagnosis": column_names("diagnosis", "labels", spec)}
        table = find_table(root, "labels", role.model_copy(update={"columns": own}))
        if table is not None:
            return _listed_labels(table, images, root)
    return _bids_labels(root, images, spec)


def _bids_labels(root: Path, images: pd.DataFrame, spec: CohortSpec) -> _Labels:
    role = spec.tables.get("labels")
    try:
        folder = tables_root(root)
    except CohortError:
        patterns = " or ".join(role.files) if role is not None else "participants.tsv"
        raise CohortError(
            f"{root}: no labels: put a table {patterns} with columns participant_id, session_id and "
            f"{spec.label_column} into this folder (clinicadl tsvtools get-labels writes one), or participants.tsv "
            "of the BIDS data set with its sub-X/sub-X_sessions.tsv"
        ) from None
    participants = read_participants(folder, spec)
    people = list(participants["participant_id"])
    sessions = read_sessions(folder, people, spec)
    if sessions.empty:
        sessions = read_sessions(root / "subjects", people, spec)
    if not participants.attrs["has_label"] and not sessions.attrs["has_label"]:
        raise CohortError(
            f"{folder / 'participants.tsv'}: no column {spec.label_column!r}; it has "
            f"{', '.join(participants.attrs['columns'])}, and no sessions table has it either; "
            "set 'label_column' in the cohort definition"
        )
    visits, warnings = find_visits(images, sessions)
    persons, unlabelled = person_rows(images, participants, sessions, visits)
    listed = dict(zip(people, participants["diagnosis"], strict=True))
    return _Labels([visits, persons], listed, str(folder / "participants.tsv"), (*warnings, *unlabelled))


def _listed_labels(table: DeliveredTable, images: pd.DataFrame, root: Path) -> _Labels:
    """Return what a table of labels says of every scan: by session where the table has sessions."""
    frame = table.frame.copy()
    frame["participant_id"] = [with_prefix(value, "sub-") for value in frame["participant_id"]]
    keys = ["participant_id"]
    if table.has("session_id"):
        frame["session_id"] = [with_prefix(value, "ses-") for value in frame["session_id"]]
        keys.append("session_id")
    for value in VALUES:
        frame[f"{value}_source"] = table.sources(value) if table.has(value) else MISSING
        frame[value] = frame[value] if table.has(value) else MISSING
    frame = frame[~frame.duplicated([*keys, *VALUES])]
    if (twice := frame.duplicated(keys, keep=False)).any():
        pair = frame[twice].sort_values(keys).iloc[:2]
        lines = " and ".join(map(str, pair["line"]))
        raise CohortError(
            f"{pair['file'].iloc[0]}: rows {lines} say different things of {' '.join(pair[keys].iloc[0])}; "
            "keep one row a session"
        )
    if table.has("session_id"):
        rows, warnings = find_visits(images, frame)
    else:
        rows, warnings = frame.set_index("participant_id").reindex(images["participant_id"]), ()
    people = dict(zip(frame["participant_id"][::-1], frame["diagnosis"][::-1], strict=True))
    source = str(root / table.frame["file"].iloc[0])
    return _Labels([rows], people, source, (*table.warnings, *warnings))


def _version_warnings(root: Path) -> tuple[str, ...]:
    """Say when the folder follows another CAPS version than the one known here; older Clinica wrote none."""
    try:
        content = json.loads((root / "dataset_description.json").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return ()
    version = content.get("CAPSVersion") if isinstance(content, dict) else None
    if version in (None, _KNOWN_VERSION):
        return ()
    return (
        f"dataset_description.json: CAPSVersion {version}, known is {_KNOWN_VERSION}: check what was read",
    )
