"""OASIS-2 as delivered: NIfTI or Analyze pairs of 150 people, two or more visits each (Marcus et al. 2010).

Each session folder ``OAS2_xxxx_MRy`` holds three or four acquisitions of one visit.
"""

import re
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.flow import flow_step
from neurofocus.ingest.oasis.storage import stored_orientations
from neurofocus.ingest.oasis.tables import (
    check_call,
    delivered_table,
    image_pairs,
    listed_sessions,
    people_steps,
    shown_labels,
)
from neurofocus.ingest.scans import FoundScans
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["read_oasis2"]

_FOLDER = re.compile(r"OAS2_(?P<person>\d{4})_MR(?P<number>\d+)", re.IGNORECASE)
_NAME = re.compile(r"(?:OAS2_\d{4}_MR\d+_)?mpr-(?P<run>\d+)(?:\.nifti|_anon)?", re.IGNORECASE)


def read_oasis2(root: Path, spec: CohortSpec) -> FoundScans:
    """Read an OASIS-2 download (OAS2_RAW_PART1 and PART2, at any depth).

    The diagnosis is the CDR score at the visit as text, followed by what makes it doubtful: ``0, later converted``
    and ``0.5, converted`` for people of the group Converted, ``0.5, group Nondemented`` and ``0, group Demented``
    where the group contradicts the score. Such texts are of no class unless the definition lists them.

    Args:
        root: the folder with the images and oasis_longitudinal….csv.
        spec: the cohort definition; its table role is ``participants``.

    Raises:
        CohortError: if the table or the images are missing, or the table contradicts itself.
    """
    check_call(root, spec, "cdr")
    table = delivered_table(root, "participants", spec)
    sessions = listed_sessions(table)
    sessions["diagnosis"] = [
        _diagnosis(cdr, group) for cdr, group in zip(sessions["cdr"], sessions["group"], strict=True)
    ]
    scans, warnings = _find_scans(root, spec)
    found = scans.join(sessions, on="session").fillna(MISSING)
    found["diagnosis_source"] = found["cdr_source"]
    source = ", ".join(table.delivered)
    listed = found["session"].isin(sessions.index)
    kept = found[listed]
    if kept.empty:
        raise CohortError(f"{source}: holds none of the sessions on disk ({found['session'].iloc[0]}, …)")
    people = sessions["diagnosis"].groupby(sessions.index.map(_person)).first()
    steps = [
        *people_steps(people, found["session"].map(_person), spec),
        flow_step("images found", shown_labels(found["diagnosis"], spec)),
        flow_step(
            "session not in the table", shown_labels(found.loc[~listed, "diagnosis"], spec), kind="dropped"
        ),
    ]
    orientations, remarks = stored_orientations(kept, spec)
    remarks = (*table.warnings, *warnings, *remarks)
    return FoundScans(kept.assign(orientation=orientations), source, tuple(steps), remarks)


def _person(session: str) -> str:
    return session.rpartition("_")[0]


def _diagnosis(cdr: str, group: str) -> str:
    """Return the score, with the group where it does not simply say the same."""
    kind = group.lower().replace("-", "").replace(" ", "")
    if cdr == MISSING:
        return MISSING
    if kind == "converted":
        return f"{cdr}, later converted" if cdr == "0" else f"{cdr}, converted"
    if kind == ("nondemented" if cdr == "0" else "demented"):
        return cdr
    return f"{cdr}, group {group}"


def _find_scans(root: Path, spec: CohortSpec) -> tuple[pd.DataFrame, tuple[str, ...]]:
    rows = []
    pairs, warnings = image_pairs(root)
    for path in pairs:
        name = _NAME.fullmatch(path.stem)
        places = [place for part in path.absolute().parts if (place := _FOLDER.match(part))]
        if name is None or not places:
            continue
        session = places[-1]
        rows.append(
            {
                "participant_id": f"sub-{spec.participant_prefix}{session['person']}",
                "session_id": f"ses-MR{int(session['number'])}",
                "session": session[0].upper(),
                "path": str(path.absolute()),
                "run": int(name["run"]),
                "visit": f"MR{int(session['number'])}",
                "description": f"RAW mpr-{int(name['run'])}",
                "processing": "original",
            }
        )
    if not rows:
        raise CohortError(
            f"{root}: no image OAS2_xxxx_MRy/RAW/mpr-1.nifti.hdr with its .img in this folder or below; unpack "
            "OAS2_RAW_PART1.tar.gz and OAS2_RAW_PART2.tar.gz here, or point --data at the folder that holds them"
        )
    return pd.DataFrame(rows), warnings
