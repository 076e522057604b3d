"""The three lists of lines: PATH LABEL…, PATH FRAMES LABEL…, PATH OFFSET FRAMES LABEL….

They are told apart by how many whole numbers end every line. Where two readings are possible, values decide: a list
does not declare clips of no frames, labels beyond the classes, or several labels for every single clip.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from neurofocus.ingest.video.listing import SPLITS, ListedClip, Listing, NotThisFormat, Opened, Request, Split
from neurofocus.ingest.video.media import without_suffix
from neurofocus.ingest.video.rows import Row, RowFile, read_rows
from neurofocus.ingest.video.text import counted, shown

__all__ = ["RowFormat", "open_row_list"]

RowFormat = Literal["video-list", "frame-list", "frame-list-offset"]
# How many numbers stand between the path and the labels, and what a line looks like.
_HEADS: dict[RowFormat, int] = {"video-list": 0, "frame-list": 1, "frame-list-offset": 2}
_LOOKS: dict[RowFormat, str] = {
    "video-list": "PATH LABEL",
    "frame-list": "PATH FRAMES LABEL",
    "frame-list-offset": "PATH OFFSET FRAMES LABEL",
}
_SIGNS = {" ": "spaces", ",": "commas", ";": "semicolons", "\t": "tabs"}
_PER_FRAME = ("original_vido_id", "original_video_id")


@dataclass(frozen=True)
class _Reading:
    """One way to read the lists: ``head`` numbers before the labels, several labels or exactly one."""

    format: RowFormat
    multi: bool
    forced: bool

    @property
    def head(self) -> int:
        return _HEADS[self.format]

    def surplus(self, row: Row) -> int:
        """Return how many of a row's numbers are more than the format has; they can only be the end of its path."""
        own = 0 if row.name is not None else 1
        return 0 if self.multi else max(len(row.numbers) - self.head - own, 0)

    def split(self, row: Row, separator: str) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
        """Return path, head numbers and label numbers of a row."""
        surplus = self.surplus(row)
        path = separator.join([row.path, *(str(number) for number in row.numbers[:surplus])])
        numbers = row.numbers[surplus:]
        return path, numbers[: self.head], numbers[self.head :]


def open_row_list(name: RowFormat, request: Request) -> Opened:
    """Recognise one of the three formats.

    Raises:
        NotThisFormat: with the number of fields that speaks against it.
        VideoError: if a line cannot be read at all.
    """
    lists: dict[Split, RowFile] = {}
    for split in SPLITS:
        if (path := request.files.get(split)) is not None:
            if path not in request.rows:
                request.rows[path] = read_rows(path, request.options.separator)
            lists[split] = request.rows[path]
    if not lists:
        raise NotThisFormat("no list of one split")
    reading = _Reading(name, request.spec.multi_label, request.options.format == name)
    _require_widths(reading, lists)
    first = next(iter(lists.values()))
    row = first.rows[0]
    example = first.separator.join([row.path, *map(str, row.numbers), *([row.name] if row.name else [])])
    looks = _LOOKS[name] + (" [LABEL…]" if reading.multi else "")
    sign = _SIGNS.get(first.separator, shown(first.separator))
    reason = f"{first.path.name}: {len(first.rows)} lines {looks} divided by {sign}, such as {shown(example)}"
    return Opened(
        name,
        reason,
        lambda: _listing(reading, lists),
        "file" if name == "video-list" else "frames",
        tuple(_doubts(reading, lists, request.spec.num_classes)),
    )


def _require_widths(reading: _Reading, lists: Mapping[Split, RowFile]) -> None:
    """Refuse a reading that the number of fields rules out."""
    labelled = {split: rows for split, rows in lists.items() if split != "test"} or lists
    wanted = reading.head + 1
    looks = _LOOKS[reading.format]
    fewest = wanted + 1
    for split, rows in lists.items():
        for row in rows.rows:
            if any(word in row.path for word in _PER_FRAME):
                raise NotThisFormat(
                    f"{rows.where(row)}: a list with one line a frame; give a list with one line a clip"
                )
            width = len(row.numbers) + (row.name is not None)
            if width < wanted and not (split == "test" and width == reading.head):
                raise NotThisFormat(f"{rows.where(row)}: {_too_short(row, width, looks)}")
            if reading.surplus(row) and without_suffix(row.path) != row.path:
                raise NotThisFormat(
                    f"{rows.where(row)}: {shown(row.path)} is followed by {width} fields, more than {looks} has"
                )
            if split in labelled:
                fewest = min(fewest, width)
    if fewest > wanted and not reading.multi and not reading.forced:
        raise NotThisFormat(
            f"every line of {next(iter(labelled.values())).path.name} has more fields than {looks}"
        )


def _too_short(row: Row, width: int, looks: str) -> str:
    if width == 0:
        return (
            f"{shown(row.path)} does not end in a label; a label is a whole number from 0 at the end of the line, or a "
            "name behind a comma, semicolon or tab"
        )
    return f"{shown(row.path)} is followed by {width} of the fields of {looks}"


def _doubts(reading: _Reading, lists: Mapping[Split, RowFile], num_classes: int | None) -> Iterator[str]:
    """Say which values would be odd under a reading."""
    several, counts, outside = True, [], ""
    for rows in lists.values():
        for row in rows.rows:
            _, head, labels = reading.split(row, rows.separator)
            several = several and len(labels) > 1
            counts.append(head[-1] if head else 1)
            if num_classes and not outside and any(label >= num_classes for label in labels):
                outside = f"{rows.where(row)}: label {max(labels)} of {num_classes} classes"
    if outside:
        yield outside
    if several:
        yield "every clip would have two labels or more"
    if min(counts) < 1:
        yield "clips would have no frames"
    videos = all(without_suffix(row.path) != row.path for rows in lists.values() for row in rows.rows)
    if reading.head == 1 and num_classes and videos and max(counts) < num_classes:
        yield f"clips are video files, and no frame count reaches {num_classes}, the number of classes"


def _listing(reading: _Reading, lists: Mapping[Split, RowFile]) -> Listing:
    clips = [
        _clip(reading, split, rows, row)
        for split, rows in sorted(lists.items(), key=lambda item: SPLITS.index(item[0]))
        for row in rows.rows
    ]
    return Listing(clips, (), (*_surplus_notes(reading, lists), *_notes(lists)))


def _clip(reading: _Reading, split: Split, rows: RowFile, row: Row) -> ListedClip:
    path, head, numbers = reading.split(row, rows.separator)
    # AR-Net's lists of ActivityNet hold a label for every annotated segment; the video has each class once.
    distinct = tuple(dict.fromkeys(numbers))
    labels: tuple[int, ...] | tuple[str, ...] = distinct if row.name is None else (row.name,)
    if split == "test" and numbers == (-1,):
        labels = ()  # how test lists without labels fill their last column
    part = (head[0], head[0] + head[1]) if len(head) == 2 else None
    return ListedClip(
        (path,), split, labels, rows.where(row), num_frames=head[-1] if head else None, frames=part
    )


def _surplus_notes(reading: _Reading, lists: Mapping[Split, RowFile]) -> Iterator[str]:
    """Name a line with more numbers than the others: a folder's name may end in one, a line may be wrong."""
    found = [(rows, row) for rows in lists.values() for row in rows.rows if reading.surplus(row)]
    if found:
        rows, row = found[0]
        yield (
            f"{counted(len(found), 'line has', 'lines have')} more numbers than {_LOOKS[reading.format]}; the first ones "
            f"are taken for the end of the path (first: {rows.where(row)}: "
            f"{shown(reading.split(row, rows.separator)[0])})"
        )


def _notes(lists: Mapping[Split, RowFile]) -> Sequence[str]:
    signs = {rows.separator for rows in lists.values() if any(row.numbers for row in rows.rows)}
    if len(signs) < 2:
        return ()
    names = ", ".join(f"{rows.path.name} by {_SIGNS.get(rows.separator)}" for rows in lists.values())
    return (f"the lists divide their fields in different ways: {names}",)
