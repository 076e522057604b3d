"""The clip as one picture for a page: the answer, the frame weights, and every chosen frame with its patch."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurofocus.data.video.source import Frames, ShortSide
from neurofocus.explain.video.clip import ExplainedClip
from neurofocus.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["write_clip_sheet"]

_LOGGER = logging.getLogger("neurofocus.explain")
_COLUMNS = 8
_WIDTH = 12.0  # inches
_SHORT_SIDE = 240
_TITLE, _LINE = 80, 130  # letters that fit beside the cost, and on a line of answers
_BOX, _BAR, _INK, _ALARM = "#0072B2", "#a6adb5", "#1b1f24", "#b3261e"


def write_clip_sheet(path: Path, clip: ExplainedClip) -> None:
    """Write the contact sheet PNG of one clip, 200 dots an inch on white.

    Where a glance was enough, it shows the frames that were glanced at, with the part that the model sees.

    Args:
        path: the PNG to write.
        clip: what to show.

    Raises:
        VideoError: if a frame cannot be decoded.
    """
    from matplotlib.figure import Figure

    numbers = clip.chosen if len(clip.chosen) else clip.glance
    shown = clip.source.read(numbers.tolist(), size=ShortSide(_SHORT_SIDE))
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    tile = (_WIDTH - 0.5) / columns * shown.shape[1] / shown.shape[2] + 0.22
    answers = _answer_lines(clip.answers)
    head = 1.75 + 0.22 * (len(answers) - 1) + 0.2 * len(clip.notes)
    height = head + rows * tile + 0.1
    figure = Figure(figsize=(_WIDTH, height), dpi=200, facecolor="white")
    _write_head(figure, clip, answers)
    bars = figure.add_axes((0.05, 1 - (head - 0.3) / height, 0.93, 0.6 / height))
    _draw_weights(bars, clip)
    grid = figure.add_gridspec(
        rows,
        columns,
        left=0.02,
        right=0.98,
        top=1 - head / height - 0.2 / height,
        bottom=0.1 / height,
        wspace=0.04,
        hspace=0.16,
    )
    height_seen, width_seen = shown.shape[1:3]
    if len(clip.chosen):
        corners = clip.corners(height_seen, width_seen)
    else:
        corners = np.tile(clip.view(height_seen, width_seen), (len(numbers), 1))
    for place, (pixels, box) in enumerate(zip(shown, corners, strict=True)):
        axes = figure.add_subplot(grid[place // columns, place % columns])
        _draw_frame(axes, pixels, box, clip.moment(int(numbers[place])))
    with atomic_write(path) as temporary, warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", "Glyph ")
        figure.savefig(temporary, format="png", facecolor="white", metadata={"Software": None})
    glyphs = [warning for warning in caught if str(warning.message).startswith("Glyph ")]
    for other in (warning for warning in caught if warning not in glyphs):
        warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    if glyphs:
        _LOGGER.warning("%s: letters that its font does not have are drawn as boxes", path)


def _answer_lines(answers: Sequence[tuple[str, float]]) -> list[str]:
    """Return the answers as lines that fit: class names may be whole sentences."""
    lines: list[str] = []
    for name, value in answers:
        text = f"{_shortened(name, _LINE - 10)}  {value:.3f}"
        if lines and len(lines[-1]) + len(text) + 5 <= _LINE:
            lines[-1] += f"     {text}"
        else:
            lines.append(text)
    return lines


def _shortened(text: str, most: int) -> str:
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} … {text[-half + 3 :]}"


def _write_head(figure: "Figure", clip: ExplainedClip, answers: Sequence[str]) -> None:
    """Write title, cost, answers and notes from the top, inches below each other."""
    height = figure.get_figheight()
    top = 1 - 0.28 / height
    figure.text(0.02, top, _shortened(clip.title, _TITLE), size=12, weight="bold", color=_INK)
    figure.text(0.98, top, f"{clip.gflops:.4g} GFLOPs (1e9 multiply-adds)", size=9, color=_INK, ha="right")
    for place, line in enumerate(answers):
        figure.text(0.02, 1 - (0.52 + 0.22 * place) / height, line, size=10, color=_INK)
    below = 0.74 + 0.22 * (len(answers) - 1)
    for place, note in enumerate(clip.notes):
        figure.text(0.02, 1 - (below + 0.2 * place) / height, note, size=9, color=_ALARM, weight="bold")


def _draw_weights(axes: "Axes", clip: ExplainedClip) -> None:
    total = clip.source.num_frames
    if clip.weights is None:
        axes.vlines(clip.glance + 0.5, 0, 1, color=_BAR)
        top, label, ticks = 1.0, "glanced at", []
    else:
        part = total / len(clip.weights)  # a weight stands for its part of the clip
        axes.bar((np.arange(len(clip.weights)) + 0.5) * part, clip.weights, width=0.9 * part, color=_BAR)
        top = float(clip.weights.max())
        label, ticks = "frame weight", [0, round(top, 3)]
    axes.plot(
        clip.chosen + 0.5,
        np.full(len(clip.chosen), -0.08 * top),
        "^",
        color=_BOX,
        markersize=4,
        clip_on=False,
    )
    axes.set_xlim(0, total)
    axes.set_ylim(0, 1.05 * top)
    axes.set_xticks([])
    axes.set_yticks(ticks)
    axes.tick_params(labelsize=7, colors=_INK)
    axes.set_ylabel(label, size=7, color=_INK)
    axes.text(
        1,
        -0.2,
        "▲ frames looked at closely",
        transform=axes.transAxes,
        size=7,
        color=_BOX,
        ha="right",
        va="top",
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_frame(
    axes: "Axes", pixels: Frames, box: "np.ndarray[tuple[int], np.dtype[np.float64]]", caption: str
) -> None:
    from matplotlib.patches import Rectangle

    left, top, right, bottom = (float(value) for value in box)
    axes.imshow(pixels, interpolation="nearest")
    axes.add_patch(
        Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=_BOX, linewidth=2)
    )
    axes.set_title(caption, size=8, color=_INK, pad=2)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
