"""One HTML file a case that works offline: the answer, the overlay picture and a three-plane viewer."""

import base64
import re
import warnings
from pathlib import Path

from neurofocus.explain.overlay import SYNTHETIC_BANNER
from neurofocus.explain.projection import axis_aligned
from neurofocus.explain.saliency import METHOD
from neurofocus.explain.summary import ExplainedCase
from neurofocus.files import write_text

__all__ = ["write_viewer"]

_VIEW_MM = 2.0
_THRESHOLD = 0.15
_WIDTH = 1068  # of the frame on a wide screen: the page's 1100 px less its padding
_SLIDER = 64  # px below the planes for the opacity slider
# nilearn's page asks for a favicon from the network; nothing else of it is remote.
_REMOTE_LINK = re.compile(r"<link\b[^>]*\bhref\s*=\s*[\"']https?://[^>]*>", re.IGNORECASE)
_FRAME_STYLE = (
    "<style>body { margin: 0; background: #000; color: #e8e8e8; font: 14px sans-serif; }</style></head>"
)
_RANDOM_ID = re.compile(r"(?<=-)[0-9a-f]{32}\b")
# The frame inherits this policy: even a forgotten reference could not be fetched.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ summary.title }}: {{ summary.predicted }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1100px; padding: 1rem; color: #1b1f24;
  background: #fff; }
h1 { margin: 0.4rem 0; overflow-wrap: anywhere; } h2 { margin: 1.6rem 0 0.4rem; font-size: 1.2rem; }
table { border-collapse: collapse; } th, td { text-align: left; padding: 0.2rem 1.2rem 0.2rem 0;
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; }
.alarm { background: #b3261e; color: #fff; font-weight: 700; padding: 0.5rem 0.9rem; border-radius: 6px; }
.use { border-left: 4px solid #8a6d00; background: #fff8e0; padding: 0.4rem 0.9rem; margin: 0.8rem 0; }
.warn { color: #8a3b00; }
.bar { background: #e3e8ee; width: 16rem; height: 0.8rem; border-radius: 4px; display: inline-block; }
.bar > span { background: #2563eb; height: 100%; display: block; border-radius: 4px; }
img { max-width: 100%; height: auto; } iframe { border: 0; width: 100%; height: {{ viewer_height }}px; background: #000; }
</style>
</head>
<body>
{% if summary.synthetic %}<p class="alarm">{{ banner }}</p>{% endif %}
<h1>{{ summary.title }}: {{ summary.predicted }}</h1>
<p class="use">{{ summary.intended_use }}</p>
<table>
{% for name, value in summary.probabilities.items() %}
<tr><th>{{ name }}</th><td>{{ "%.3f"|format(value) }}</td>
<td><span class="bar"><span style="width: {{ "%.1f"|format(100 * value) }}%"></span></span></td></tr>
{% endfor %}
</table>
<p>Cost: {{ "%.2f"|format(summary.gflops) }} GFLOPs (1e9 multiply-adds).</p>
{% if summary.warnings %}<h2>Warnings</h2>
<ul class="warn">{% for line in summary.warnings %}<li>{{ line }}</li>{% endfor %}</ul>{% endif %}
<h2>Where the evidence for {{ summary.explained }} lies</h2>
<p>Click or drag in a plane to move. Left of the picture is left of the subject (letters L and R); coordinates are
the scan's own millimetres. Saliency below {{ "%.0f"|format(100 * threshold) }} % of its peak is not shown.</p>
<iframe title="three-plane viewer" sandbox="allow-scripts" srcdoc="{{ viewer }}"></iframe>
<h2>Planes through the peak, and the chosen focus frames</h2>
<p><img alt="Saliency on three planes; focus frames with their boxes in blue"
src="data:image/png;base64,{{ picture }}"></p>
<h2>How to read this</h2>
<p>{{ method }}. Saliency shows what moved this model's answer; it is not a map of disease.
{{ "%.0f"|format(100 * focus_share) }} % of the contributions came through the focus patches, the rest through the
glance at whole frames.</p>
<h2>Model</h2>
<table>{% for name, value in summary.model.items() %}<tr><th>{{ name }}</th><td>{{ value }}</td></tr>{% endfor %}</table>
{% if summary.synthetic %}<p class="alarm">{{ banner }}</p>{% endif %}
</body>
</html>
"""


def write_viewer(path: Path, case: ExplainedCase, overlay_png: Path) -> None:
    """Write the self-contained HTML page of one case.

    Args:
        path: the page to write.
        case: what to show.
        overlay_png: the picture that ``write_overlay`` made; it is copied into the page.
    """
    from jinja2 import Environment

    viewer, viewer_height = _planes_html(case)
    page = Environment(autoescape=True, trim_blocks=True).from_string(_PAGE)
    text = page.render(
        summary=case.summary,
        banner=SYNTHETIC_BANNER,
        policy=_POLICY,
        threshold=_THRESHOLD,
        method=METHOD,
        focus_share=case.saliency.focus_share,
        picture=base64.b64encode(overlay_png.read_bytes()).decode("ascii"),
        viewer=viewer,
        viewer_height=viewer_height,
    )
    write_text(path, text)


def _planes_html(case: ExplainedCase) -> tuple[str, int]:
    """Return nilearn's interactive three-plane page, without its remote links, and its height in pixels."""
    import nibabel
    from nilearn.plotting import view_img

    scan, affine = axis_aligned(case.scan.array, case.scan.affine, _VIEW_MM)
    heat, _ = axis_aligned(case.scan_saliency, case.scan.affine, _VIEW_MM)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nilearn's advice to its own callers; nothing a reader can mend
        view = view_img(
            nibabel.Nifti1Image(heat, affine),
            bg_img=nibabel.Nifti1Image(scan, affine),
            cut_coords=tuple(float(value) for value in case.peak_mm()),
            threshold=_THRESHOLD,
            vmin=0.0,
            vmax=1.0,
            symmetric_cmap=False,
            cmap="inferno",
            black_bg=True,
            dim=0,
            opacity=0.75,
            width_view=_WIDTH,
        )
        html: str = view.get_standalone()
    # nilearn names its elements at random; fixed names make the same case give the same file.
    html = _RANDOM_ID.sub("case", _REMOTE_LINK.sub("", html)).replace("</head>", _FRAME_STYLE, 1)
    # brainsprite lays the planes out side by side and leaves about a tenth for letters and the colour bar.
    width, depth, height = scan.shape
    return html, round(_WIDTH * 1.15 * max(depth, height) / (depth + 2 * width)) + _SLIDER
