"""How volumes are stored whose headers do not say: by the cohort definition, checked against the field of view.

Analyze 7.5 headers hold no orientation that can be trusted, and early NIfTI pairs may leave both their forms
unset. Then the definition's ``orientations`` speak.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.filebasedimages import ImageFileError
from nibabel.nifti1 import Nifti1Header

from neurofocus.ingest.series import plain_words, unusable_series
from neurofocus.schema.cohort import CohortSpec

__all__ = ["stored_orientations"]

_TOLERANCE_MM = 1.0


@dataclass(frozen=True)
class _Choice:
    """How one file is read: the start of its description, the orientation and why."""

    start: str
    orientation: str
    reason: str


def stored_orientations(scans: pd.DataFrame, spec: CohortSpec) -> tuple[pd.Series, tuple[str, ...]]:
    """Return ``header`` or three letters for each scan, and warnings about what was met.

    The first orientation of the definition is used in which the head's width is the shortest and its length the
    longest edge of the field of view. Headers are read of series that the definition allows only.

    Args:
        scans: columns path and description.
        spec: the cohort definition.
    """
    usable = unusable_series(scans["description"], spec.series) == ""
    choices = [
        _choose(Path(path), description, spec) if allowed else _Choice("", "header", "")
        for path, description, allowed in zip(scans["path"], scans["description"], usable, strict=True)
    ]
    warnings = tuple(_warning(choice, count) for choice, count in Counter(choices).items() if choice.reason)
    letters = pd.Series([choice.orientation for choice in choices], index=scans.index, dtype=object)
    return letters, warnings


def _choose(path: Path, description: str, spec: CohortSpec) -> _Choice:
    words = plain_words(description)
    start = next((name for name in spec.orientations if words.startswith(plain_words(name))), None)
    if start is None:
        return _Choice("", "header", "")
    said, extents = _header(path)
    if said:
        return _Choice(start, "header", "header")
    choices = spec.orientations[start]
    if extents is None:  # preparation will say what is wrong with the file
        return _Choice(start, choices[0], "rule")
    fitting = next((letters for letters in choices if _fits_head(letters, extents)), None)
    return _Choice(start, fitting or choices[0], "rule" if fitting else "misfit")


def _header(path: Path) -> tuple[bool, Sequence[float] | None]:
    """Return whether a file's header says how it is stored, and its edges in mm (None if it cannot be read)."""
    try:
        header = nib.load(path).header
        edges = np.abs(np.array(header.get_zooms()[:3], dtype=float)) * np.array(header.get_data_shape()[:3])
    except (OSError, ValueError, ImageFileError):
        return False, None
    if len(edges) != 3 or not np.isfinite(edges).all():
        return False, None
    said = isinstance(header, Nifti1Header) and (header["sform_code"] > 0 or header["qform_code"] > 0)
    return bool(said), tuple(float(edge) for edge in edges)


def _fits_head(letters: str, extents: Sequence[float]) -> bool:
    """Whether the field of view suits a head stored like this: narrowest from ear to ear, longest front to back."""
    edges = {letter: extent for letter, extent in zip(letters, extents, strict=True)}
    width = next(edges[letter] for letter in "RL" if letter in edges)
    length = next(edges[letter] for letter in "AP" if letter in edges)
    return width <= min(extents) + _TOLERANCE_MM and length >= max(extents) - _TOLERANCE_MM


def _warning(choice: _Choice, count: int) -> str:
    scans = f"{count} {'scan' if count == 1 else 'scans'} ({choice.start}…)"
    if choice.reason == "header":
        return f"{scans}: the header says how the file is stored; it is believed"
    told = (
        f"{scans}: the header does not say how the file is stored; read as {choice.orientation} by the cohort "
        "definition ('orientations'); left and right are unverified, do not interpret their difference"
    )
    if choice.reason == "misfit":
        return f"{told}; the field of view suits no head stored like that: look at prepared frames first"
    return told
