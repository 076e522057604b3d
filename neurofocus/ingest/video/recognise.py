"""Which list format a data folder holds: by names and content, said aloud; never by guessing between two."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from neurofocus.errors import VideoError
from neurofocus.ingest.video.delimited import open_fcvid, open_kinetics, open_something_csv
from neurofocus.ingest.video.entries import open_activitynet, open_diving48, open_something_json
from neurofocus.ingest.video.found import check_given, find_lists, list_files, refuse_other_lists
from neurofocus.ingest.video.listing import ListOptions, NotThisFormat, Opened, Request
from neurofocus.ingest.video.media import Folders
from neurofocus.ingest.video.row_lists import open_row_list
from neurofocus.ingest.video.rows import RowFile
from neurofocus.ingest.video.tree import open_folders
from neurofocus.schema.video import ListFormat, VideoDatasetSpec

__all__ = ["recognise"]

# The format "folders" has no list file and is tried where no list is found.
_OPENERS: dict[ListFormat, Callable[[Request], Opened]] = {
    "frame-list": partial(open_row_list, "frame-list"),
    "frame-list-offset": partial(open_row_list, "frame-list-offset"),
    "video-list": partial(open_row_list, "video-list"),
    "kinetics-csv": open_kinetics,
    "activitynet-json": open_activitynet,
    "something-csv": open_something_csv,
    "something-json": open_something_json,
    "fcvid": open_fcvid,
    "diving48-json": open_diving48,
}


def recognise(
    spec: VideoDatasetSpec, data: Path, options: ListOptions, folders: Folders
) -> tuple[Opened, Mapping[str, Path]]:
    """Return the one format that fits the lists of a data folder, and its files by role.

    Args:
        spec: the data set's definition: formats to try, names of their files.
        data: the data folder.
        options: what the user forces.
        folders: folder listings already read.

    Raises:
        VideoError: if no format fits (with what speaks against each), or several do (naming them).
    """
    check_given(options.lists)
    files = list_files(data, folders)
    tried: dict[ListFormat, Exception] = {}
    fitting: list[tuple[Opened, Mapping[str, Path]]] = []
    rows: dict[Path, RowFile] = {}
    wanted = _wanted(spec, options)
    for name in wanted:
        found = find_lists(spec.formats[name], files, options.lists)
        if name == "folders" or found is None:
            continue
        refuse_other_lists(spec.other_lists, found.values())
        try:
            fitting.append((_OPENERS[name](Request(found, spec, data, options, rows)), found))
        except (NotThisFormat, VideoError) as error:
            tried[name] = error
    if not fitting and not tried and "folders" in wanted:
        with suppress(NotThisFormat):  # said with the lists that were looked for
            return open_folders(Request({}, spec, data, options), folders), {}
    if not fitting:
        raise VideoError(f"{data}: {_no_format(spec, tried) if tried else _no_list(spec, wanted)}")
    return _only(fitting, data)


def _wanted(spec: VideoDatasetSpec, options: ListOptions) -> tuple[ListFormat, ...]:
    if options.format is None:
        return tuple(spec.formats)
    if options.format not in spec.formats:
        raise VideoError(
            f"format {options.format!r} is none of {spec.name}'s; known: {', '.join(spec.formats)}"
        )
    return (options.format,)


def _only(fitting: list[tuple[Opened, Mapping[str, Path]]], data: Path) -> tuple[Opened, Mapping[str, Path]]:
    certain = [item for item in fitting if not item[0].doubts]
    for candidates in (fitting, certain):
        if len(candidates) == 1:
            return candidates[0]
    text = "; ".join(
        f"{opened.format} ({opened.reason}{''.join(f'; but {doubt}' for doubt in opened.doubts)})"
        for opened, _ in fitting
    )
    raise VideoError(f"{data}: {len(fitting)} formats fit: {text}; say which one (--format NAME)")


def _no_format(spec: VideoDatasetSpec, tried: Mapping[ListFormat, Exception]) -> str:
    """Say what speaks against each format whose lists are there."""
    reasons: dict[str, list[str]] = {}
    for name, error in tried.items():
        reasons.setdefault(str(error), []).append(name)
    text = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
    # A VideoError says itself what to do.
    advice = "; mend the list, or name a format (--format)"
    own = all(isinstance(error, VideoError) for error in tried.values())
    return f"no format of {spec.name} fits: {text}{'' if own else advice}"


def _no_list(spec: VideoDatasetSpec, wanted: Sequence[ListFormat]) -> str:
    """Say which lists and folders were looked for, and what to do."""
    patterns: dict[str, list[str]] = {}
    for name, files in spec.formats.items():
        if name in wanted and name != "folders":
            text = ", ".join(dict.fromkeys((*files.all, *files.train, *files.validation)))
            patterns.setdefault(text, []).append(name)
    looked = [f"{', '.join(names)} ({text})" for text, names in patterns.items()]
    absent, advice = [], []
    if looked:
        absent.append(
            f"no list file of {spec.name} here or one folder below (looked for {', '.join(looked)})"
        )
        advice.append("put a list there or name it (--list train=FILE)")
    if "folders" in wanted:
        absent.append("no two class folders with clips (CLASS/CLIP, or train/CLASS/CLIP and val/CLASS/CLIP)")
        advice.append("give the folder above the class folders as --data")
    return f"{' and '.join(absent)}; {', or '.join(advice)}"
