"""Lists of the data sets themselves in text: Kinetics, Something-Something V1 and Jester, FCVID."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from neurofocus.errors import VideoError
from neurofocus.ingest.video.listing import SPLITS, ListedClip, Listing, NotThisFormat, Opened, Request, Split
from neurofocus.ingest.video.media import clean_name
from neurofocus.ingest.video.text import Lines, cells, read_lines, shown

__all__ = ["open_fcvid", "open_kinetics", "open_something_csv"]

_KINETICS = {"youtube_id", "time_start", "time_end"}
_SPLIT_WORDS: dict[str, Split] = {
    "train": "train",
    "val": "validation",
    "validate": "validation",
    "validation": "validation",
    "test": "test",
}


def open_kinetics(request: Request) -> Opened:
    """Recognise Kinetics' CSV: label, youtube_id, time_start, time_end, split[, is_cc]; no label in test lists.

    Clips are ``ID_SSSSSS_EEEEEE`` (seconds), flat or in folders of their class.

    Raises:
        NotThisFormat: if the header is another.
    """
    paths = [request.files[role] for role in (*SPLITS, "all") if role in request.files]
    lists = {path: read_lines(path) for path in paths}
    for path, lines in lists.items():
        if not set(cells(lines[0][1], ",")) >= _KINETICS:
            raise NotThisFormat(
                f"{path.name}: no header with {', '.join(sorted(_KINETICS))}, but {shown(lines[0][1])}"
            )
    first, lines = next(iter(lists.items()))
    reason = f"{first.name}: {len(lines) - 1} lines under the header {lines[0][1]!r}"
    return Opened("kinetics-csv", reason, lambda: _kinetics(request, lists))


def open_something_csv(request: Request) -> Opened:
    """Recognise Something-Something V1 and Jester: lines ID;CLASS NAME without header, lines ID in test lists.

    Raises:
        NotThisFormat: if a list has other lines.
    """
    lists: dict[Split, Lines] = {
        split: read_lines(request.files[split]) for split in SPLITS if split in request.files
    }
    for split, lines in lists.items():
        for number, line in lines:
            fields = [field.strip() for field in line.split(";", 1)]
            if not fields[0].isdecimal() or (split != "test" and (len(fields) < 2 or not fields[1])):
                raise NotThisFormat(
                    f"{request.files[split].name}: line {number}: {shown(line)} is no ID;CLASS NAME"
                )
    if not lists:
        raise NotThisFormat("no list of one split")
    split, lines = next(iter(lists.items()))
    reason = f"{request.files[split].name}: {len(lines)} lines ID;CLASS NAME, such as {shown(lines[0][1])}"
    clips = [_something(request.files[name], name, *line) for name, each in lists.items() for line in each]
    return Opened("something-csv", reason, lambda: Listing(clips), "frames")


def open_fcvid(request: Request) -> Opened:
    """Recognise FCVID's two files: path and train or test; one row of 0 and 1 a video in the same order.

    Raises:
        NotThisFormat: if a file is missing or has other lines.
    """
    if "all" not in request.files or "labels" not in request.files:
        raise NotThisFormat("the list of names and the file of labels are both needed")
    names, labels = (read_lines(request.files[role]) for role in ("all", "labels"))
    for number, line in names:
        if line.split(None, 1)[1:] == [] or line.rsplit(None, 1)[-1].lower() not in ("train", "test"):
            raise NotThisFormat(
                f"{request.files['all'].name}: line {number}: {shown(line)} does not end in train or test"
            )
    reason = f"{request.files['all'].name}: {len(names)} lines PATH train|test; labels in {request.files['labels'].name}"
    return Opened("fcvid", reason, lambda: _fcvid(request, names, labels))


def _kinetics(request: Request, lists: Mapping[Path, Lines]) -> Listing:
    splits = {request.files[split]: split for split in SPLITS if split in request.files}
    clips = [clip for path, lines in lists.items() for clip in _kinetics_file(path, lines, splits.get(path))]
    clips.sort(key=lambda clip: SPLITS.index(clip.split))
    return Listing(clips)


def _kinetics_file(path: Path, lines: Lines, split: Split | None) -> Iterator[ListedClip]:
    header = [cell.lower() for cell in cells(lines[0][1], ",")]
    for number, line in lines[1:]:
        where = f"{path}: line {number}"
        fields = cells(line, ",")
        if len(fields) != len(header):
            raise VideoError(
                f"{where}: {len(fields)} fields, the header {len(header)}; put names that hold a comma in quotes"
            )
        row = dict(zip(header, fields, strict=True))
        try:
            start, end = float(row["time_start"]), float(row["time_end"])
            name = f"{row['youtube_id']}_{int(start):06d}_{int(end):06d}"
        except (ValueError, OverflowError):
            raise VideoError(
                f"{where}: times {shown(row['time_start'])} and {shown(row['time_end'])} are no seconds; mend the line"
            ) from None
        word = row.get("split", "").lower()
        own = _SPLIT_WORDS.get(word) if word else split
        if own is None or own != (split or own):
            raise VideoError(
                f"{where}: split {shown(word)} in a list of {split or 'all splits'}; accepted are "
                f"{', '.join(_SPLIT_WORDS)}, as the file says"
            )
        label = row.get("label", "")
        identifier = row["youtube_id"]
        names = (name, identifier, *((f"{label}/{name}", f"{label}/{identifier}") if label else ()))
        yield ListedClip(names, own, (label,) if label else (), where, seconds=(identifier, start, end))


def _something(path: Path, split: Split, number: int, line: str) -> ListedClip:
    name, _, label = (part.strip() for part in line.partition(";"))
    return ListedClip((name,), split, (label,) if label else (), f"{path}: line {number}")


def _fcvid(request: Request, names: Lines, labels: Lines) -> Listing:
    path, other = request.files["all"], request.files["labels"]
    if len(names) != len(labels):
        raise VideoError(
            f"{other}: {len(labels)} rows for {len(names)} videos of {path.name}; both files need the same rows"
        )
    clips, width = [], request.spec.num_classes
    for (number, line), (row, text) in zip(names, labels, strict=True):
        found, columns = _ones(text, f"{other}: line {row}")
        width = width or columns
        if columns != width:
            raise VideoError(f"{other}: line {row}: {columns} columns; one a class is needed, {width} in all")
        name, word = line.rsplit(None, 1)
        clips.append(
            ListedClip(
                (clean_name(name.rstrip(",;")),), _SPLIT_WORDS[word.lower()], found, f"{path}: line {number}"
            )
        )
    clips.sort(key=lambda clip: SPLITS.index(clip.split))
    return Listing(clips)


def _ones(text: str, where: str) -> tuple[tuple[int, ...], int]:
    """Return the columns of a row that hold 1, and how many columns there are."""
    columns = text.replace(",", " ").split()
    compact = "".join(columns)
    if len(compact) == len(columns) and not compact.strip("01"):
        return tuple(place for place, cell in enumerate(columns) if cell == "1"), len(columns)
    try:
        values = [float(cell) for cell in columns]
    except ValueError:
        values = [-1.0]
    if not set(values) <= {0.0, 1.0}:
        raise VideoError(f"{where}: {shown(text)}; only 0 and 1 are accepted, one column a class")
    return tuple(place for place, value in enumerate(values) if value), len(values)
