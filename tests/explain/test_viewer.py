import base64
import html
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from neurofocus.explain.overlay import SYNTHETIC_BANNER, write_overlay
from neurofocus.explain.saliency import METHOD
from neurofocus.explain.summary import ExplainedCase
from neurofocus.explain.viewer import write_viewer


@pytest.fixture(scope="module")
def written(case: ExplainedCase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewer")
    write_overlay(folder / "overlay.png", case)
    start = time.process_time()
    write_viewer(folder / "report.html", case, folder / "overlay.png")
    assert time.process_time() - start < 8
    return folder


def _frame(page: str) -> str:
    """The inner page of the three-plane viewer."""
    (inner,) = re.findall(r'srcdoc="([^"]*)"', page)
    return html.unescape(inner)


def test_the_page_needs_no_network(written: Path) -> None:
    page = (written / "report.html").read_text(encoding="utf-8")
    assert len(page) < 4_000_000
    for text in (page, _frame(page)):
        assert not re.findall(r"(?:src|href|action|data)\s*=\s*[\"']?\s*(?:https?:)?//", text, re.IGNORECASE)
        assert not re.findall(r"url\(\s*[\"']?(?:https?:)?//|@import", text)
        assert not re.findall(r"<link\b[^>]*href", text)
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


def test_the_page_holds_the_answer_the_picture_and_both_volumes(written: Path, case: ExplainedCase) -> None:
    page = (written / "report.html").read_text(encoding="utf-8")
    text = html.unescape(page)
    picture = base64.b64encode((written / "overlay.png").read_bytes()).decode()
    assert picture in page
    summary = case.summary
    for expected in (summary.title, "0.750", "1.50 GFLOPs", summary.intended_use, METHOD, *summary.warnings):
        assert expected in text
    assert "0123456789abcdef" in text
    assert text.count(SYNTHETIC_BANNER) == 2
    inner = _frame(page)
    assert len(re.findall(r"data:image/png;base64,[A-Za-z0-9+/=]{2000,}", inner)) >= 2
    assert "brainsprite(" in inner


def test_the_same_case_gives_the_same_bytes(written: Path, case: ExplainedCase, tmp_path: Path) -> None:
    write_viewer(tmp_path / "again.html", case, written / "overlay.png")
    assert (tmp_path / "again.html").read_bytes() == (written / "report.html").read_bytes()


def test_text_from_outside_is_escaped(written: Path, case: ExplainedCase, tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script>\"'&"
    summary = replace(case.summary, title=nasty, warnings=(nasty,), model={nasty: nasty}, synthetic=False)
    write_viewer(tmp_path / "x.html", replace(case, summary=summary), written / "overlay.png")
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert SYNTHETIC_BANNER not in html.unescape(page)
