"""A BIDS data set, raw or derivative, becomes one table (BIDS 1.10, files and tables of anatomical MRI)."""

import re
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.bids_tables import check_listed_scans, read_participants, read_sessions, tables_root
from neurofocus.ingest.flow import flow_step
from neurofocus.ingest.labels import class_of, suggest
from neurofocus.ingest.scans import FoundScans
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["read_bids"]

_FROM_PARTICIPANT = ("diagnosis", "age", "sex", "site")


def read_bids(root: Path, spec: CohortSpec) -> FoundScans:
    """Read a BIDS data set.

    A session's own table goes before participants.tsv, value by value. Of several scans in a session the
    first is used, of several labelled sessions the first (``ingest/selection.py`` says what first means).

    Args:
        root: the data set: the folder of participants.tsv, or a folder below its ``derivatives``.
        spec: the cohort definition.

    Raises:
        CohortError: if tables or images are missing or contradict each other.
    """
    folder = tables_root(root)
    participants = read_participants(folder, spec)
    sessions = read_sessions(folder, list(participants["participant_id"]), spec)
    _require_label_column(participants, sessions, folder, spec)
    check_listed_scans(root, spec.suffix)
    found = _describe(_find_scans(root, spec), participants, sessions)
    listed = _listed(found, participants, folder / "participants.tsv")
    missing = ~participants["participant_id"].isin(found["participant_id"])
    steps = (
        flow_step("participants listed", _names(participants, spec), unit="participants"),
        flow_step(
            f"no {spec.suffix} scan", _names(participants[missing], spec), kind="dropped", unit="participants"
        ),
        flow_step(f"{spec.suffix} scans found", _names(found, spec)),
        flow_step(
            "participant not in participants.tsv", _names(found[~found["listed"]], spec), kind="dropped"
        ),
    )
    return FoundScans(listed, str(folder / "participants.tsv"), steps)


def _require_label_column(
    participants: pd.DataFrame, sessions: pd.DataFrame, folder: Path, spec: CohortSpec
) -> None:
    if participants.attrs["has_label"] or sessions.attrs["has_label"]:
        return
    columns = participants.attrs["columns"]
    raise CohortError(
        f"{folder / 'participants.tsv'}: no column {spec.label_column!r}{suggest(spec.label_column, columns)}; "
        f"it has {', '.join(columns)}, and no sessions table has it either; "
        "set 'label_column' in the cohort definition"
    )


def _find_scans(root: Path, spec: CohortSpec) -> pd.DataFrame:
    """Return participant_id, session_id, path, space, run and entities (their number), one row an image."""
    pattern = re.compile(
        rf"(?P<sub>sub-[^_]+)(?:_(?P<ses>ses-[^_]+))?(?P<rest>(?:_[A-Za-z]+-[^_]+)*)_{re.escape(spec.suffix)}\.nii(\.gz)?"
    )
    rows = []
    anatomy = [*root.glob("sub-*/anat/sub-*.nii*"), *root.glob("sub-*/ses-*/anat/sub-*.nii*")]
    for path in sorted(anatomy):
        match = pattern.fullmatch(path.name)
        if match is None:
            continue
        parts = path.relative_to(root).parts
        session = parts[1] if len(parts) == 4 else None
        if match["sub"] != parts[0] or match["ses"] != session:
            raise CohortError(
                f"{path}: the name does not fit its folder ({'/'.join(parts[:-1])}); move or rename the file"
            )
        entities = dict(item.split("-", 1) for item in match["rest"].split("_") if item)
        rows.append(
            {
                "participant_id": match["sub"],
                "session_id": session or MISSING,
                "path": str(path.absolute()),
                "space": "template" if entities.get("space", "").startswith("MNI152") else "native",
                "run": int(entities["run"]) if entities.get("run", "").isdecimal() else 0,
                "entities": len(entities),
            }
        )
    if not rows:
        _refuse_without_images(root, [path.name for path in anatomy], spec)
    _refuse_broken_links([Path(str(row["path"])) for row in rows])
    return pd.DataFrame(rows)


def _refuse_without_images(root: Path, names: list[str], spec: CohortSpec) -> None:
    folders = sum(entry.is_dir() for entry in root.glob("sub-*"))
    suffixes = sorted({name.split(".")[0].rsplit("_", 1)[-1] for name in names})
    other = f", only {', '.join(suffixes)} (set 'suffix' in the cohort definition)" if suffixes else ""
    raise CohortError(
        f"{root}: no image sub-X/[ses-Y/]anat/sub-X…_{spec.suffix}.nii[.gz] in {folders} sub-… folders{other}; "
        "check that --data is the data set's top folder and that the images were downloaded"
    )


def _refuse_broken_links(paths: list[Path]) -> None:
    broken = [path for path in paths if not path.is_file()]
    if broken:
        raise CohortError(
            f"{broken[0]}: a link to content that is not on this machine ({len(broken)} of {len(paths)} images); "
            "fetch the images first, for example with datalad get"
        )


def _describe(scans: pd.DataFrame, participants: pd.DataFrame, sessions: pd.DataFrame) -> pd.DataFrame:
    """Add diagnosis, age, sex, site and acq_time, where each stands, and listed (a participant of the table)."""
    known = participants.set_index("participant_id")
    visits = sessions.set_index(["participant_id", "session_id"])
    result = scans.copy()
    result["listed"] = scans["participant_id"].isin(known.index)
    pairs = pd.MultiIndex.from_frame(scans[["participant_id", "session_id"]])
    for column in (*_FROM_PARTICIPANT, "acq_time"):
        own = visits[column].reindex(pairs, fill_value=MISSING).astype(object).to_numpy()
        person = known[column] if column in _FROM_PARTICIPANT else pd.Series(dtype=object)
        general = person.reindex(scans["participant_id"], fill_value=MISSING).to_numpy()
        result[column] = [a if a != MISSING else b for a, b in zip(own, general, strict=True)]
        result[f"{column}_source"] = [
            "sessions.tsv" if a != MISSING else "participants.tsv" if b != MISSING else MISSING
            for a, b in zip(own, general, strict=True)
        ]
    return result


def _listed(found: pd.DataFrame, participants: pd.DataFrame, table: Path) -> pd.DataFrame:
    """Return the scans of participants that the table lists."""
    rows = found[found["listed"]]
    if rows.empty:
        raise CohortError(
            f"{table}: lists none of the participants with images (images: {found['participant_id'].iloc[0]}, …; "
            f"table: {participants['participant_id'].iloc[0] if len(participants) else 'no rows'}, …); "
            "make the identifiers equal"
        )
    return rows


def _names(rows: pd.DataFrame, spec: CohortSpec) -> list[str]:
    """Return the class a row belongs to, or the delivered value where no class has it."""
    return [class_of(value, spec) or value for value in rows["diagnosis"]]
