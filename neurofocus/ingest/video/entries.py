"""JSON lists of clips, checked entry by entry: ActivityNet, Something-Something V2, Diving48."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neurofocus.errors import VideoError
from neurofocus.ingest.video.listing import SPLITS, ListedClip, Listing, NotThisFormat, Opened, Request, Split
from neurofocus.ingest.video.text import read_json, shown

__all__ = ["open_activitynet", "open_diving48", "open_something_json"]

_SUBSETS: dict[str, Split] = {"training": "train", "validation": "validation", "testing": "test"}


def open_activitynet(request: Request) -> Opened:
    """Recognise ActivityNet v1.3's ``activity_net.v1-3.min.json``: all splits in one file.

    A video's labels are the distinct labels of its annotations; segments are not used, for the whole video is
    classified. Clips are ``v_ID`` or ``ID``.

    Raises:
        NotThisFormat: if the file has no "database".
    """
    path = request.files.get("all")
    content = read_json(path) if path else None
    if path is None or not isinstance(content, dict) or not isinstance(content.get("database"), dict):
        raise NotThisFormat(f"{path.name if path else 'the list'}: no JSON object with a 'database'")
    database: Mapping[str, Any] = content["database"]
    version = f", {content['version']}" if isinstance(content.get("version"), str) else ""
    reason = f"{path.name}: a database of {len(database)} videos{version}"
    return Opened("activitynet-json", reason, lambda: _activitynet(path, database))


def open_something_json(request: Request) -> Opened:
    """Recognise Something-Something V2: lists of {id, label, template, …}; the class is the template without brackets.

    Raises:
        NotThisFormat: if a list has other entries.
    """
    lists = _entry_lists(request, "id")
    for split, entries in lists.items():
        if split != "test" and not all("template" in entry for entry in entries[:1]):
            raise NotThisFormat(f"{request.files[split].name}: entries have no 'template'")
    return Opened(
        "something-json", _reason(request, lists, "id, template"), lambda: _something(request, lists)
    )


def open_diving48(request: Request) -> Opened:
    """Recognise Diving48: lists of {vid_name, label, start_frame, end_frame}.

    Raises:
        NotThisFormat: if a list has other entries.
    """
    lists = _entry_lists(request, "vid_name")
    return Opened(
        "diving48-json", _reason(request, lists, "vid_name, label"), lambda: _diving(request, lists)
    )


def _entry_lists(request: Request, key: str) -> dict[Split, list[Any]]:
    lists: dict[Split, list[Any]] = {}
    for split in SPLITS:
        if split not in request.files:
            continue
        content = read_json(request.files[split])
        if not isinstance(content, list) or not content or not isinstance(content[0], dict):
            raise NotThisFormat(f"{request.files[split].name}: no JSON list of objects")
        if key not in content[0]:
            raise NotThisFormat(f"{request.files[split].name}: entries have no {key!r}")
        lists[split] = content
    if not lists:
        raise NotThisFormat("no list of one split")
    return lists


def _reason(request: Request, lists: Mapping[Split, list[Any]], keys: str) -> str:
    split, entries = next(iter(lists.items()))
    return f"{request.files[split].name}: {len(entries)} entries with {keys}"


def _activitynet(path: Path, database: Mapping[str, Any]) -> Listing:
    clips = []
    for name, video in database.items():
        where = f"{path}: video {name!r}"
        subset = _value(video, "subset", str, where)
        if subset not in _SUBSETS:
            raise VideoError(f"{where}: subset {shown(subset)}; accepted are {', '.join(_SUBSETS)}")
        annotations = _value(video, "annotations", list, where) if video.get("annotations") else []
        labels = tuple(dict.fromkeys(_value(item, "label", str, where).strip() for item in annotations))
        clips.append(ListedClip((f"v_{name}", name), _SUBSETS[subset], labels, where))
    clips.sort(key=lambda clip: SPLITS.index(clip.split))
    return Listing(clips)


def _something(request: Request, lists: Mapping[Split, list[Any]]) -> Listing:
    clips = []
    for split, where, entry in _entries(request, lists):
        name = str(_value(entry, "id", (str, int), where))
        template = str(entry.get("template", "")).replace("[", "").replace("]", "").strip()
        if not template and split != "test":
            raise VideoError(f"{where} (id {name!r}): no template; download the file again")
        clips.append(ListedClip((name,), split, (template,) if template else (), where))
    return Listing(clips)


def _diving(request: Request, lists: Mapping[Split, list[Any]]) -> Listing:
    clips = []
    for split, where, entry in _entries(request, lists):
        name = _value(entry, "vid_name", str, where)
        labels = (_value(entry, "label", int, where),) if "label" in entry else ()
        part, count = None, None
        if "end_frame" in entry:
            # Counted by another decoder: files may have a frame or two less.
            part = (_value(entry, "start_frame", int, where), _value(entry, "end_frame", int, where))
            count = part[1] - part[0]
        clips.append(ListedClip((name,), split, labels, where, num_frames=count, frames=part))
    return Listing(clips, (), (_version(request, lists),))


def _entries(request: Request, lists: Mapping[Split, list[Any]]) -> Iterator[tuple[Split, str, Any]]:
    """Yield every entry with its split and its place, for messages."""
    for split, entries in lists.items():
        for place, entry in enumerate(entries, start=1):
            yield split, f"{request.files[split]}: entry {place}", entry


def _version(request: Request, lists: Mapping[Split, list[Any]]) -> str:
    """Say which edition of Diving48's labels the files are; they go by name only, so names must agree."""
    names = [request.files[split].name for split in lists]
    second = [name for name in names if "v2" in name.lower()]
    if second and len(second) < len(names):
        raise VideoError(
            f"{' and '.join(names)}: one is Diving48 V2, the other V1; their labels differ: give both of one edition"
        )
    if second:
        return "Diving48 V2 (cleaned labels): not comparable with results on V1"
    return "Diving48 V1 (uncleaned labels), as no file is named V2: not comparable with results on V2"


def _value(entry: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise VideoError(f"{where}: {key!r} is {shown(value)}; download the file again")
    return value
