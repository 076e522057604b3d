"""XML sidecars of a LONI IDA delivery (idaxs): what the archive says about one image when no table does."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree import ElementTree

from neurofocus.errors import CohortError
from neurofocus.tables import MISSING

__all__ = ["read_sidecar", "read_sidecars"]

_MAX_BYTES = 2**20  # real ones have about 10 kB
_SHOWN = 3
# Our column -> the element that holds it, wherever it stands; names are unique in the format.
_ELEMENTS = {
    "subject": "subjectIdentifier",
    "group": "researchGroup",
    "sex": "subjectSex",
    "visit": "visitIdentifier",
    "age": "subjectAge",
    "acq_date": "dateAcquired",
}
_PROTOCOL = {"field_strength": "field strength", "manufacturer": "manufacturer"}


def read_sidecars(paths: Mapping[str, Path]) -> tuple[dict[str, dict[str, str]], tuple[str, ...]]:
    """Read the sidecars of many images.

    Args:
        paths: image identifier -> XML file.

    Returns:
        Image identifier -> what ``read_sidecar`` returns, with ``file`` (the file's name), and a warning if some
        files cannot be used.
    """
    found: dict[str, dict[str, str]] = {}
    broken: list[str] = []
    for image_id, path in paths.items():
        try:
            found[image_id] = {**read_sidecar(path), "file": path.name}
        except CohortError as error:
            broken.append(str(error))
    if not broken:
        return found, ()
    more = f"; and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
    return found, (f"{len(broken)} XML sidecars are not used ({'; '.join(broken[:_SHOWN])}{more})",)


def read_sidecar(path: Path) -> dict[str, str]:
    """Return what one sidecar says: text by our column names, only those that it has.

    Names: subject, group, sex, visit, age (years), acq_date (ISO), description, type (Original or Processed),
    field_strength, manufacturer.

    Raises:
        CohortError: if the file is no idaxs document, is too large, or declares a document type or entities (by
            which a small file could grow without bound or read other files).
    """
    root = _parse(path)
    elements = list(root.iter())
    values = {ours: _first(elements, name) for ours, name in _ELEMENTS.items()}
    values["group"] = values["group"] or _item(elements, "subjectInfo", "item", "DX Group")
    values["age"] = _years(values["age"], _first(elements, "ageQualifier"))
    values["acq_date"] = values["acq_date"][:10]
    processed = _first(elements, "processedDataLabel")
    values["description"] = processed or _first(elements, "description")
    derived = any(_name(element) == "derivedProduct" for element in elements)
    values["type"] = "Processed" if derived else "Original"
    for ours, term in _PROTOCOL.items():
        values[ours] = _item(elements, "protocol", "term", term)
    return {ours: value for ours, value in values.items() if value and value != MISSING}


def _parse(path: Path) -> ElementTree.Element:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise CohortError(f"{path.name}: cannot be read ({error.strerror})") from None
    if len(data) > _MAX_BYTES:
        raise CohortError(f"{path.name}: more than {_MAX_BYTES} bytes; an image's XML has some 10,000")
    try:
        # Decoded here, so that no other encoding can hide a declaration from the next line.
        text = data.decode("utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise CohortError(f"{path.name}: declares a document type, which an image's XML never does")
        root = ElementTree.fromstring(text)
    except (UnicodeDecodeError, ElementTree.ParseError) as error:
        raise CohortError(f"{path.name}: no valid XML ({error})") from None
    if _name(root) != "idaxs":
        raise CohortError(f"{path.name}: its outermost element is {_name(root)!r}, not 'idaxs'")
    return root


def _name(element: ElementTree.Element) -> str:
    """Return an element's name without its namespace; releases of the format differ in it."""
    return str(element.tag).rpartition("}")[2]


def _text(element: ElementTree.Element) -> str:
    return " ".join((element.text or "").split())


def _first(elements: Iterable[ElementTree.Element], name: str) -> str:
    return next((_text(element) for element in elements if _name(element) == name), "")


def _item(elements: Iterable[ElementTree.Element], name: str, attribute: str, value: str) -> str:
    """Return the text of the first element whose attribute has the value, case aside."""
    fitting = (
        _text(element)
        for element in elements
        if _name(element) == name and element.get(attribute, "").lower() == value.lower()
    )
    return next(fitting, "")


def _years(age: str, qualifier: str) -> str:
    """Return the age, with its unit if that is not years, so that nobody takes months for years."""
    return age if re.fullmatch(r"(?i)y?", qualifier) or not age else f"{age} {qualifier}"
