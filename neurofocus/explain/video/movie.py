"""The clip as a movie: the patch is drawn on every chosen frame, the frame weights run along below."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from neurofocus.data.video.source import ExactSize, Frames
from neurofocus.errors import VideoError
from neurofocus.explain.video.clip import ExplainedClip
from neurofocus.movies import write_movie

__all__ = ["write_clip_movie"]

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_SHORT_SIDE = 360
_STRIP = 64
_MARGIN = 6
_MOST_FRAMES = 450  # a longer clip is played faster, never without one of its chosen frames
_SLOWEST, _FASTEST, _UNTIMED = 8, 30, 12  # frames a second
_HOLD_SECONDS = 0.4
_CHUNK = 16
_DIM = 0.45
_BOX, _PAPER, _INK, _BAR, _VIEW = "#3d8bff", "#101418", "#e8e8e8", "#7d8894", "#ffffff"


def write_clip_movie(path: Path, clip: ExplainedClip, *, strict: bool = False) -> int:
    """Write the movie of one clip.

    Every chosen frame stands still for a moment, darkened around its patch. A thin line shows what the model sees
    of a frame. The strip has a bar for the weight of each glance frame, a mark for each chosen one, and a line
    that runs with the time. Where a glance was enough, no frame is chosen.

    Args:
        path: the MP4 to write.
        clip: what to show.
        strict: raise where a frame cannot be decoded; otherwise the movie is without it.

    Returns:
        How many frames are left out because they cannot be decoded.

    Raises:
        VideoError: if a frame cannot be decoded and ``strict``.
    """
    played = _played(clip)
    fps = _rate(clip, played)
    title = "; ".join([clip.title, *clip.notes])
    left_out: list[int] = []
    frames = _frames(clip, played, None if strict else left_out)
    write_movie(path, _pictures(clip, frames, round(fps * _HOLD_SECONDS)), fps=fps, title=title)
    return len(left_out)


def _played(clip: ExplainedClip) -> npt.NDArray[np.int64]:
    total = clip.source.num_frames
    every = np.arange(total) if total <= _MOST_FRAMES else np.linspace(0, total - 1, _MOST_FRAMES).astype(int)
    return np.union1d(every, clip.chosen)


def _rate(clip: ExplainedClip, played: npt.NDArray[np.int64]) -> Fraction:
    if clip.seconds is None or len(played) < 2 or (duration := float(clip.seconds[-1])) <= 0:
        return Fraction(_UNTIMED)
    return Fraction(min(_FASTEST, max(_SLOWEST, (len(played) - 1) / duration))).limit_denominator(1001)


def _frames(
    clip: ExplainedClip, played: npt.NDArray[np.int64], left_out: list[int] | None
) -> Iterator[tuple[int, Frames]]:
    """Yield frames with their numbers; note those that cannot be decoded, or raise where nobody takes notes."""
    size = _picture_size(*clip.source.frame_size)
    for start in range(0, len(played), _CHUNK):
        numbers = [int(number) for number in played[start : start + _CHUNK]]
        try:
            pixels: Iterable[Frames] = clip.source.read(numbers, size=size)
        except VideoError:
            if left_out is None:
                raise
            numbers, pixels = _readable(clip, numbers, size)
            left_out += set(played[start : start + _CHUNK].tolist()) - set(numbers)
        yield from zip(numbers, pixels, strict=True)


def _readable(clip: ExplainedClip, numbers: list[int], size: ExactSize) -> tuple[list[int], list[Frames]]:
    found: dict[int, Frames] = {}
    for number in numbers:
        with suppress(VideoError):
            found[number] = clip.source.read([number], size=size)[0]
    return list(found), list(found.values())


def _pictures(clip: ExplainedClip, frames: Iterable[tuple[int, Frames]], hold: int) -> Iterator[Frames]:
    size = _picture_size(*clip.source.frame_size)
    corners = clip.corners(size.height, size.width)
    boxes = {int(frame): box for frame, box in zip(clip.chosen, corners, strict=True)}
    strip = _strip(clip, size.width)
    for number, pixels in frames:
        picture = _picture(clip, pixels, boxes.get(number), strip, number)
        for _ in range(1 + (hold if number in boxes else 0)):
            yield picture


def _picture_size(height: int, width: int) -> ExactSize:
    """Return the frame's size in the movie: even, as the format wants it."""
    scale = _SHORT_SIDE / min(height, width)
    return ExactSize(2 * max(1, round(height * scale / 2)), 2 * max(1, round(width * scale / 2)))


def _picture(
    clip: ExplainedClip, pixels: Frames, box: npt.NDArray[np.float64] | None, strip: Image.Image, number: int
) -> Frames:
    height, width = pixels.shape[:2]
    image = Image.new("RGB", (width, height + _STRIP), _PAPER)
    image.paste(Image.fromarray(pixels if box is None else _dimmed(pixels, box)))
    draw = ImageDraw.Draw(image)
    draw.rectangle(
        [float(value) for value in _inside(clip.view(height, width), height, width)], outline=_VIEW
    )
    if box is not None:
        draw.rectangle([float(value) for value in _inside(box, height, width)], outline=_BOX, width=3)
    name, probability = clip.answers[0]
    font = _font(15)
    texts = [f"{clip.moment(number)}   {name} {probability:.2f}", *clip.notes]
    lines = [line for text in texts for line in _wrapped(text, font, width - 2 * _MARGIN)]
    draw.text((_MARGIN, _MARGIN), "\n".join(lines), _INK, font, stroke_width=2, stroke_fill=_PAPER)
    image.paste(strip, (0, height))
    x = _across(number, clip.source.num_frames, width)
    draw.line([(x, height + 2), (x, height + _STRIP - 3)], _INK, 2)
    return np.asarray(image)


def _wrapped(text: str, font: Font, width: float) -> list[str]:
    """Return the text in lines that fit: class names and notes may be whole sentences."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _dimmed(pixels: Frames, box: npt.NDArray[np.float64]) -> Frames:
    height, width = pixels.shape[:2]
    left, top, right, bottom = (round(float(value)) for value in _inside(box, height, width))
    dimmed = (pixels * _DIM).astype(np.uint8)
    dimmed[top : bottom + 1, left : right + 1] = pixels[top : bottom + 1, left : right + 1]
    return dimmed


def _inside(box: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.float64]:
    limits = np.array([width - 1, height - 1, width - 1, height - 1], dtype=np.float64)
    return np.clip(box, 0, limits)


def _strip(clip: ExplainedClip, width: int) -> Image.Image:
    """Return the bars of the frame weights, the tallest one full, and a mark under each chosen frame.

    Where the frames were not weighed, each that was glanced at has a thin line instead.
    """
    image = Image.new("RGB", (width, _STRIP), _PAPER)
    draw = ImageDraw.Draw(image)
    total, floor, room = clip.source.num_frames, _STRIP - 14, _STRIP - 20
    part = (width - 2 * _MARGIN) / len(clip.glance)  # a weight stands for its part of the clip
    if clip.weights is None:
        for number in clip.glance:
            x = _across(int(number), total, width)
            draw.line([(x, floor - room), (x, floor)], _BAR, 1)
    else:
        for place, weight in enumerate(clip.weights / clip.weights.max()):
            left = _MARGIN + place * part
            draw.rectangle([left + 1, floor - room * float(weight), left + part - 1, floor], fill=_BAR)
    for number in clip.chosen:
        x = _across(int(number), total, width)
        draw.rectangle([x - 1, floor + 4, x + 1, floor + 10], fill=_BOX)
    return image


def _across(number: int, total: int, width: int) -> float:
    return _MARGIN + (number + 0.5) / total * (width - 2 * _MARGIN)


def _font(size: int) -> Font:
    return ImageFont.load_default(size)
