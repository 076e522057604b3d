"""A stratified split of clips that have none: drawn once, kept in a file, read back ever after."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurofocus.errors import VideoError
from neurofocus.files import write_json
from neurofocus.ingest.video.listing import SplitRule
from neurofocus.ingest.video.text import counted, read_json, shown

__all__ = ["SPLIT_FILE", "draw_split", "kept_split"]

SPLIT_FILE = "neurofocus-split.json"
_PARTS = ("train", "validation")
_SHOWN = 3


def draw_split(clips: Mapping[str, str], rule: SplitRule) -> dict[str, str]:
    """Return clip -> "train" or "validation", the same share of every class held out.

    Clips of a class are ordered by SHA-256 of seed and name, so that the draw is the same on every machine and in
    whatever order files are listed. A class of two clips or more has one at least on either side.

    Args:
        clips: clip name -> class name.
        rule: seed and share.

    Raises:
        VideoError: if the share is not between 0 and 1.
    """
    if not 0 < rule.validation < 1:
        raise VideoError(
            f"a validation share of {rule.validation} divides nothing; give one above 0 and below 1, such as 0.2"
        )
    by_class: dict[str, list[str]] = defaultdict(list)
    for clip, label in clips.items():
        by_class[label].append(clip)
    drawn: dict[str, str] = {}
    for members in by_class.values():
        members.sort(key=lambda clip: hashlib.sha256(f"{rule.seed}:{clip}".encode()).digest())
        held = round(len(members) * rule.validation)
        held = min(max(held, 1), len(members) - 1)
        drawn |= {clip: "validation" if place < held else "train" for place, clip in enumerate(members)}
    return {clip: drawn[clip] for clip in clips}


def kept_split(clips: Mapping[str, str], rule: SplitRule, file: Path) -> tuple[dict[str, str], list[str]]:
    """Return the split that a file keeps; without the file, draw one and write it.

    Clips that came later are in no split, those that went stay in it: both are reported, and nothing is drawn again.

    Args:
        clips: clip name -> class name, as they lie there now.
        rule: seed and share; must be those of the file.
        file: where the split is kept.

    Returns:
        Clip name -> "train" or "validation", and warnings.

    Raises:
        VideoError: if the file is damaged or was drawn by another rule.
    """
    if not file.exists():
        drawn = draw_split(clips, rule)
        parts = {part: sorted(clip for clip in drawn if drawn[clip] == part) for part in _PARTS}
        write_json(file, {"seed": rule.seed, "validation_share": rule.validation, **parts})
        counts = f"{len(parts['train'])} clips to train and {len(parts['validation'])} to validate"
        return drawn, [
            f"no split is delivered: {counts} are drawn by class (seed {rule.seed}) and kept in {file}"
        ]
    kept = _read(file, rule)
    new = [clip for clip in clips if clip not in kept]
    gone = [clip for clip in kept if clip not in clips]
    warnings = [f"the split kept in {file} is used (seed {rule.seed}, {rule.validation:g} held out)"]
    if new:
        which = counted(len(new), "clip is", "clips are")
        warnings.append(
            f"{file.name}: {which} newer than the split and left out ({_first(new)}); remove the file to draw again, which "
            "changes who is held out"
        )
    if gone:
        which = counted(len(gone), "clip of the split is", "clips of the split are")
        warnings.append(
            f"{file.name}: {which} no longer there ({_first(gone)}); put them back, or remove the file to draw again"
        )
    return kept, warnings


def _read(file: Path, rule: SplitRule) -> dict[str, str]:
    try:
        content: Any = read_json(file)
    except VideoError:
        raise VideoError(f"{file}: not readable as JSON; remove the file to draw the split again") from None
    kept: dict[str, str] = {}
    for part in _PARTS:
        names = content.get(part) if isinstance(content, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise VideoError(f"{file}: no list {part!r}; remove the file to draw the split again")
        if twice := sorted(name for name in names if name in kept):
            raise VideoError(
                f"{file}: {shown(twice[0])} stands twice; remove the file to draw the split again"
            )
        kept |= dict.fromkeys(names, part)
    drawn = (content.get("seed"), content.get("validation_share"))
    if drawn != (rule.seed, rule.validation):
        raise VideoError(
            f"{file}: drawn with seed {drawn[0]} and share {drawn[1]}, asked are {rule.seed} and {rule.validation}; ask "
            "for those of the file, or name another file"
        )
    return kept


def _first(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
