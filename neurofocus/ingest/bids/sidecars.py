"""What the JSON file beside a BIDS image says about the scanner; nothing else of it is read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from neurofocus.tables import MISSING

__all__ = ["read_scanners"]

_MAX_BYTES = 2**22  # dcm2niix writes a few thousand; per-slice lists make the longest ones


def read_scanners(root: Path, images: Sequence[Path], suffix: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return field_strength (tesla, as text) and manufacturer of every image, ``n/a`` where nothing says.

    An image's own JSON file wins over the data set's SUFFIX.json (BIDS inheritance, its outermost level).

    Args:
        root: the data set.
        images: its images.
        suffix: such as T1w.

    Returns:
        One row an image, and a warning if files cannot be read.
    """
    unreadable: list[Path] = []
    general = _scanner(root / f"{suffix}.json", unreadable)
    rows = []
    for image in images:
        own = _scanner(image.with_name(image.name.split(".nii")[0] + ".json"), unreadable)
        rows.append({**general, **own})
    frame = pd.DataFrame(rows, columns=["field_strength", "manufacturer"], dtype=object).fillna(MISSING)
    if not unreadable:
        return frame, ()
    name = unreadable[0].relative_to(root).as_posix()
    return frame, (
        f"{len(unreadable)} JSON files beside images cannot be read (first: {name}); scanners unknown",
    )


def _scanner(path: Path, unreadable: list[Path]) -> dict[str, str]:
    """Return what a sidecar says; a damaged one is noted in ``unreadable``."""
    try:
        short = path.stat().st_size <= _MAX_BYTES
        content = json.loads(path.read_text(encoding="utf-8-sig")) if short else None
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        unreadable.append(path)
        return {}
    found = {
        "field_strength": _tesla(content.get("MagneticFieldStrength")),
        "manufacturer": _text(content.get("Manufacturer")),
    }
    return {name: value for name, value in found.items() if value}


def _tesla(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else _text(value)


def _text(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
