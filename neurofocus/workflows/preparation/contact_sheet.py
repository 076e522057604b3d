"""contact_sheet.html: every prepared scan at a glance, in one file that needs no network."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from neurofocus.data.scan_quality import MEASURES
from neurofocus.files import write_text
from neurofocus.workflows.page import page_template
from neurofocus.workflows.preparation.files import SPACE, ScanPlace
from neurofocus.workflows.preparation.quality_table import OUTLIER_SCORE
from neurofocus.workflows.preparation.thumbnail import outline

__all__ = ["write_contact_sheet"]


def write_contact_sheet(
    out: Path,
    title: str,
    quality: pd.DataFrame,
    *,
    records: Sequence[dict[str, Any]],
    failures: pd.DataFrame,
    synthetic: bool,
) -> None:
    """Write the contact sheet atomically.

    Only the page that is shown exists in the browser, so a thousand scans open and turn at once.

    Args:
        out: the derivative data set, in which the thumbnails lie.
        title: of the cohort.
        quality: content of quality.tsv.
        records: contents of ``_desc-qc.json``, in the order of ``quality``.
        failures: content of failures.tsv.
        synthetic: whether the scans were simulated.
    """
    text = page_template("contact_sheet.html").render(
        title=title,
        space=SPACE,
        synthetic=synthetic,
        outlier_score=OUTLIER_SCORE,
        outline=base64.b64encode(outline()).decode("ascii"),
        measures=[{"name": name, "meaning": meaning} for name, (_, meaning) in MEASURES.items()],
        failures=failures.to_dict("records"),
        scans=_as_script(
            [_scan(out, row, record) for row, record in zip(_rows(quality), records, strict=True)]
        ),
    )
    write_text(out / "contact_sheet.html", text)


def _rows(quality: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in quality.to_dict("records")]


def _scan(out: Path, row: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    place = ScanPlace(out, str(row["participant_id"]), str(row["session_id"]))
    session = "" if place.session_id == "n/a" else f" {place.session_id}"
    return {
        "id": place.participant_id + session,
        "label": row["label"],
        "score": float(row["outlier_score"]),
        "outliers": "" if row["outlier_measures"] == "n/a" else row["outlier_measures"],
        "warnings": list(record["warnings"]),
        "measures": [record["measures"].get(name) for name in MEASURES],
        "image": base64.b64encode(place.outputs["thumbnail"].read_bytes()).decode("ascii"),
    }


def _as_script(value: Any) -> str:
    """Return JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
