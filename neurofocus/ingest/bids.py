"""A BIDS data set, raw or derivative, becomes one table (BIDS 1.10, files and tables of anatomical MRI)."""

import re
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.bids_tables import check_listed_scans, read_participants, read_sessions, tables_root
from neurofocus.ingest.flow import COHORT_COLUMNS, CohortTable, FlowStep, flow_step
from neurofocus.ingest.labels import class_of, describe_values, refuse_without_labels, suggest
from neurofocus.ingest.selection import first_session, first_variant
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["read_bids"]

_SEX = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}
_FROM_PARTICIPANT = ("diagnosis", "age", "sex", "site")


def read_bids(root: Path, spec: CohortSpec) -> CohortTable:
    """Read a BIDS data set.

    A session's own table goes before participants.tsv, value by value. Of several scans in a session the
    first is used, of several labelled sessions the first (``ingest/selection.py`` says what first means).

    Args:
        root: the data set: the folder of participants.tsv, or a folder below its ``derivatives``.
        spec: the cohort definition.

    Raises:
        CohortError: if tables or images are missing, contradict each other, or no diagnosis has a class.
    """
    folder = tables_root(root)
    participants = read_participants(folder, spec)
    sessions = read_sessions(folder, list(participants["participant_id"]), spec)
    _require_label_column(participants, sessions, folder, spec)
    check_listed_scans(root, spec.suffix)
    found = _describe(_find_scans(root, spec), participants, sessions, spec)
    chosen, dropped = _choose(found, participants, folder, spec)
    missing = ~participants["participant_id"].isin(found["participant_id"])
    flow = (
        flow_step("participants listed", _names(participants, spec), unit="participants"),
        flow_step(
            f"no {spec.suffix} scan", _names(participants[missing], spec), kind="dropped", unit="participants"
        ),
        flow_step(f"{spec.suffix} scans found", found["shown"]),
        *dropped,
        flow_step("scans used", chosen["shown"]),
    )
    ages, warnings = _ages(chosen["age"], folder)
    table = chosen.assign(age=ages, label=chosen["shown"].map(list(spec.classes).index).astype("int64"))
    table = table.sort_values(["participant_id", "session_id"], ignore_index=True)[list(COHORT_COLUMNS)]
    return CohortTable(table, tuple(step for step in flow if step.kind == "kept" or step.count), warnings)


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


def _describe(
    scans: pd.DataFrame, participants: pd.DataFrame, sessions: pd.DataFrame, spec: CohortSpec
) -> pd.DataFrame:
    """Add diagnosis, age, sex, site, acq_time, listed (a participant of the table) and shown (for the flow)."""
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
    result["sex"] = [_SEX.get(value.lower(), value) for value in result["sex"]]
    result["site"] = result["site"].replace(MISSING, "unknown")
    result["shown"] = _names(result, spec)
    return result


def _choose(
    found: pd.DataFrame, participants: pd.DataFrame, folder: Path, spec: CohortSpec
) -> tuple[pd.DataFrame, list[FlowStep]]:
    """Apply the rules one after another; return the rows that stay and a step for each rule."""
    steps: list[FlowStep] = []
    table = folder / "participants.tsv"

    def keep(rows: pd.DataFrame, mask: pd.Series, reason: str) -> pd.DataFrame:
        steps.append(flow_step(reason, rows.loc[~mask, "shown"], kind="dropped"))
        return rows[mask]

    rows = keep(found, found["listed"], "participant not in participants.tsv")
    if rows.empty:
        raise CohortError(
            f"{table}: lists none of the participants with images (images: {found['participant_id'].iloc[0]}, …; "
            f"table: {participants['participant_id'].iloc[0] if len(participants) else 'no rows'}, …); "
            "make the identifiers equal"
        )
    refuse_without_labels(rows["diagnosis"], spec, str(table))
    rows = keep(rows, rows["diagnosis"] != MISSING, f"{spec.label_column} is n/a")
    known = rows["diagnosis"].map(lambda value: class_of(value, spec) is not None)
    outside = describe_values(rows.loc[~known, "diagnosis"])
    rows = keep(rows, known, f"{spec.label_column} of no class: {outside}")
    rows = keep(rows, first_variant(rows), "another run or variant in the same session")
    rows = keep(rows, first_session(rows), "a later session of the same participant")
    return rows, steps


def _names(rows: pd.DataFrame, spec: CohortSpec) -> list[str]:
    """Return the class a row belongs to, or the delivered value where no class has it."""
    return [class_of(value, spec) or value for value in rows["diagnosis"]]


def _ages(values: pd.Series, folder: Path) -> tuple[pd.Series, tuple[str, ...]]:
    """Return ages in years; "89+" (top-coded, as BIDS advises) counts as 89, other text as unknown."""
    ages = pd.to_numeric(values.str.removesuffix("+"), errors="coerce").astype("float64")
    warnings = []
    top = values.str.fullmatch(r"[\d.]+\+")
    if top.any():
        warnings.append(
            f"{folder.name}: {int(top.sum())} top-coded ages such as '{values[top].iloc[0]}' count as the number"
        )
    unreadable = values[ages.isna() & (values != MISSING)]
    if len(unreadable):
        warnings.append(
            f"{folder.name}: ages that are not numbers count as unknown: {describe_values(unreadable)}"
        )
    return ages, tuple(warnings)
