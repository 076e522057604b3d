"""Files of class names, and the index of every label: a number is an index, a name gets one by a stated rule."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofocus.errors import VideoError
from neurofocus.ingest.video.listing import ListedClip, Listing
from neurofocus.ingest.video.text import is_integer, read_json, read_lines, shown
from neurofocus.schema.video import ClassOrder, VideoDatasetSpec

__all__ = ["ClassRule", "class_rule", "read_class_file", "same_name"]

_HEADER = {"id", "index", "class_id", "label_id", "name", "class", "label", "class_name", "label_name"}
_FIELDS = re.compile(r"[,;\t]")


@dataclass(frozen=True)
class ClassRule:
    """How labels become indices.

    Attributes:
        names: class names in index order; empty if nobody says them.
        text: the rule, for a person.
        warnings: what to know about it.
    """

    names: tuple[str, ...]
    text: str
    warnings: tuple[str, ...] = ()

    def index(self, clips: Sequence[ListedClip]) -> list[tuple[int, ...]]:
        """Return the class indices of every clip.

        Raises:
            VideoError: at a name that is no class.
        """
        exact = {name: place for place, name in enumerate(self.names)}
        loose: dict[str, int] = {}
        for name, place in exact.items():
            loose[same_name(name)] = place if same_name(name) not in loose else -1
        return [
            tuple(
                label if isinstance(label, int) else self._place(label, exact, loose, clip.where)
                for label in clip.labels
            )
            for clip in clips
        ]

    def _place(self, label: str, exact: Mapping[str, int], loose: Mapping[str, int], where: str) -> int:
        place = exact.get(label, loose.get(same_name(label), -1))
        if place < 0:
            raise VideoError(
                f"{where}: label {shown(label)} is none of the {len(self.names)} classes ({self.text}); mend the label "
                "or give the class file that belongs to the list (--list classes=FILE)"
            )
        return place


def class_rule(
    listing: Listing, files: Mapping[str, Path], spec: VideoDatasetSpec, order: ClassOrder | None
) -> ClassRule:
    """Return how the labels of a listing become indices.

    A file under the role ``classes`` says names by index: its n-th line, or the index it states. One under ``names``
    says names only; ``order`` decides (sorted, or as in the file). Without either, names are those met, sorted.

    Args:
        listing: the clips.
        files: role -> list file.
        spec: the data set's definition; its ``class_order`` holds unless ``order`` is given.
        order: what the user forces.

    Raises:
        VideoError: if a class file cannot be read.
    """
    numbered = any(isinstance(label, int) for clip in listing.clips for label in clip.labels)
    if listing.class_names:
        return _ordered(listing.class_names, order or "file", "names of the folders")
    if (path := files.get("classes")) is not None:
        return _ordered(read_class_file(path), order or "file", path.name)
    if (path := files.get("names")) is not None:
        names = read_class_file(path)
        if numbered and order is None and list(names) != sorted(names):
            return ClassRule((), f"{path.name} is not sorted", (_undecided(path),))
        rule = _ordered(names, order or spec.class_order, path.name)
        return ClassRule(rule.names, rule.text, _order_warning(names, rule, order))
    if numbered:
        return ClassRule((), "labels are numbers and no file says their names")
    met = {str(label) for clip in listing.clips for label in clip.labels}
    rule = _ordered(tuple(sorted(met)), "sorted", "names met in the lists")
    if spec.num_classes and len(met) != spec.num_classes:
        warning = (
            f"{len(met)} class names are met, {spec.num_classes} were expected: sorted names give other indices than "
            "with all classes; give a file with all names (--list names=FILE) before using a foreign checkpoint"
        )
        return ClassRule(rule.names, rule.text, (warning,))
    return rule


def read_class_file(path: Path) -> tuple[str, ...]:
    """Return class names in the order of a file.

    Accepted: one name a line; a line each with name and index (0… or 1…, either first); JSON {name: index},
    {index: name}, a list of names, or a list of lists of words (Diving48's vocabulary).

    Raises:
        VideoError: if names repeat, or indices are not 0…n-1 (1…n in text).
    """
    names = _from_json(path, read_json(path)) if path.suffix.lower() == ".json" else _from_lines(path)
    names = tuple(name.strip().strip('"').strip() for name in names)
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise VideoError(
            f"{path}: the class {shown(repeated[0])} stands twice; every class needs a name of its own"
        )
    if not all(names):
        raise VideoError(f"{path}: a class has an empty name; give every class a name")
    return names


def same_name(name: str) -> str:
    """Return a class name without brackets, case, underscores and quotes, in which tools differ."""
    return re.sub(r"[\s_]+", " ", re.sub(r"[\[\]()\"']", "", name)).strip().casefold()


def _ordered(names: tuple[str, ...], order: ClassOrder, source: str) -> ClassRule:
    if order == "sorted":
        return ClassRule(tuple(sorted(names)), f"{source}, sorted")
    return ClassRule(names, f"{source}, in the file's order" if names != tuple(sorted(names)) else source)


def _order_warning(names: tuple[str, ...], rule: ClassRule, order: ClassOrder | None) -> tuple[str, ...]:
    if order is not None or names == tuple(sorted(names)):
        return ()
    used = "sorted names" if rule.names != names else "the file's order"
    text = (
        f"class names are not sorted in their file: {used} is used; TSM and AdaFocus sort, mmaction2 keeps the file's "
        "order: set --class-order (sorted or file) to that of the checkpoint you load"
    )
    return (text,)


def _undecided(path: Path) -> str:
    return (
        f"{path.name} is not sorted and the lists hold numbers: TSM and AdaFocus count sorted names, mmaction2 the "
        "file's order; names stay unknown until you set --class-order (sorted or file)"
    )


def _from_json(path: Path, content: Any) -> tuple[str, ...]:
    if isinstance(content, list) and all(isinstance(item, str) for item in content):
        return tuple(content)
    if isinstance(content, list) and all(isinstance(item, list) for item in content):
        return tuple(" ".join(str(word) for word in item) for item in content)
    if isinstance(content, dict) and content:
        pairs = [(str(value), str(key)) for key, value in content.items()]
        if not all(is_integer(index) for index, _ in pairs):
            pairs = [(name, index) for index, name in pairs]
        if (names := _by_index(pairs, 0)) is not None:
            return names
    raise VideoError(
        f"{path}: no class names; accepted are a list of names and {{name: index}} with indices from 0 without gaps"
    )


def _from_lines(path: Path) -> tuple[str, ...]:
    lines = [line for _, line in read_lines(path)]
    header = [cell.strip().lower() for cell in _FIELDS.split(lines[0])]
    if len(header) == 2 and set(header) <= _HEADER:
        lines = lines[1:]
    for pairs in (
        [_pair(line, first=True) for line in lines],
        [_pair(line, first=False) for line in lines],
    ):
        whole = [pair for pair in pairs if pair is not None]
        if len(whole) == len(lines):
            start = min(int(index) for index, _ in whole)
            if start in (0, 1) and (names := _by_index(whole, start)) is not None:
                return names
    return tuple(lines)


def _pair(line: str, *, first: bool) -> tuple[str, str] | None:
    """Return (index, name) of a line such as "0,abseiling" or "abseiling 0"; None if it has no index there."""
    cells = _FIELDS.split(line, 1) if first else list(_FIELDS.split(line[::-1], 1))
    if len(cells) != 2:
        cells = (line if first else line[::-1]).split(None, 1)
    if not first:
        cells = [cell[::-1] for cell in cells]
    cells = [cell.strip() for cell in cells]
    return (cells[0], cells[1]) if len(cells) == 2 and is_integer(cells[0]) else None


def _by_index(pairs: Sequence[tuple[str, str]], start: int) -> tuple[str, ...] | None:
    """Return the names in the order of their indices; None unless those are start, start + 1 and so on.

    Equal names say that the number is part of the name: "swipe 1", "swipe 2".
    """
    ordered = sorted((int(index), name) for index, name in pairs)
    if [index for index, _ in ordered] != list(range(start, start + len(ordered))):
        return None
    if len({name for _, name in ordered}) < len(ordered):
        return None
    return tuple(name for _, name in ordered)
