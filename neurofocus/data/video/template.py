"""Names of extracted frames: ``image_%05d.jpg``, ``img_%05d.jpg``, ``%06d.jpg``, … given or recognised."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neurofocus.data.video.source import MAX_FRAMES, refusal

__all__ = ["FrameNames", "find_frames"]

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_NUMBERED = re.compile(r"(?P<before>.*?)(?P<number>\d+)(?P<after>\.[A-Za-z]+)")
# Beside RGB frames, folders of the usual data sets hold optical flow under other names.
_USUAL_PREFIXES = ("image_", "img_", "frame_", "")
_EXAMPLES = "for example image_%05d.jpg, img_%05d.jpg or %06d.jpg"


@dataclass(frozen=True)
class FrameNames:
    """The frames of one folder, in order.

    Attributes:
        template: The printf template of their names.
        numbers: The number in each name, increasing.
    """

    template: str
    numbers: tuple[int, ...]

    def name(self, index: int) -> str:
        """Return the file name of the frame at this place, counted from 0."""
        return self.template % self.numbers[index]

    def gap(self) -> str:
        """Say which numbers are missing between the first and the last, or nothing."""
        first, last = self.numbers[0], self.numbers[-1]
        count = last - first + 1 - len(self.numbers)
        if not count:
            return ""
        missing = next(
            before + 1
            for before, after in zip(self.numbers, self.numbers[1:], strict=False)
            if after - before > 1
        )
        return f"{count} of the numbers {first} to {last} are missing, the first is {self.template % missing}"


def find_frames(folder: Path, templates: Sequence[str] = ()) -> FrameNames:
    """List the frames of a folder.

    Args:
        folder: Holds one file a frame; other files may lie beside them.
        templates: Printf templates with one ``%d`` or ``%05d``, as a definition names them; where none fits any file,
            the template is recognised.

    Raises:
        VideoError: if the folder cannot be read, no file fits, or different files fit several templates.
    """
    files = _names(folder)
    names = [name for name in files if name.lower().endswith(_SUFFIXES)]
    if known := [fitting for template in templates if (fitting := _matching(names, template)) is not None]:
        return _widest(folder, known)
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        if found := _NUMBERED.fullmatch(name):
            groups.setdefault((found["before"], found["after"]), []).append(found["number"])
    if not groups:
        clips = f"; if these are clips, give them instead: {folder}/*" if len(files) > len(names) else ""
        raise refusal(
            folder,
            f"a folder without numbered frames ({len(names)} pictures, {len(files) - len(names)} other entries)",
            f"give a folder with one picture a frame, {_EXAMPLES}{clips}",
        )
    usual = [group for group in groups if group[0] in _USUAL_PREFIXES]
    chosen = list(groups) if len(groups) == 1 else usual
    if len(chosen) != 1:
        kinds = ", ".join(sorted(f"{before}*{after}" for before, after in groups)[:4])
        raise refusal(
            folder,
            f"several kinds of numbered frames ({kinds})",
            f"leave one kind there, or name it in a copy of the data set's definition: frame_templates, {_EXAMPLES}",
        )
    return _group(folder, *chosen[0], groups[chosen[0]])


def _names(folder: Path) -> list[str]:
    """List the files of a folder."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise refusal(
            folder, f"cannot be listed ({error.strerror})", "check the path and its permissions"
        ) from error
    if len(names) > MAX_FRAMES:
        raise refusal(folder, f"more than {MAX_FRAMES} files", "give the folder of one video")
    return names


def _matching(names: list[str], template: str) -> FrameNames | None:
    """Return the files that a template names; None if there are none."""
    before, _, rest = template.partition("%")
    after = rest.partition("d")[2]
    pattern = re.compile(f"{re.escape(before)}(\\d+){re.escape(after)}")
    matches = [match for match in map(pattern.fullmatch, names) if match]
    numbers = sorted(int(match[1]) for match in matches if template % int(match[1]) == match[0])
    return FrameNames(template, tuple(numbers)) if numbers else None


def _widest(folder: Path, known: list[FrameNames]) -> FrameNames:
    """Return the template of the most files; the others may name some of the same files, but none else."""
    widest = max(known, key=lambda found: len(found.numbers))
    names = set(map(widest.name, range(len(widest.numbers))))
    if not all(names.issuperset(map(other.name, range(len(other.numbers)))) for other in known):
        kinds = ", ".join(found.template for found in known)
        raise refusal(
            folder,
            f"several kinds of numbered frames ({kinds})",
            "leave one kind there, or name it alone in a copy of the data set's definition",
        )
    return widest


def _group(folder: Path, before: str, after: str, digits: list[str]) -> FrameNames:
    """Name the template of files that differ in their number only."""
    padded = any(text.startswith("0") and len(text) > 1 for text in digits)
    directive = f"%0{min(map(len, digits))}d" if padded else "%d"
    numbers = sorted(map(int, digits))
    if sorted(directive % number for number in numbers) != sorted(digits):
        shown = ", ".join(sorted(digits)[:3])
        raise refusal(
            folder, f"numbers of different widths in {before}*{after} ({shown})", "number the frames alike"
        )
    return FrameNames(f"{before.replace('%', '%%')}{directive}{after}", tuple(numbers))
