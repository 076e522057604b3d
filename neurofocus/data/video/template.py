"""Names of extracted frames: ``image_%05d.jpg``, ``img_%05d.jpg``, ``%06d.jpg``, … given or recognised."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from neurofocus.data.video.source import MAX_FRAMES, refusal

__all__ = ["FrameNames", "find_frames"]

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_TEMPLATE = re.compile(r"(?P<before>(?:[^%/]|%%)*)%(?:0(?P<width>\d{1,2}))?d(?P<after>(?:[^%/]|%%)*)")
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


def find_frames(folder: Path, template: str | None = None) -> FrameNames:
    """List the frames of a folder.

    Args:
        folder: Holds one file a frame; other files may lie beside them.
        template: A printf template with one ``%d`` or ``%05d``; ``*.jpeg`` for the numbered files with this suffix;
            recognised if None.

    Raises:
        VideoError: if the folder or the template cannot be read, no file fits, or several templates fit.
    """
    names = _names(folder)
    if template is not None and not template.startswith("*."):
        return _matching(folder, names, template)
    suffixes = _SUFFIXES if template is None else (template[1:].lower(),)
    names = [name for name in names if name.lower().endswith(suffixes)]
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        if found := _NUMBERED.fullmatch(name):
            groups.setdefault((found["before"], found["after"]), []).append(found["number"])
    if not groups:
        raise refusal(
            folder,
            f"a folder without numbered frames ({len(names)} pictures)",
            f"give a folder with one picture a frame, {_EXAMPLES}",
        )
    usual = [group for group in groups if group[0] in _USUAL_PREFIXES]
    chosen = list(groups) if len(groups) == 1 else usual
    if len(chosen) != 1:
        kinds = ", ".join(sorted(f"{before}*{after}" for before, after in groups)[:4])
        raise refusal(
            folder, f"several kinds of numbered frames ({kinds})", f"give the template of one, {_EXAMPLES}"
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


def _matching(folder: Path, names: list[str], template: str) -> FrameNames:
    """Return the files that a given template names."""
    found = _TEMPLATE.fullmatch(template)
    if found is None:
        raise refusal(
            folder, f"the template {template!r}", f"give a file name with one %d or %05d, {_EXAMPLES}"
        )
    before, after = (re.escape(found[part].replace("%%", "%")) for part in ("before", "after"))
    pattern = re.compile(f"{before}(\\d+){after}")
    matches = [match for match in map(pattern.fullmatch, names) if match]
    numbers = sorted(int(match[1]) for match in matches if template % int(match[1]) == match[0])
    if not numbers:
        raise refusal(
            folder, f"none of {len(names)} files is named {template}", f"give the template, {_EXAMPLES}"
        )
    return FrameNames(template, tuple(numbers))


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
