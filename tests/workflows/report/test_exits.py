"""Figure 12 in the report of a finished run: there in both themes, in words, and only where it was measured."""

import base64
import html
import json
import re
from pathlib import Path

import pytest

from neurofocus.evaluation.curve import curve_figure
from neurofocus.evaluation.figures import DARK, LIGHT
from neurofocus.workflows.report.exits import exit_points, exit_sentence


@pytest.fixture
def section(tiny_run: Path) -> str:
    text = (tiny_run / "report.html").read_text(encoding="utf-8")
    return text[text.index('<section id="exits">') :].split("</section>")[0]


def test_the_picture_is_there_in_both_themes(section: str, tiny_run: Path) -> None:
    exits = json.loads((tiny_run / "metrics.json").read_text(encoding="utf-8"))["exits"]
    pictures = [base64.b64decode(found) for found in re.findall(r'base64,([^"]+)"', section)]
    expected = [
        curve_figure(exit_points(exits), "balanced accuracy", theme, case="scan") for theme in (DARK, LIGHT)
    ]
    assert pictures == expected
    (text,) = re.findall(r'alt="([^"]+)"', section)
    assert text.startswith("SYNTHETIC: Balanced accuracy against GFLOPs a scan for conditional exits")
    sentence = exit_sentence(exits)
    assert sentence in html.unescape(text)
    assert f"SYNTHETIC: {sentence}" in html.unescape(section)
    assert 'href="#exits"' in (tiny_run / "report.html").read_text(encoding="utf-8")
