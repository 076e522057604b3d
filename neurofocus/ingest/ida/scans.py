"""From the images, tables and sidecars of a LONI IDA delivery to one row a scan."""

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from neurofocus.errors import CohortError
from neurofocus.ingest.ida.tables import IMAGE_VALUES, is_processed
from neurofocus.ingest.ida.tree import IdaImage
from neurofocus.ingest.series import plain_words
from neurofocus.schema.cohort import CohortSpec
from neurofocus.tables import MISSING

__all__ = ["describe_images"]

_VALUES = (*IMAGE_VALUES, "field_strength", "manufacturer")
_SOURCED = ("group", "sex", "age", "site")
# Words that ADNI's and other centres' processing adds to a description.
_PROCESSING_WORDS = re.compile(r"\b(scaled|n3m?|gradwarp|b1 correction)\b")
_REPEAT = re.compile(r"repeat|\brpt\b|^mpr r\b")
_DATE = re.compile(r"\d+[-/]\d+[-/]\d+")
_USUAL_TESLA = (1.5, 3.0, 7.0)
_TESLA_TOLERANCE = 0.2


def describe_images(
    images: Sequence[IdaImage],
    table: pd.DataFrame,
    sidecars: Mapping[str, Mapping[str, str]],
    spec: CohortSpec,
) -> pd.DataFrame:
    """Return one row an image, with the scan columns and a few of our own.

    Value by value, a table goes before the sidecar. A session is a visit as delivered; where one of a person's
    images has no visit, all sessions of the person are counted by date instead (ses-1, ses-2, …).

    Args:
        images: on disk, at least one; the table or a sidecar knows each.
        table: the image table: index image identifier, columns ``IMAGE_VALUES`` and their sources; may be empty.
        sidecars: image identifier -> values of its XML.
        spec: the cohort definition.

    Returns:
        Columns of ``SCAN_COLUMNS`` (but for the diagnosis) and ``subject``, ``group``, ``group_source``
        and ``acq_date`` (ISO, as the table or sidecar says; ``acq_time`` is the date of the folder).

    Raises:
        CohortError: if a table or sidecar gives an image to another subject than its folder does.
    """
    frame = _values([item.image_id for item in images], table, sidecars)
    _refuse_other_subject(images, list(frame["subject"]))
    _refuse_other_subject(
        images, [sidecars.get(item.image_id, {}).get("subject", MISSING) for item in images]
    )
    times = [item.acquired for item in images]
    folders = pd.Series([item.description for item in images], dtype=object)
    whole = frame["description"].where(frame["description"] != MISSING, folders)
    # "MPR; N3; Scaled <- MP-RAGE" names the series that the image was made from; the folder has the first part.
    description = whole.str.partition("<-")[0].str.strip()
    frame = frame.assign(
        subject=[item.subject for item in images],
        participant_id=["sub-" + spec.participant_prefix + _plain(item.subject) for item in images],
        path=[str(item.path) for item in images],
        image_id=["I" + item.image_id for item in images],
        acq_time=[time[:10] for time in times],
        description=description,
        processing=[_processing(kind, words) for kind, words in zip(frame["type"], description, strict=True)],
        space="native",
        entities=0,
    )
    frame["session_id"] = _sessions(frame)
    frame["run"] = _runs(frame, whole, times)
    return frame.drop(columns=["type", "protocol"])


def _values(ids: list[str], table: pd.DataFrame, sidecars: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """Return each image's values as text, and the sources of some."""
    listed = table.reindex(ids).reset_index(drop=True)
    listed = listed.astype(object).where(listed.notna(), MISSING)
    said = [sidecars.get(image_id, {}) for image_id in ids]
    result = pd.DataFrame(index=listed.index)
    strengths, makers = _protocol(listed["protocol"])
    listed = listed.assign(field_strength=strengths, manufacturer=makers)
    for name in _VALUES:
        own = listed[name]
        other = pd.Series([values.get(name, MISSING) for values in said], index=listed.index, dtype=object)
        result[name] = own.where(own != MISSING, other)
        if name in _SOURCED:
            files = pd.Series([values.get("file", MISSING) for values in said], dtype=object)
            second = files.where(other != MISSING, MISSING)
            result[f"{name}_source"] = listed[f"{name}_source"].where(own != MISSING, second)
    result["field_strength"] = result["field_strength"].map(_tesla)
    # A visit that is a date says nothing, and must not get into names, tables and messages.
    result["visit"] = result["visit"].map(lambda text: MISSING if _DATE.search(text) else text)
    return result


def _protocol(texts: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return field strength and manufacturer from "Field Strength=3.0;Manufacturer=SIEMENS;…"."""
    strengths = texts.str.extract(r"(?i)(?:^|;)\s*field strength\s*=\s*([^;]+)")[0]
    makers = texts.str.extract(r"(?i)(?:^|;)\s*manufacturer\s*=\s*([^;]+)")[0].str.strip()
    return strengths.fillna(MISSING).astype(object), makers.fillna(MISSING).astype(object)


def _tesla(text: str) -> str:
    """Return a field strength in tesla as plain text: "1.5" for "1.5 tesla" and for a magnet of 1.494."""
    match = re.match(r"\d+(\.\d+)?", text)
    if match is None:
        return text
    value = float(match[0])
    usual = [level for level in _USUAL_TESLA if abs(level - value) <= _TESLA_TOLERANCE]
    return f"{usual[0] if usual else value:g}"


def _refuse_other_subject(images: Sequence[IdaImage], subjects: Sequence[str]) -> None:
    for item, subject in zip(images, subjects, strict=True):
        if subject != MISSING and _plain(subject).lower() != _plain(item.subject).lower():
            raise CohortError(
                f"image I{item.image_id} lies in the folder of subject {item.subject}, but the archive's table or XML "
                f"gives it to {subject}; find out whose it is and mend the folder or the table"
            )


def _plain(text: str) -> str:
    """Return the letters and digits of a text, as BIDS labels need."""
    return "".join(re.findall(r"[A-Za-z0-9]", text))


def _processing(kind: str, description: str) -> str:
    """Return "processed" or "original", by the archive's type, else by words that only processing writes."""
    if is_processed(kind):
        return "processed"
    if kind.lower() == "original":
        return "original"
    return "processed" if _PROCESSING_WORDS.search(plain_words(description)) else "original"


def _sessions(frame: pd.DataFrame) -> pd.Series:
    """Return session identifiers: by visit, or by date for people with an image of unknown visit."""
    visits = frame["visit"].map(lambda text: "" if text == MISSING else _plain(text))
    counted = (visits == "").groupby(frame["participant_id"]).transform("any").astype(bool)
    order = frame["acq_time"].groupby(frame["participant_id"]).rank(method="dense").astype("int64")
    return "ses-" + visits.where(~counted, order.astype(str))


def _runs(frame: pd.DataFrame, descriptions: pd.Series, times: Sequence[str]) -> pd.Series:
    """Return each image's place among its person's: repeats of a series last, otherwise in order of time.

    It orders the images of a session, also if labels later join two visits (screening and baseline) into one.
    """
    order = pd.DataFrame(
        {
            "repeat": [bool(_REPEAT.search(plain_words(text))) for text in descriptions],
            "time": list(times),
            "image": frame["image_id"].str[1:].astype("int64"),
        },
        index=frame.index,
    ).sort_values(["repeat", "time", "image"])
    return order.groupby(frame["participant_id"].reindex(order.index)).cumcount().reindex(frame.index)
