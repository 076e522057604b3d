"""OASIS-1 as delivered on discs: Analyze pairs of 416 people and one table (Marcus et al. 2007, J Cogn Neurosci 19).

Each session folder ``OAS1_xxxx_MRy`` holds single acquisitions (RAW), their average (SUBJ_111) and the average
registered to the atlas of Talairach (T88_111, not MNI152).
"""

import re
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.flow import FlowStep, flow_step
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

__all__ = ["read_oasis1"]

# Name of a header file -> what to call the series. The n4 of averages counts the acquisitions averaged.
_NAME = re.compile(
    r"(?P<session>OAS1_(?P<person>\d{4})_MR(?P<number>\d+))_mpr"
    r"(?:-(?P<run>\d+)_anon|_(?P<average>n\d+)_anon(?P<kind>_sbj_111|_111_t88_gfc|_111_t88_masked_gfc))",
    re.IGNORECASE,
)
_KINDS = {
    "_sbj_111": "SUBJ_111 averaged",
    "_111_t88_gfc": "T88_111 gfc",
    "_111_t88_masked_gfc": "T88_111 masked gfc",
}


def read_oasis1(root: Path, spec: CohortSpec) -> FoundScans:
    """Read an OASIS-1 download: discs at any depth, or session folders directly.

    The diagnosis is the CDR score as text (``0``, ``0.5``, ``1``, ``2``). Left out here and counted: reliability
    rescans (``_MR2``), and people whose CDR was never assessed.

    Args:
        root: the folder with the discs and oasis_cross-sectional.csv.
        spec: the cohort definition; its table role is ``participants``.

    Raises:
        CohortError: if the table or the images are missing, or the table contradicts itself.
    """
    check_call(root, spec, "cdr")
    table = delivered_table(root, "participants", spec)
    sessions = listed_sessions(table)
    found, warnings = _find_scans(root, spec)
    source = ", ".join(table.delivered)
    found = found.join(sessions, on="session").fillna(MISSING)
    found["diagnosis"], found["diagnosis_source"] = found["cdr"], found["cdr_source"]
    kept, steps = _leave_out(found, sessions, spec)
    if kept.empty:
        raise CohortError(f"{source}: holds none of the sessions on disk ({found['session'].iloc[0]}, …)")
    orientations, remarks = stored_orientations(kept, spec)
    kept = kept.assign(orientation=orientations)
    return FoundScans(kept, source, steps, (*table.warnings, *warnings, *remarks))


def _find_scans(root: Path, spec: CohortSpec) -> tuple[pd.DataFrame, tuple[str, ...]]:
    rows = []
    pairs, warnings = image_pairs(root)
    for path in pairs:
        match = _NAME.fullmatch(path.stem)
        if match is None:  # segmentations
            continue
        kind = f"RAW mpr-{match['run']}"
        if match["run"] is None:
            kind = f"{_KINDS[match['kind'].lower()]} {match['average'].lower()}"
        rows.append(
            {
                "participant_id": f"sub-{spec.participant_prefix}{match['person']}",
                "session_id": f"ses-MR{int(match['number'])}",
                "session": match["session"].upper(),
                "path": str(path.absolute()),
                "run": int(match["run"] or 0),
                "description": kind,
                "processing": "original" if match["run"] else "processed",
            }
        )
    if not rows:
        raise CohortError(
            f"{root}: no image OAS1_xxxx_MR1_….hdr with its .img in this folder or below; unpack the discs "
            "(oasis_cross-sectional_disc1.tar.gz …) here, or point --data at the folder that holds them"
        )
    return pd.DataFrame(rows), warnings


def _leave_out(
    found: pd.DataFrame, sessions: pd.DataFrame, spec: CohortSpec
) -> tuple[pd.DataFrame, tuple[FlowStep, ...]]:
    """Return the images of first scans of assessed people, and what was counted on the way."""
    first = sessions[sessions.index.str.endswith("_MR1")]
    steps = [
        *people_steps(first["cdr"], found["session"], spec),
        flow_step("images found", shown_labels(found["diagnosis"], spec)),
    ]
    rows = found
    for reason, mask in (
        ("rescan of the same person (_MR2)", found["session_id"] != "ses-MR1"),
        ("session not in the table", ~found["session"].isin(sessions.index)),
        ("CDR never assessed (mostly the young)", found["diagnosis"] == MISSING),
    ):
        leaving = mask.reindex(rows.index)
        steps.append(flow_step(reason, shown_labels(rows.loc[leaving, "diagnosis"], spec), kind="dropped"))
        rows = rows[~leaving]
    return rows, tuple(steps)
