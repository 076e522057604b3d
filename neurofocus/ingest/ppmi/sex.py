"""PPMI's Demographics table: the sex of participants by a numeric code, checked before it is believed."""

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from neurofocus.ingest.delivered import DeliveredTable
from neurofocus.ingest.labels import describe_values
from neurofocus.ingest.ppmi.status import plain_number
from neurofocus.ingest.scans import FoundScans
from neurofocus.ingest.values import normal_sex
from neurofocus.tables import MISSING

__all__ = ["with_sex"]

# Two codings were met in descriptions of the table; a third (0 and 1 female, 2 male) belongs to an older table,
# whose column has another name and is not read.
_READINGS = (
    ("0 female, 1 male", {"0": "F", "1": "M"}),
    ("1 male, 2 female", {"1": "M", "2": "F"}),
)


def with_sex(found: FoundScans, table: DeliveredTable) -> FoundScans:
    """Fill sexes that the image table does not give, and compare the others: letters win over codes.

    Args:
        found: scans with ``subject``, ``sex`` and ``sex_source``.
        table: Demographics: participant and sex.
    """
    file = ", ".join(table.delivered)
    notes = [*found.warnings, *table.warnings]
    cells = table.frame["sex"].map(plain_number)
    name, sexes = _decoded(cells)
    if sexes is None:
        notes.append(
            f"{file}: sexes {describe_values(cells)} fit none of the known codes, so this table's sex is not used"
        )
        return replace(found, warnings=tuple(notes))
    known = sexes.where(sexes != MISSING).groupby(table.frame["participant"].map(plain_number))
    torn = known.nunique() > 1
    if torn.any():
        notes.append(
            f"{file}: {int(torn.sum())} participants have rows of different sex, none of which is used"
        )
    own = normal_sex(found.frame["sex"])
    said = found.frame["subject"].map(plain_number).map(known.first()[~torn]).fillna(MISSING).astype(object)
    both = (own != MISSING) & (said != MISSING)
    different = int((own != said)[both].sum())
    if different * 2 > int(both.sum()):
        notes.append(
            f"{file}: sex read as {name} contradicts the image table for {different} of {int(both.sum())} scans; "
            "its code must be another one, so this table's sex is not used"
        )
        return replace(found, warnings=tuple(notes))
    if different:
        notes.append(f"{file}: {different} scans have another sex in the image table, which is used")
    fill = (own == MISSING) & (said != MISSING)
    if fill.any():
        notes.append(
            f"{file}: {int(fill.sum())} scans get their sex from it, read as {name} "
            f"(confirmed by {int(both.sum()) - different} scans whose sex the image table gives too)"
        )
    frame = found.frame.assign(
        sex=own.where(~fill, said),
        sex_source=found.frame["sex_source"].mask(fill, f"{file}:{table.delivered[file]['sex']}"),
    )
    return replace(found, frame=frame, warnings=tuple(notes))


def _decoded(cells: pd.Series) -> tuple[str, pd.Series | None]:
    """Return the reading that fits all codes and the sexes as letters; None if none does."""
    values = set(cells) - {MISSING}
    if not any(value.isdecimal() for value in values):
        return "letters", normal_sex(cells)
    return next(
        ((name, cells.map(code).fillna(MISSING).astype(object)) for name, code in _fitting(values)),
        ("", None),
    )


def _fitting(values: Iterable[str]) -> list[tuple[str, dict[str, str]]]:
    return [(name, code) for name, code in _READINGS if set(values) <= set(code)]
