"""OASIS-3 as delivered by XNAT or NITRC-IR: T1-weighted NIfTI files found by name, labels from clinical visits.

The download scripts put files into folders of several shapes; a file's own name, or the session folder around
it, says whose it is: ``OAS30001_MR_d0129``.
"""

import re
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.delivered import DeliveredTable
from neurofocus.ingest.flow import FlowStep, flow_step
from neurofocus.ingest.labels import class_of
from neurofocus.ingest.oasis.oasis3_people import DAYS_A_YEAR, entry_ages, field_strengths, first_known
from neurofocus.ingest.oasis.oasis3_visits import Visit, diagnosis_near, read_visits
from neurofocus.ingest.oasis.tables import check_call, files_below, optional_table, shown_labels
from neurofocus.ingest.scans import FoundScans
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["read_oasis3"]

_SESSION = re.compile(r"(OAS3\d{4})_(?:MR|sess?[-_])_?(d\d+)", re.IGNORECASE)
_T1W = re.compile(r"(?:.*[_-])?T1w\.nii(\.gz)?", re.IGNORECASE)
_RUN = re.compile(r"run-?(\d+)", re.IGNORECASE)
_DERIVED = re.compile(r"(?:^|_)(space|desc|label)-", re.IGNORECASE)


def read_oasis3(root: Path, spec: CohortSpec) -> FoundScans:
    """Read an OASIS-3 download: T1w images at any depth, and the tables of OASIS3_data_files.

    The diagnosis is that of the clinical visit nearest to the scan (at most ``spec.match_days`` away):
    ``CN`` = CDR 0 and cognitively normal there and at all later visits, ``CN, uncertain later`` if not at all later
    ones, ``AD`` = CDR 0.5 or more and Alzheimer's dementia, ``AD, normal later`` if a later one is ``CN``, otherwise
    score and words (``CDR 0.5, uncertain dementia``). Age at the scan is the age at entry plus the days since.

    Args:
        root: the folder with images and tables.
        spec: the cohort definition; table roles ``cdr``, ``diagnoses``, ``demographics``, ``scanners``.

    Raises:
        CohortError: if the table of CDR scores or the images are missing, or a file's name contradicts its folder.
    """
    check_call(root, spec, "stable_cdr")
    visits, table, warnings = read_visits(root, spec)
    images, notes = _find_images(root, spec)
    found = _label(images, visits, spec)
    found, remarks = _describe(found, table, root, spec)
    again = found.duplicated(["session", "copy"])
    seen = found["subject"].isin(visits)
    near = found["diagnosis"] != MISSING
    source = ", ".join(table.delivered)
    rows = found[~again & seen & near]
    if rows.empty:
        raise CohortError(
            f"{source}: no scan on disk ({found['session'].iloc[0]}, …) has a visit within {spec.match_days} days; "
            "check that images and tables are of one release"
        )
    reasons = {
        "another file of the same name in the session": again,
        "participant not in the table of visits": ~again & ~seen,
        f"no clinical visit within {spec.match_days} days": ~again & seen & ~near,
    }
    steps = [
        *_people_steps(visits, found, spec),
        flow_step("images found", shown_labels(found["diagnosis"], spec)),
        *(
            flow_step(reason, shown_labels(found.loc[mask, "diagnosis"], spec), kind="dropped")
            for reason, mask in reasons.items()
        ),
    ]
    return FoundScans(rows, source, tuple(steps), (*warnings, *notes, *remarks))


def _find_images(root: Path, spec: CohortSpec) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return session, subject, day, path, run and copy (equal for copies of one image), one row an image."""
    rows, derived, nameless = [], [], []
    for path in files_below(root, ".nii", ".nii.gz"):
        if _T1W.fullmatch(path.name) is None:
            continue
        match = _session_of(path)
        if match is None:
            nameless.append(path.name)
        elif _DERIVED.search(path.name):
            derived.append(path.name)
        else:
            run = _RUN.search(path.name)
            subject, day = match[1].upper(), match[2].lower()
            rows.append(
                {
                    "session": f"{subject}_MR_{day}",
                    "subject": subject,
                    "day": int(day[1:]),
                    "participant_id": f"sub-{spec.participant_prefix}{subject}",
                    "session_id": f"ses-{day}",
                    "visit": day,
                    "path": str(path.absolute()),
                    "run": int(run[1]) if run else 0,
                    "copy": _plain_name(path, match),
                    "description": "T1w",
                    "processing": "original",
                }
            )
    if not rows:
        raise CohortError(
            f"{root}: no image sub-OAS3xxxx_ses-dxxxx[_run-01]_T1w.nii.gz in this folder or below; check that the "
            "T1w scans were downloaded and that --data is the folder that holds them"
        )
    notes = [
        f"{len(names)} T1w files are left out, {reason}: {names[0]}, …"
        for names, reason in (
            (nameless, "neither name nor folder says whose they are"),
            (derived, "they are derived"),
        )
        if names
    ]
    return pd.DataFrame(rows), tuple(notes)


def _session_of(path: Path) -> re.Match[str] | None:
    """Return the session that a file's name says, else the nearest folder's.

    Raises:
        CohortError: if name and folder say two sessions.
    """
    own = _SESSION.search(path.name)
    folder = next((match for part in reversed(path.parts[:-1]) if (match := _SESSION.search(part))), None)
    if own is None or folder is None:
        return own or folder
    if [text.upper() for text in own.groups()] != [text.upper() for text in folder.groups()]:
        raise CohortError(
            f"{path.name}: the name does not fit its folder ({folder.string}); move or rename the file"
        )
    return own


def _plain_name(path: Path, session: re.Match[str]) -> str:
    """Return a file name without its session and packing; images of one session that share it are copies."""
    if session.string != path.name:
        return str(path)  # the name says nothing: two of them are two images
    rest = path.name[session.end() :].lower()
    return rest.removesuffix(".gz")


def _label(images: pd.DataFrame, visits: dict[str, list[Visit]], spec: CohortSpec) -> pd.DataFrame:
    nearest = [
        diagnosis_near(visits.get(subject, []), day, spec.match_days)
        for subject, day in zip(images["subject"], images["day"], strict=True)
    ]
    return images.assign(
        diagnosis=[MISSING if visit is None else visit.diagnosis for visit in nearest],
        diagnosis_source=[MISSING if visit is None else visit.source for visit in nearest],
    )


def _describe(
    found: pd.DataFrame, cdr: DeliveredTable, root: Path, spec: CohortSpec
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Add age, sex, field strength and manufacturer, with where they stand."""
    demographics = optional_table(root, "demographics", spec)
    scanners = optional_table(root, "scanners", spec)
    ages = entry_ages(cdr, demographics)
    entry = [ages.get(subject, (None, MISSING)) for subject in found["subject"]]
    sexes = first_known(demographics, "subject", "sex")
    sex = [sexes.get(subject, (MISSING, MISSING)) for subject in found["subject"]]
    makers = first_known(scanners, "session", "manufacturer")
    strengths = field_strengths(scanners)
    described = found.assign(
        age=[
            MISSING if age is None else round(age + day / DAYS_A_YEAR, 2)
            for (age, _), day in zip(entry, found["day"], strict=True)
        ],
        age_source=[source for _, source in entry],
        sex=[value for value, _ in sex],
        sex_source=[source for _, source in sex],
        manufacturer=[makers.get(session.upper(), (MISSING, MISSING))[0] for session in found["session"]],
        field_strength=[strengths.get(session.upper(), MISSING) for session in found["session"]],
    )
    absent = [
        f"no table {role!r} ({' or '.join(spec.tables[role].files)}): {what} unknown"
        for role, table, what in (
            ("demographics", demographics, "sex is"),
            ("scanners", scanners, "manufacturer and field strength are"),
        )
        if table is None
    ]
    older = (*(demographics.warnings if demographics else ()), *(scanners.warnings if scanners else ()))
    return described, (*absent, *older)


def _people_steps(
    visits: dict[str, list[Visit]], found: pd.DataFrame, spec: CohortSpec
) -> tuple[FlowStep, FlowStep]:
    """Return how many people have visits, and how many of them no image; by their first visit, briefly."""
    first = {subject: class_of(own[0].diagnosis, spec) or "other" for subject, own in visits.items()}
    present = set(found["subject"])
    missing = [label for subject, label in first.items() if subject not in present]
    return (
        flow_step("participants with visits", first.values(), unit="participants"),
        flow_step("no image", missing, kind="dropped", unit="participants"),
    )
