"""Miniature tables of ADNI, and scans as the reader of the image archive hands them over; nobody was scanned."""

from pathlib import Path

import pandas as pd

from neurofocus.ingest.flow import FlowStep
from neurofocus.ingest.scans import SCAN_COLUMNS, FoundScans

MERGE = "RID,COLPROT,PTID,SITE,VISCODE,EXAMDATE,DX_bl,AGE,PTGENDER,FLDSTRENG,DX,Month"
SUMMARY = "PHASE,PTID,RID,VISCODE,VISCODE2,EXAMDATE,DIAGNOSIS,USERDATE"


def put(path: Path, header: str, *rows: str) -> None:
    path.write_text("".join(line + "\n" for line in (header, *rows)), encoding="utf-8")


def merge(root: Path, *rows: str, name: str = "ADNIMERGE_12Oct2024.csv") -> None:
    """Write ADNIMERGE from rows such as ``816 bl 2006-03-01 MCI`` (a dot is a blank cell)."""
    lines = []
    for row in rows:
        rid, visit, day, diagnosis = row.split()
        month = "0" if visit == "bl" else visit.removeprefix("m").lstrip("0")
        cells = [
            rid,
            "ADNI1",
            f"002_S_{int(rid):04d}",
            "2",
            visit,
            day,
            "LMCI",
            "70.0",
            "Female",
            "",
            diagnosis,
            month,
        ]
        lines.append(",".join("" if cell == "." else cell for cell in cells))
    put(root / name, MERGE, *lines)


def scans(*rows: str) -> FoundScans:
    """Return scans from rows such as ``0816 sc 2006-02-20 LMCI``; an underscore is a space, image ids count up."""
    made = []
    for number, row in enumerate(rows, start=1):
        rid, visit, day, group = row.split()
        made.append(
            {
                **SCAN_COLUMNS,
                "participant_id": f"sub-ADNI002S{rid}",
                "session_id": "ses-" + visit.replace("_", ""),
                "path": f"/data/{number}.nii",
                "acq_time": "n/a" if day == "." else day,
                "visit": visit.replace("_", " "),
                "image_id": str(number),
                "description": "MPRAGE",
                "age": "71.5",
                "age_source": "collection.csv:Age",
                "subject": f"002_S_{rid}",
                "group": group,
            }
        )
    return FoundScans(pd.DataFrame(made), "collection.csv", (FlowStep("scans found", len(made), {}),))


def diagnoses(found: FoundScans) -> dict[str, str]:
    return dict(zip(found.frame["image_id"], found.frame["diagnosis"], strict=True))


def dropped(found: FoundScans) -> dict[str, dict[str, int]]:
    return {step.step: dict(step.by_label) for step in found.steps if step.kind == "dropped"}
