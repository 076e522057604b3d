"""The one way in: a data set's definition and a folder become a table of clips."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from neurofocus.errors import VideoError
from neurofocus.ingest.video.class_names import class_rule
from neurofocus.ingest.video.listing import ListedClip, ListOptions
from neurofocus.ingest.video.media import Folders, Kind, Located, MediaIndex, without_suffix
from neurofocus.ingest.video.recognise import recognise
from neurofocus.ingest.video.table import CLIP_COLUMNS, ListSource, VideoTable
from neurofocus.schema.video import VideoDatasetSpec

__all__ = ["load_videos"]

_MAX_CLASSES = 100_000


def load_videos(spec: VideoDatasetSpec, data: Path, options: ListOptions | None = None) -> VideoTable:
    """Read the lists of a video data set and find its clips.

    A clip that is not there stays in the table, at the path where it was looked for first; ``check_videos`` counts
    them. Whether values make sense is not judged here either: see ``check_table``.

    Args:
        spec: the definition.
        data: the folder that holds the lists and the clips.
        options: what the user forces.

    Raises:
        VideoError: naming the file, line and value to mend.
    """
    options = options or ListOptions()
    data, folders = data.absolute(), Folders()
    opened, files = recognise(spec, data, options, folders)
    listing = opened.read()
    if not listing.clips:
        raise VideoError(f"{data}: the lists hold no clip ({opened.reason})")
    rule = class_rule(listing, files, spec, options.order)
    labels = rule.index(listing.clips)
    index = MediaIndex(data, opened.folders or (*spec.folders, "."), folders)
    kinds = _kinds(opened.prefers, options.media)
    places = [index.locate(clip.names, (clip.kind,) if clip.kind else kinds) for clip in listing.clips]
    source = ListSource(
        dataset=spec.name,
        format=opened.format,
        reason=opened.reason,
        files=tuple(str(path) for path in dict.fromkeys(files.values())) or (str(data),),
        class_rule=rule.text,
        class_note=spec.class_order_note,
    )
    warnings = [*listing.warnings, *rule.warnings]
    if rule.names and spec.num_classes and len(rule.names) != spec.num_classes:
        warnings.append(f"{len(rule.names)} classes ({rule.text}); {spec.title} has {spec.num_classes}")
    count = len(rule.names) or spec.num_classes or _largest(labels, opened.reason) + 1
    return VideoTable(
        _frame(listing.clips, labels, places),
        rule.names,
        count,
        source,
        tuple(dict.fromkeys(warnings)),
        tuple(
            dict.fromkeys(
                f"{clip.names[0]}: {', '.join((place.path, *place.others))}"
                for clip, place in zip(listing.clips, places, strict=True)
                if place.others
            )
        ),
    )


def _largest(labels: Sequence[tuple[int, ...]], reason: str) -> int:
    """Return the largest class index where nothing else says how many classes there are."""
    largest = max((max(each) for each in labels if each), default=0)
    if largest >= _MAX_CLASSES:
        raise VideoError(
            f"{reason}: the label {largest} is no class index; give a list whose last field counts classes from 0"
        )
    return largest


def _kinds(prefers: Kind, forced: Kind | None) -> tuple[Kind, ...]:
    if forced is not None:
        return (forced,)
    return ("file", "frames") if prefers == "file" else ("frames", "file")


def _frame(
    clips: Sequence[ListedClip], labels: Sequence[tuple[int, ...]], places: Sequence[Located]
) -> pd.DataFrame:
    seconds = [_seconds(clip, place) for clip, place in zip(clips, places, strict=True)]
    columns = {
        "clip_id": pd.Series([without_suffix(clip.names[0]) for clip in clips], dtype=object),
        "path": pd.Series([place.path for place in places], dtype=object),
        "kind": pd.Series([place.kind for place in places], dtype=object),
        "num_frames": pd.Series([clip.num_frames for clip in clips], dtype="Int64"),
        "labels": pd.Series(list(labels), dtype=object),
        "split": pd.Series([clip.split for clip in clips], dtype=object),
        "start_frame": pd.Series([clip.frames and clip.frames[0] for clip in clips], dtype="Int64"),
        "end_frame": pd.Series([clip.frames and clip.frames[1] for clip in clips], dtype="Int64"),
        "start_seconds": pd.Series([start for start, _ in seconds], dtype="float64"),
        "end_seconds": pd.Series([end for _, end in seconds], dtype="float64"),
    }
    return pd.DataFrame(columns)[list(CLIP_COLUMNS)]


def _seconds(clip: ListedClip, place: Located) -> tuple[float, float]:
    """Return the part of an untrimmed video that is the clip; NaN where the file is the clip."""
    if clip.seconds is not None and without_suffix(PurePosixPath(place.path).name) == clip.seconds[0]:
        return clip.seconds[1], clip.seconds[2]
    return np.nan, np.nan
