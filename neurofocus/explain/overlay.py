"""The overlay picture of one case: three planes through the saliency's peak, and the chosen focus frames.

Boxes are drawn in blue as in the paper's figure 13. Left of the picture is left of the subject wherever a
plane shows both sides; every panel carries its letters, read from the geometry.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.frames import FrameGrid
from neurofocus.explain.projection import sample_plane, world_bounds
from neurofocus.explain.saliency import ModelSaliency
from neurofocus.explain.summary import CaseSummary, ExplainedCase
from neurofocus.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

__all__ = ["SYNTHETIC_BANNER", "edge_letters", "write_overlay"]

SYNTHETIC_BANNER = "SYNTHETIC: made with simulated data, not clinical evidence"

_MAX_SLICES = 16
_COLUMNS = 8
_PLANE_MM = 1.0
_FLOOR = 0.15  # saliency below this share of its peak is not painted: it would only tint the whole brain
_INK, _PAPER, _BOX, _ALARM = "#e8e8e8", "#101418", "#3d8bff", "#b3261e"
_PLANES = (("sagittal", 0, (1, 2)), ("coronal", 1, (0, 2)), ("axial", 2, (0, 1)))
_AXIS_NAMES = "xyz"
_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))


def write_overlay(path: Path, case: ExplainedCase) -> None:
    """Write the overlay PNG of one case.

    Args:
        path: the PNG to write.
        case: what to show.
    """
    from matplotlib.figure import Figure

    model = case.saliency.representative()
    rows = -(-min(len(model.frames), _MAX_SLICES) // _COLUMNS)
    height = 6.25 + 1.72 * rows
    figure = Figure(figsize=(12.0, height), dpi=100, facecolor=_PAPER)
    _draw_header(figure, case.summary, height)
    top = 1 - 1.3 / height
    middle = top - 4.1 / height
    layers = figure.add_gridspec(
        1, 4, left=0.03, right=0.94, top=top, bottom=middle, wspace=0.06, width_ratios=(1, 1, 1, 0.03)
    )
    peak = case.peak_mm()
    painted = [
        _draw_plane(figure.add_subplot(layers[0, column]), case, plane, peak)
        for column, plane in enumerate(_PLANES)
    ]
    _draw_colour_bar(figure, figure.add_subplot(layers[0, 3]), painted[-1], case.summary.explained)
    _draw_slices(figure, case, model, (middle - 0.8 / height, 0.1 / height))
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", facecolor=_PAPER, metadata={"Software": None})


def edge_letters(affine: NDArray[np.float64], axis: int) -> tuple[str, str]:
    """Return the anatomical letters at the low and the high end of an index axis.

    Args:
        affine: [4, 4] index -> RAS+ world mm.
        axis: the index axis.
    """
    direction = affine[:3, axis]
    world = int(np.argmax(np.abs(direction)))
    low, high = _LETTERS[world]
    return (low, high) if direction[world] > 0 else (high, low)


def _draw_header(figure: "Figure", summary: CaseSummary, height: float) -> None:
    chances = "   ".join(f"{name} {value:.2f}" for name, value in summary.probabilities.items())
    cost = f"cost: {summary.gflops:.2f} GFLOPs (1e9 multiply-adds)"
    lines = (
        (f"Predicted: {_short(summary.predicted, 30)}", 17, "bold", 0.33),
        (_short(summary.title, 110), 11, "normal", 0.62),
        (f"probabilities: {chances}     {cost}", 11, "normal", 0.86),
    )
    for text, size, weight, inches in lines:
        figure.text(0.03, 1 - inches / height, text, size=size, color=_INK, weight=weight, va="center")
    figure.text(0.97, 1 - 0.86 / height, "research use only", size=11, color=_INK, ha="right", va="center")
    if summary.synthetic:
        box = {"facecolor": _ALARM, "edgecolor": "none", "boxstyle": "round,pad=0.35"}
        banner = {"size": 11, "color": "white", "weight": "bold", "ha": "right", "va": "center", "bbox": box}
        figure.text(0.97, 1 - 0.33 / height, SYNTHETIC_BANNER, fontdict=banner)


def _draw_plane(
    axes: "Axes", case: ExplainedCase, plane: tuple[str, int, tuple[int, int]], peak: NDArray[np.float64]
) -> "ScalarMappable":
    """Draw one world-aligned plane of the scan through the peak, with the saliency on it."""
    name, axis, shown = plane
    bounds = world_bounds(case.scan.array.shape, case.scan.affine)
    where = (axis, float(peak[axis]), _PLANE_MM)
    scan = sample_plane(case.scan.array, case.scan.affine, where, bounds)
    heat = sample_plane(case.scan_saliency, case.scan.affine, where, bounds)
    first, second = shown
    left, bottom = bounds[0][first] - _PLANE_MM / 2, bounds[0][second] - _PLANE_MM / 2
    extent = (left, left + scan.shape[0] * _PLANE_MM, bottom, bottom + scan.shape[1] * _PLANE_MM)
    dark, bright = _window(case.scan.array)
    axes.imshow(
        scan.T, cmap="gray", origin="lower", extent=extent, vmin=dark, vmax=bright, interpolation="bilinear"
    )
    painted = axes.imshow(
        heat.T, cmap="inferno", origin="lower", extent=extent, vmin=0, vmax=1, alpha=_opacity(heat.T)
    )
    axes.axvline(peak[first], color=_BOX, linewidth=0.6, alpha=0.7)
    axes.axhline(peak[second], color=_BOX, linewidth=0.6, alpha=0.7)
    axes.set_title(f"{name}, {_AXIS_NAMES[axis]} = {peak[axis]:+.1f} mm", color=_INK, size=11)
    _finish(axes, (*_LETTERS[first], *_LETTERS[second]))
    return painted


def _draw_colour_bar(figure: "Figure", axes: "Axes", painted: "ScalarMappable", explained: str) -> None:
    bar = figure.colorbar(painted, cax=axes)
    bar.set_label(f"saliency for {explained}, share of its peak", color=_INK, size=10)
    bar.ax.tick_params(colors=_INK, labelsize=9)


def _draw_slices(
    figure: "Figure", case: ExplainedCase, model: ModelSaliency, span: tuple[float, float]
) -> None:
    """Draw the chosen frames of one fold model with their boxes, in order along the axis."""
    top, bottom = span
    count = len(case.saliency.per_model)
    which = f" by the fold model nearest to the mean of {count}" if count > 1 else ""
    first = f"Focus frames chosen{which}; patches in blue; template mm; w: frame weight, 1 = uniform"
    if not len(model.frames):
        first = f"No focus frame was looked at{which}: the glance at whole frames was enough"
    second = (
        f"{100 * case.saliency.focus_share:.0f} % of the contributions came through the patches, "
        "the rest through the glance at whole frames"
    )
    for text, inches, size in ((first, 0.46, 11), (second, 0.27, 10)):
        figure.text(0.03, top + inches / figure.get_figheight(), text, size=size, color=_INK, va="bottom")
    if not len(model.frames):
        return
    kept = np.sort(np.argsort(-model.weights, kind="stable")[:_MAX_SLICES])
    rows = -(-len(kept) // _COLUMNS)
    cells = figure.add_gridspec(
        rows, _COLUMNS, left=0.03, right=0.97, top=top, bottom=bottom, wspace=0.05, hspace=0.18
    )
    for place, chosen in enumerate(kept):
        axes = figure.add_subplot(cells[place // _COLUMNS, place % _COLUMNS])
        _draw_slice(axes, case, model, int(chosen))


def _draw_slice(axes: "Axes", case: ExplainedCase, model: ModelSaliency, chosen: int) -> None:
    from matplotlib.patches import Rectangle

    position = int(model.frames[chosen])
    frame, heat = case.frames[position], case.saliency.volume[position]
    dark, bright = float(min(frame.min(), -2.0)), float(np.percentile(frame, 99.5)) + 1e-6
    shown = np.where(frame == 0, dark, frame)  # exactly 0 is outside the brain mask; inside, 0 is the mean
    # Pixel (i, j) covers (j .. j + 1, i .. i + 1) in the coordinates of the boxes.
    size = case.grid.frame_size
    extent = (0, size, size, 0)
    axes.imshow(shown, cmap="gray", vmin=dark, vmax=bright, extent=extent)
    axes.imshow(heat, cmap="inferno", vmin=0, vmax=1, extent=extent, alpha=_opacity(heat))
    x, y, height, width = model.boxes[chosen]
    box = Rectangle((x - width / 2, y - height / 2), width, height, fill=False, edgecolor=_BOX, linewidth=1.6)
    axes.add_patch(box)
    axes.set_xlim(0, size)
    axes.set_ylim(size, 0)
    axes.set_title(
        f"{_plane_label(case.grid, position)}  w {model.weights[chosen]:.2f}", color=_INK, size=8.5, pad=3
    )
    left, right = edge_letters(case.grid.affine, 2)
    top, bottom = edge_letters(case.grid.affine, 1)
    _finish(axes, (left, right, bottom, top), size=8)


def _plane_label(grid: FrameGrid, position: int) -> str:
    """Return for example ``y = -18 mm``, in template millimetres, of a frame's middle."""
    middle = (grid.frame_size - 1) / 2
    axis = int(np.argmax(np.abs(grid.affine[:3, 0])))
    value = (grid.affine @ np.array([position, middle, middle, 1.0]))[axis]
    return f"{_AXIS_NAMES[axis]} = {value:+.0f} mm"


def _finish(axes: "Axes", letters: tuple[str, str, str, str], *, size: float = 11) -> None:
    """Hide the axes and write the letters (left, right, bottom, top)."""
    axes.set_axis_off()
    spots = ((0.02, 0.5), (0.98, 0.5), (0.5, 0.02), (0.5, 0.98))
    aligned = (("left", "center"), ("right", "center"), ("center", "bottom"), ("center", "top"))
    for letter, (x, y), (horizontal, vertical) in zip(letters, spots, aligned, strict=True):
        axes.text(x, y, letter, transform=axes.transAxes, color=_INK, size=size, ha=horizontal, va=vertical)


def _opacity(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how opaque the saliency is painted: from nothing at the floor to 0.8 at the peak."""
    return np.asarray(np.clip((heat - _FLOOR) / (1 - _FLOOR), 0, 1) ** 0.5 * 0.8, dtype=np.float32)


def _window(array: NDArray[np.float32]) -> tuple[float, float]:
    """Return the gray window of a scan, from a sparse sample of its voxels."""
    sample = array[::3, ::3, ::3]
    low, high = np.percentile(sample, (1, 99.5))
    return float(low), float(max(high, low + 1e-6))


def _short(title: str, limit: int) -> str:
    return title if len(title) <= limit else f"{title[: limit - 1]}…"
