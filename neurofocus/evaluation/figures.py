"""Pictures of a report as PNG bytes, in a light and a dark theme; no screen and no global state."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from neurofocus.evaluation.calibration import calibration_pairs, reliability_curve
from neurofocus.evaluation.metrics import Scores, compute_metrics, roc_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "DARK",
    "LIGHT",
    "FrameStrip",
    "Theme",
    "add_legend",
    "calibration_figure",
    "frames_figure",
    "png_bytes",
    "roc_figure",
    "themed_axes",
]

Floats = npt.NDArray[np.float64]
# Okabe and Ito's palette, told apart by people of any colour vision; the blue that each background shows well first.
_BLUE, _SKY = "#0072B2", "#56B4E9"
_OTHERS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00")
_BOX = "#3d8bff"  # the paper's figure 13 draws its boxes in blue
_COLUMNS = 8


@dataclass(frozen=True)
class Theme:
    """Colours of one theme: background, text, lines that only help reading, and curves."""

    paper: str
    ink: str
    muted: str
    curves: tuple[str, ...]


LIGHT = Theme("#ffffff", "#1b1f24", "#a6adb5", (_BLUE, *_OTHERS, _SKY))
DARK = Theme("#171b21", "#e6e8eb", "#5c6570", (_SKY, *_OTHERS, _BLUE))


@dataclass(frozen=True)
class FrameStrip:
    """Frames of one case with the box that the model looked into.

    Attributes:
        frames: [F, H, W]; exactly 0 is outside the brain.
        boxes: [F, 4] as (x_c, y_c, height, width) in pixels.
        captions: [F] text above each frame.
        letters: what lies left, right, bottom and top, for example ("L", "R", "I", "S"); empty if unknown.
    """

    frames: npt.NDArray[np.floating]
    boxes: npt.NDArray[np.floating]
    captions: Sequence[str]
    letters: tuple[str, str, str, str] = ("", "", "", "")

    def __post_init__(self) -> None:
        count = len(self.frames)
        if (
            self.frames.ndim != 3
            or self.boxes.shape != (count, 4)
            or len(self.captions) != count
            or not count
        ):
            raise ValueError(
                f"frames {self.frames.shape}, boxes {self.boxes.shape} and {len(self.captions)} captions "
                "must be [F, H, W], [F, 4] and [F] with F >= 1"
            )


def roc_figure(scores: Scores, folds: npt.NDArray[np.int64], classes: Sequence[str], theme: Theme) -> bytes:
    """Draw ROC curves: each fold and the pooled one, or, for more than two classes, each class against the rest.

    Args:
        scores: of all scans.
        folds: [N] the fold that tested each scan.
        classes: class names.
        theme: colours.
    """
    figure, axes = _square(theme)
    axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=1, linestyle=(0, (4, 4)), label="chance")
    if scores.num_classes == 2:
        for place, number in enumerate(np.unique(folds)):
            inside = folds == number
            part = Scores(scores.labels[inside], scores.predicted[inside], scores.probabilities[inside])
            _draw_roc(axes, part, 1, f"fold {number}", theme.curves[place % len(theme.curves)])
        _draw_roc(axes, scores, 1, "pooled", theme.ink, linewidth=2.6)
    else:
        for label, name in enumerate(classes):
            _draw_roc(
                axes,
                scores,
                label,
                f"{name} against the rest",
                theme.curves[label % len(theme.curves)],
                linewidth=2,
            )
    axes.set_xlabel("1 - specificity")
    axes.set_ylabel("sensitivity")
    add_legend(axes, theme, "lower right")
    return png_bytes(figure)


def calibration_figure(scores: Scores, classes: Sequence[str], theme: Theme) -> bytes:
    """Draw the reliability curve with 95 % Wilson intervals over a histogram of the probabilities.

    Args:
        scores: of all scans.
        classes: class names.
        theme: colours.
    """
    probabilities, outcomes = calibration_pairs(scores.labels, scores.probabilities)
    curve = reliability_curve(probabilities, outcomes)
    mean = np.array([item.mean_probability for item in curve])
    observed = np.array([item.observed for item in curve])
    spread = np.array([[item.observed - item.low, item.high - item.observed] for item in curve]).T
    figure, axes = _square(theme)
    axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=1, linestyle=(0, (4, 4)), label="perfect")
    counts, edges = np.histogram(probabilities, bins=20, range=(0, 1))
    axes.bar(
        edges[:-1], 0.18 * counts / counts.max(), width=0.05, align="edge", color=theme.muted, alpha=0.45,
        label=f"scans (highest bar: {counts.max()})",
    )  # fmt: skip
    axes.errorbar(
        mean, observed, yerr=np.maximum(spread, 0), color=theme.curves[0], linewidth=1.2, elinewidth=1,
        capsize=2, label="observed, 95 % interval",
    )  # fmt: skip
    share = np.array([item.count for item in curve]) / len(outcomes)
    axes.scatter(
        mean, observed, s=14 + 260 * share, color=theme.curves[0], zorder=3
    )  # area as scans in the bin
    two = scores.num_classes == 2
    axes.set_xlabel(f"predicted probability of {classes[-1]}" if two else "largest predicted probability")
    axes.set_ylabel(f"share that is {classes[-1]}" if two else "share predicted right")
    add_legend(axes, theme, "upper left")
    return png_bytes(figure)


def frames_figure(strip: FrameStrip) -> bytes:
    """Draw frames on black, each with its box in blue; pixel (i, j) covers x in j..j+1 and y in i..i+1."""
    from matplotlib.figure import Figure

    count = len(strip.frames)
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    figure = Figure(figsize=(1.6 * columns, 1.78 * rows), dpi=120, facecolor="black")
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(
        left=0.005, right=0.995, bottom=0.01, top=1 - 0.16 / rows / 1.78, wspace=0.04, hspace=0.14
    )
    brain = strip.frames[strip.frames != 0]
    dark, bright = np.percentile(brain, [0.5, 99.5]) if brain.size else (0.0, 1.0)
    for place, axes in enumerate(grid.flat):
        axes.set_axis_off()
        if place < count:
            _draw_frame(axes, strip, place, (float(dark), float(bright) + 1e-6))
    return png_bytes(figure)


def _draw_frame(axes: "Axes", strip: FrameStrip, place: int, window: tuple[float, float]) -> None:
    from matplotlib.patches import Rectangle

    frame = strip.frames[place]
    height, width = frame.shape
    shown = np.where(frame == 0, window[0], frame)
    axes.imshow(shown, cmap="gray", vmin=window[0], vmax=window[1], extent=(0, width, height, 0))
    x, y, tall, wide = (float(value) for value in strip.boxes[place])
    axes.add_patch(
        Rectangle((x - wide / 2, y - tall / 2), wide, tall, fill=False, edgecolor=_BOX, linewidth=1.6)
    )
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_title(strip.captions[place], color="#e8e8e8", size=8, pad=3)
    spots = ((0.03, 0.5, "left", "center"), (0.97, 0.5, "right", "center"),
             (0.5, 0.03, "center", "bottom"), (0.5, 0.97, "center", "top"))  # fmt: skip
    for letter, (left, bottom, across, along) in zip(strip.letters, spots, strict=True):
        axes.text(
            left, bottom, letter, transform=axes.transAxes, color="#9aa4af", size=7, ha=across, va=along
        )


def _draw_roc(
    axes: "Axes", scores: Scores, label: int, name: str, colour: str, *, linewidth: float = 1.1
) -> None:
    """Draw one class's curve with its area, or nothing where a fold lacks positives or negatives."""
    positive = scores.labels == label
    if positive.all() or not positive.any():
        return
    values = scores.probabilities[:, label]
    two = Scores(positive.astype(np.int64), positive.astype(np.int64), np.stack([1 - values, values], axis=1))
    area = compute_metrics(two)["roc_auc"][0]
    false, true = roc_curve(positive, values)
    axes.plot(false, true, color=colour, linewidth=linewidth, label=f"{name}: {area:.2f}")


def _square(theme: Theme) -> "tuple[Figure, Axes]":
    """Return a square figure with axes from 0 to 1 in the theme's colours."""
    figure, axes = themed_axes(theme, (5.2, 5.0))
    axes.set_aspect("equal")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_yticks(np.linspace(0, 1, 6))
    return figure, axes


def themed_axes(theme: Theme, inches: tuple[float, float]) -> "tuple[Figure, Axes]":
    """Return a figure of a width and height with one pair of axes in the theme's colours."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=130, facecolor=theme.paper, layout="constrained")
    axes = figure.add_subplot(facecolor=theme.paper)
    axes.grid(color=theme.muted, alpha=0.25, linewidth=0.6)
    axes.tick_params(colors=theme.ink, length=0, labelsize=9)
    axes.xaxis.label.set_color(theme.ink)
    axes.yaxis.label.set_color(theme.ink)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure, axes


def add_legend(axes: "Axes", theme: Theme, place: Literal["lower right", "upper left"]) -> None:
    """Put the legend of what was drawn into a corner."""
    axes.legend(loc=place, fontsize=8.5, frameon=True, facecolor=theme.paper, edgecolor="none",
                framealpha=0.85, labelcolor=theme.ink)  # fmt: skip


def png_bytes(figure: "Figure") -> bytes:
    """Return the figure as PNG, without a software name, so that equal figures are equal bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor=figure.get_facecolor(), metadata={"Software": None})
    return stream.getvalue()
