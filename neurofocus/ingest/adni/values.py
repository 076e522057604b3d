"""Age, sex, site and field strength of ADNI scans where the image tables do not say them."""

import re
from collections.abc import Sequence

import pandas as pd

from neurofocus.ingest.adni.diagnoses import Diagnoses
from neurofocus.ingest.adni.match import Match
from neurofocus.tables import MISSING

__all__ = ["fill_missing", "fill_values"]


def fill_values(frame: pd.DataFrame, matches: Sequence[Match], diagnoses: Diagnoses) -> pd.DataFrame:
    """Return the scans with values filled in where they are missing, each with where it comes from.

    ADNIMERGE's AGE is the age at baseline: the months of the scan's visit are added. The site is the first three
    digits of the subject identifier. The field strength is that of the visit's main MRI in ADNIMERGE.

    Args:
        frame: the scans.
        matches: one a scan, each with a visit.
        diagnoses: of the delivery.
    """
    values: dict[str, list[tuple[object, str]]] = {"age": [], "sex": [], "site": [], "field_strength": []}
    for subject, match in zip(frame["subject"], matches, strict=True):
        person = diagnoses.people.get(match.rid) if match.rid is not None else None
        months = match.month if match.month is not None else match.visit.month if match.visit else None
        if person is None or pd.isna(person.baseline_age) or months is None:
            values["age"].append((MISSING, MISSING))
        else:
            age = round(person.baseline_age + months / 12, 2)
            values["age"].append((age, f"{person.age_source} + {months} months"))
        values["sex"].append((person.sex, person.sex_source) if person else (MISSING, MISSING))
        values["site"].append((subject[:3], "subject identifier"))
        tesla = match.visit.field_strength if match.visit else MISSING
        values["field_strength"].append((tesla, "ADNIMERGE, main MRI of the visit"))
    filled = frame.copy()
    for column, pairs in values.items():
        fill_missing(filled, column, pairs)
    return filled.assign(field_strength=filled["field_strength"].map(_tesla))


def fill_missing(frame: pd.DataFrame, column: str, pairs: Sequence[tuple[object, str]]) -> None:
    """Fill a column's missing values, and where they come from; a known value keeps its own source."""
    source = f"{column}_source"
    old = list(frame[column]) if column in frame.columns else [MISSING] * len(frame)
    told = list(frame[source]) if source in frame.columns else [MISSING] * len(frame)
    new = [
        (value, where) if not _missing(value) else (other, place if not _missing(other) else MISSING)
        for value, where, (other, place) in zip(old, told, pairs, strict=True)
    ]
    frame[column] = pd.Series([value for value, _ in new], index=frame.index, dtype=object)
    frame[source] = pd.Series([where for _, where in new], index=frame.index, dtype=object)


def _missing(value: object) -> bool:
    return value is None or value in (MISSING, "") or (isinstance(value, float) and pd.isna(value))


def _tesla(value: object) -> str:
    """Return a field strength as 1.5 or 3, whether it was "3.0" or "3 Tesla MRI"; other text stays."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(\s*(t|tesla)( mri)?)?", str(value).strip().lower())
    return f"{float(match[1]):g}" if match else str(value)
