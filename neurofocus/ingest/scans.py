"""What every layout reader returns: all scans that it found, with whatever the archive says about each."""

from dataclasses import dataclass

import pandas as pd

from neurofocus.ingest.flow import FlowStep
from neurofocus.tables import MISSING

__all__ = ["SCAN_COLUMNS", "FoundScans", "with_all_columns"]

# Column -> the value where the archive says nothing. ``*_source`` says where a value stands: FILE:COLUMN.
SCAN_COLUMNS: dict[str, str | int] = {
    "participant_id": MISSING,
    "session_id": MISSING,
    "path": MISSING,
    "space": "native",
    "orientation": "header",
    "run": 0,
    "entities": 0,
    "session_order": 0,
    "acq_time": MISSING,
    "visit": MISSING,
    "image_id": MISSING,
    "description": MISSING,
    "processing": MISSING,
    "field_strength": MISSING,
    "manufacturer": MISSING,
    "diagnosis": MISSING,
    "diagnosis_source": MISSING,
    "age": MISSING,
    "age_source": MISSING,
    "sex": MISSING,
    "sex_source": MISSING,
    "site": MISSING,
    "site_source": MISSING,
}


@dataclass(frozen=True)
class FoundScans:
    """The scans of a delivered cohort before any is left out by the cohort's rules.

    Attributes:
        frame: one row an image, columns ``SCAN_COLUMNS``. ``path`` is absolute (a file, or the folder of a DICOM
            series); ``session_order`` (1, 2, …; 0: not said) and then ``acq_time`` (ISO 8601, never written out)
            order the sessions of a person; ``run`` and ``entities`` order the images of one session (lower
            first); ``age`` is text or a number of years; ``orientation`` is "header", or where the voxel axes run to
            (``ASL``) if the file's header cannot say.
        source: what the diagnoses stand in, for messages.
        steps: what was counted and left out while reading.
        warnings: what a person should know.
    """

    frame: pd.DataFrame
    source: str
    steps: tuple[FlowStep, ...] = ()
    warnings: tuple[str, ...] = ()


def with_all_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with the columns of ``SCAN_COLUMNS`` only, in their order; missing values are filled."""
    filled = frame.reindex(columns=list(SCAN_COLUMNS)).astype(object)
    for name, value in SCAN_COLUMNS.items():
        filled[name] = filled[name].where(filled[name].notna(), value)
    return filled
