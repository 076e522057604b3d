"""A BIDS data set, raw or derivative, becomes one table (BIDS 1.10, files and tables of anatomical MRI)."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.bids.checks import lost_labels, mixed_labels
from neurofocus.ingest.bids.sidecars import read_scanners
from neurofocus.ingest.bids.tables import VALUES, read_participants, read_scans, read_sessions, tables_root
from neurofocus.ingest.bids.visits import find_visits, person_rows
from neurofocus.ingest.flow import flow_step
from neurofocus.ingest.labels import class_of, suggest
from neurofocus.ingest.scans import FoundScans
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["add_values", "read_bids", "refuse_broken_links"]

# Names that published data sets give to a diagnosis which may be that of the enrolment, not of the scan.
_MAYBE_LABELS = ("diagnosis", "diagnosis_bl", "diagnosis_sc", "dx", "dx_bl", "group")


def read_bids(root: Path, spec: CohortSpec) -> FoundScans:
    """Read a BIDS data set.

    A scan's own row (scans table) goes before its session's (sessions table), and that before its person's
    (participants.tsv), value by value; but the diagnosis of a person stands for no visit of somebody whose visits
    have diagnoses of their own. The scanner stands in the JSON file beside an image.

    Args:
        root: the data set: the folder of participants.tsv, or a folder below its ``derivatives``.
        spec: the cohort definition.

    Raises:
        CohortError: if tables or images are missing or contradict each other, or labels are known to be wrong.
    """
    folder = tables_root(root)
    participants = read_participants(folder, spec)
    sessions = read_sessions(folder, list(participants["participant_id"]), spec)
    scans = read_scans(root, spec)
    _require_label_column([participants, sessions, scans], folder, spec)
    images = _find_scans(root, spec)
    scanners, unread = read_scanners(root, [Path(name) for name in images["path"]], spec.suffix)
    visits, unmatched = find_visits(images, sessions)
    persons, unlabelled = person_rows(images, participants, sessions, visits)
    found = add_values(
        images.assign(**scanners),
        [
            scans.set_index("filename").reindex(images["filename"]),
            visits,
            persons,
        ],
    )
    found["listed"] = found["participant_id"].isin(participants["participant_id"])
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
    warnings = (*mixed_labels(listed), *lost_labels(listed, spec), *unmatched, *unlabelled, *unread)
    return FoundScans(listed, str(folder / "participants.tsv"), steps, warnings)


def add_values(scans: pd.DataFrame, levels: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Add VALUES and where each stands to scans: from the first level that says something.

    Args:
        scans: one row a scan.
        levels: tables with a row a scan in the same order, columns VALUES and NAME_source; NaN says nothing.
    """
    result = scans.copy()
    for value in VALUES:
        chosen = pd.Series(MISSING, index=scans.index, dtype=object)
        source = chosen.copy()
        for level in levels:
            said = level[value].astype(object).fillna(MISSING).set_axis(scans.index)
            take = (chosen == MISSING) & (said != MISSING)
            chosen = chosen.mask(take, said)
            source = source.mask(take, level[f"{value}_source"].astype(object).set_axis(scans.index))
        result[value] = chosen
        result[f"{value}_source"] = source
    return result


def _require_label_column(tables: Sequence[pd.DataFrame], folder: Path, spec: CohortSpec) -> None:
    if any(table.attrs["has_label"] for table in tables):
        return
    columns = tables[0].attrs["columns"]
    maybe = [name for name in columns if name.lower() in _MAYBE_LABELS]
    hint = (
        f"; {', '.join(map(repr, maybe))} may hold it, but perhaps as of the enrolment: you decide"
        if maybe
        else ""
    )
    raise CohortError(
        f"{folder / 'participants.tsv'}: no column {spec.label_column!r}{suggest(spec.label_column, columns)}; "
        f"it has {', '.join(columns)}, and no sessions or scans table has it either{hint}; "
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
                "filename": path.relative_to(root).as_posix(),
                "space": "template" if entities.get("space", "").startswith("MNI152") else "native",
                "run": int(entities["run"]) if entities.get("run", "").isdecimal() else 0,
                "entities": len(entities),
            }
        )
    if not rows:
        _refuse_without_images(root, [path.name for path in anatomy], spec)
    refuse_broken_links([Path(str(row["path"])) for row in rows])
    return pd.DataFrame(rows)


def _refuse_without_images(root: Path, names: list[str], spec: CohortSpec) -> None:
    folders = sum(entry.is_dir() for entry in root.glob("sub-*"))
    suffixes = sorted({name.split(".")[0].rsplit("_", 1)[-1] for name in names})
    other = f", only {', '.join(suffixes)} (set 'suffix' in the cohort definition)" if suffixes else ""
    raise CohortError(
        f"{root}: no image sub-X/[ses-Y/]anat/sub-X…_{spec.suffix}.nii[.gz] in {folders} sub-… folders{other}; "
        "check that --data is the data set's top folder and that the images were downloaded"
    )


def refuse_broken_links(paths: Sequence[Path]) -> None:
    """Refuse links to content that was never fetched.

    Raises:
        CohortError: naming the first one and how many there are.
    """
    broken = [path for path in paths if not path.is_file()]
    if broken:
        raise CohortError(
            f"{broken[0]}: a link to content that is not on this machine ({len(broken)} of {len(paths)} images); "
            "fetch the images first, for example with datalad get"
        )


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
