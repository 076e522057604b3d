"""The contact sheet: one offline file, safe against odd text, small for a thousand scans."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from neurofocus.data.scan_quality import MEASURES
from neurofocus.data.template import load_template
from neurofocus.workflows.preparation.contact_sheet import write_contact_sheet
from neurofocus.workflows.preparation.files import ScanPlace
from neurofocus.workflows.preparation.quality_table import quality_table
from neurofocus.workflows.preparation.thumbnail import outline, thumbnail

NASTY = "</script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def picture() -> bytes:
    noise = 0.05 * np.random.default_rng(0).standard_normal(load_template().array.shape).astype(np.float32)
    return thumbnail(load_template().array + noise)


def make_sheet(out: Path, picture: bytes, *, count: int, synthetic: bool = False) -> str:
    records: list[dict[str, Any]] = []
    for number in range(count):
        place = ScanPlace(out, f"sub-{number:04d}", "ses-1" if number % 2 else "n/a")
        path = place.outputs["thumbnail"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
        records.append(
            {
                "participant_id": place.participant_id,
                "session_id": place.session_id,
                "source": {"space": "native"},
                "measures": {name: None if name == "mask_dice" else float(number) for name in MEASURES},
                "warnings": [NASTY] if number == 1 else [],
            }
        )
    quality = quality_table(records, ["AD"] * count)
    failures = pd.DataFrame(
        [{"participant_id": "sub-x", "session_id": "n/a", "label": "AD", "reason": f"bad {NASTY}"}]
    )
    write_contact_sheet(out, "Mini", quality, records=records, failures=failures, synthetic=synthetic)
    return (out / "contact_sheet.html").read_text(encoding="utf-8")


def test_every_scan_is_in_it_and_nothing_is_fetched(tmp_path: Path, picture: bytes) -> None:
    page = make_sheet(tmp_path, picture, count=30)
    assert not re.search(r"""(src|href)\\s*=\\s*["'](?!data:)""", page)
    assert "http" not in page
    (text,) = re.findall(r'<script type="application/json" id="scans">(.*?)</script>', page, re.DOTALL)
    scans = json.loads(text)
    assert [scan["id"] for scan in scans[:2]] == ["sub-0000", "sub-0001 ses-1"]
    assert len(scans) == 30
    assert base64.b64decode(scans[0]["image"]) == picture
    assert scans[1]["warnings"] == [NASTY], "as text"
    assert "alert(1)</script>" not in page
    assert "1 scans could not be prepared" in page


@pytest.mark.parametrize("synthetic", [True, False])
def test_the_banner(tmp_path: Path, picture: bytes, synthetic: bool) -> None:
    page = make_sheet(tmp_path, picture, count=2, synthetic=synthetic)
    assert ("SYNTHETIC" in page) is synthetic


def test_a_thousand_scans_stay_small(tmp_path: Path, picture: bytes) -> None:
    assert 2_000 < len(picture) < 12_000
    assert len(make_sheet(tmp_path, picture, count=300)) < 300 * 16_500


def test_outline_lies_on_the_thumbnail(picture: bytes) -> None:
    import io

    from PIL import Image

    small, line = Image.open(io.BytesIO(picture)), Image.open(io.BytesIO(outline()))
    assert small.size == line.size
    grey, edge = np.asarray(small, dtype=np.float32), np.asarray(line)[..., 3] > 0
    assert 500 < edge.sum() < 4000
    # Just outside the brain it is black, so along the outline it is darker than inside.
    assert grey[edge].mean() < 0.75 * grey[grey > 60].mean()


def test_left_is_left_and_front_is_left() -> None:
    template = load_template()
    marked = template.array * 0.3
    marked[:60] = 1.0  # the subject's left half of the field of view (RAS: low x)
    marked[:, :60, :] *= 0.0  # nothing at the back
    import io

    from PIL import Image

    grey = np.asarray(Image.open(io.BytesIO(thumbnail(marked))), dtype=np.float32)
    sagittal, coronal = grey[:, :117], grey[:, 117 : 117 + 99]
    assert sagittal[:, 90:].mean() < sagittal[:, :60].mean(), "front on the left"
    assert coronal[:, :25].mean() > 3 * coronal[:, 60:].mean(), "left on the left"
