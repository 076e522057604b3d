"""The clip as one picture for a page: the answer, the frame weights, and every chosen frame with its patch."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurofocus.data.video.source import Frames, ShortSide
from neurofocus.explain.video.clip import ExplainedClip
from neurofocus.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["write_clip_sheet"]

_COLUMNS = 8
_WIDTH = 12.0  # inches
_SHORT_SIDE = 240
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
    head = 1.75 + 0.2 * len(clip.notes)
    height = head + rows * tile + 0.1
    figure = Figure(figsize=(_WIDTH, height), dpi=200, facecolor="white")
    answers = "     ".join(f"{name}  {value:.3f}" for name, value in clip.answers)
    figure.text(0.02, 1 - 0.28 / height, clip.title, size=12, weight="bold", color=_INK)
    figure.text(
        0.98,
        1 - 0.28 / height,
        f"{clip.gflops:.2f} GFLOPs (1e9 multiply-adds)",
        size=9,
        color=_INK,
        ha="right",
    )
    figure.text(0.02, 1 - 0.52 / height, answers, size=10, color=_INK)
    for place, note in enumerate(clip.notes):
        figure.text(0.02, 1 - (0.74 + 0.2 * place) / height, note, size=9, color=_ALARM, weight="bold")
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
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", facecolor="white", metadata={"Software": None})


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
