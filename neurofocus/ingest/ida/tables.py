"""Image tables of LONI IDA: the CSV of a collection and that of an advanced search, one row an image."""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.delivered import DeliveredTable, find_table
from neurofocus.ingest.series import plain_words
from neurofocus.ingest.values import dates, normal_sex
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["IMAGE_VALUES", "ImageTable", "is_processed", "read_image_table"]

# What an image table may say about an image, by the names of the cohort definition's table "images".
IMAGE_VALUES = (
    "subject",
    "group",
    "sex",
    "age",
    "visit",
    "site",
    "description",
    "type",
    "acq_date",
    "protocol",
)
# Rows of one image must agree in these, whichever file they stand in; in the visit only within one file, because a
# collection says m12 where a search says "ADNI1/GO Month 12".
_SAME = ("subject", "group", "sex", "description", "type", "acq_date")
_AGE_TOLERANCE = 1.0  # a collection rounds to whole years


@dataclass(frozen=True)
class ImageTable:
    """All image tables of a delivery as one.

    Attributes:
        frame: one row an image; the index holds the digits of its identifier; columns ``IMAGE_VALUES`` (text, "n/a"
            where no table says anything; ``acq_date`` ISO) and ``NAME_source`` (FILE:COLUMN).
        source: the names of the files.
        warnings: what a person should know.
    """

    frame: pd.DataFrame
    source: str
    warnings: tuple[str, ...]


def read_image_table(root: Path, spec: CohortSpec) -> ImageTable | None:
    """Read every image table in the folder or one below; None if there is none.

    Raises:
        CohortError: if the cohort definition has no table ``images``, an identifier or a date cannot be read, or two
            rows of one image contradict each other.
    """
    if "images" not in spec.tables:
        raise CohortError(
            f"cohort {spec.name!r}: layout {spec.layout!r} needs 'tables.images' in the cohort definition"
        )
    found = find_table(root, "images", spec.tables["images"])
    if found is None:
        return None
    ids = _identifiers(found)
    values = _values(found)
    warnings = list(found.warnings)
    blank = int((ids == "").sum())
    if blank:
        warnings.append(
            f"{', '.join(found.delivered)}: {blank} rows without an image identifier are not used"
        )
    if ids[ids != ""].duplicated().any():
        warnings.extend(_check_repeated(found, ids, values))
    sources = {
        f"{name}_source": pd.Series(found.sources(name), dtype=object).where(values[name] != MISSING, None)
        for name in IMAGE_VALUES
    }
    both = values.mask(values == MISSING, None).assign(**sources)
    merged = both[ids != ""].groupby(ids[ids != ""], sort=False).first()
    frame = merged.astype(object).where(merged.notna(), MISSING)
    return ImageTable(frame, ", ".join(found.delivered), tuple(warnings))


def is_processed(kind: str) -> bool:
    """Say whether the archive's type means that: Processed, Pre-processed or Post-processed; the other is Original."""
    return "processed" in kind.lower()


def _identifiers(table: DeliveredTable) -> pd.Series:
    """Return the digits of each row's image identifier, "" where it has none."""
    found = []
    for row, text in enumerate(table.frame["image_id"]):
        match = re.fullmatch(r"[Ii]?(\d+)(?:\.0+)?", text)
        if match is None and text != MISSING:
            raise CohortError(
                f"{table.where(row, 'image_id')}: holds {text!r}; an image identifier such as I45107 or 45107 is "
                "needed; download the table again"
            )
        found.append("" if match is None else match[1])
    return pd.Series(found, dtype=object)


def _values(table: DeliveredTable) -> pd.DataFrame:
    """Return ``IMAGE_VALUES`` as text, "n/a" where a table has no such column."""
    columns = {
        name: table.frame[name] if table.has(name) else pd.Series(MISSING, index=table.frame.index)
        for name in IMAGE_VALUES
    }
    values = pd.DataFrame(columns).astype(object)
    values["subject"] = values["subject"].str.removesuffix(".0")
    if table.has("acq_date"):
        days = dates(table, "acq_date").dt.strftime("%Y-%m-%d").astype(object)
        values["acq_date"] = days.where(days.notna(), MISSING)
    return values


def _check_repeated(table: DeliveredTable, ids: pd.Series, values: pd.DataFrame) -> list[str]:
    """Refuse rows of one image that contradict each other; return warnings about those that only differ."""
    again = ids.duplicated(keep=False) & (ids != "")
    known = values[again].mask(values[again] == MISSING)
    for name in _SAME:
        _refuse_different(table, name, _comparable(known[name], name), [ids[again]])
    _refuse_different(table, "visit", known["visit"], [ids[again], table.frame.loc[again, "file"]])
    ages = pd.to_numeric(known["age"], errors="coerce").groupby(ids[again])
    wide = ages.transform("max") - ages.transform("min") >= _AGE_TOLERANCE
    _refuse_different(table, "age", known["age"].where(wide), [ids[again]])
    visits = known["visit"].groupby(ids[again])
    differing = visits.nunique() > 1
    if not differing.any():
        return []
    first = visits.unique()[differing].iloc[0]
    names = " and ".join(repr(name) for name in first if isinstance(name, str))
    text = (
        f"{', '.join(table.delivered)}: {int(differing.sum())} images have a visit name in each of several tables "
        f"({names}, …); that of the table named first is used"
    )
    return [text]


def _comparable(values: pd.Series, name: str) -> pd.Series:
    """Return values such that equal ones are equal text, however a file writes them."""
    if name == "sex":
        return normal_sex(values).where(values.notna())
    if name == "type":
        return values.map(lambda value: is_processed(value) if isinstance(value, str) else value)
    # A processed image's description may name the series it was made from: "MPR; N3; Scaled <- MP-RAGE".
    return values.map(
        lambda value: plain_words(value.partition("<-")[0]) if isinstance(value, str) else value
    )


def _refuse_different(table: DeliveredTable, name: str, values: pd.Series, groups: list[pd.Series]) -> None:
    """Refuse two rows of one group that hold different values of a column."""
    wrong = values.groupby(groups).transform("nunique") > 1
    if not wrong.any():
        return
    first = int(values.index[wrong][0])
    image = groups[0][first]
    same = values[wrong & values.notna() & (groups[0] == image)]
    here = int(same.index[0])
    other = int(same.index[same != same.iloc[0]][0])
    raise CohortError(
        f"{table.where(here, name)}: holds {table.frame[name].iloc[here]!r} for image I{image}, but "
        f"{table.where(other, name)} holds {table.frame[name].iloc[other]!r}; "
        "find out which is right and remove the other row (or keep one of the tables in the folder)"
    )
