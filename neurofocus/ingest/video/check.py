"""The check of a video data set before anybody trains on it."""

from collections.abc import Sequence
from pathlib import Path

from neurofocus.ingest.checks.findings import Finding
from neurofocus.ingest.video.bounds import check_table
from neurofocus.ingest.video.class_order import class_order_conflict
from neurofocus.ingest.video.copies import same_files
from neurofocus.ingest.video.counts import count_warnings, split_counts
from neurofocus.ingest.video.disk import OpenedClips, Probe, missing_clips, open_clips
from neurofocus.ingest.video.media import Folders
from neurofocus.ingest.video.report import Sample, VideoReport
from neurofocus.ingest.video.table import VideoTable
from neurofocus.schema.video import VideoDatasetSpec

__all__ = ["check_videos"]

_SHOWN = 5


def check_videos(
    table: VideoTable,
    root: Path,
    probe: Probe | None = None,
    *,
    spec: VideoDatasetSpec | None = None,
    limit: int | None = None,
    checkpoint_classes: Sequence[str] | None = None,
) -> VideoReport:
    """Compare a table with itself, with the disk, and with what is known of the data set.

    Whether clips are there costs one listing a folder, not a look at every file; opening them costs more and can be
    limited.

    Args:
        table: what ``load_videos`` returned.
        root: the data folder.
        probe: opens a video file or a folder of frames and says how many it has, or raises VideoError; none: files are
            not opened, and of folders the frames are counted.
        spec: the definition; its official counts and frame templates are used.
        limit: how many clips a split are opened, evenly over the list; none: all.
        checkpoint_classes: class names of a checkpoint, in index order, to compare with the data's.
    """
    root = root.absolute()
    refusals, warnings = check_table(table)
    missing = missing_clips(table.clips, root, Folders())
    there = table.clips[~missing]
    refusals += same_files(there, root)
    opened = open_clips(there, root, probe, limit, spec.frame_templates if spec else ())
    warnings += [Finding("list", text) for text in table.warnings]
    if spec is not None:
        warnings += count_warnings(table, spec.counts)
    warnings += _frame_warnings(opened)
    if checkpoint_classes is not None:
        conflict = class_order_conflict(checkpoint_classes, table.classes)
        if conflict is not None:
            refusals.append(Finding("class order", conflict.text, {"conflict": conflict.kind}))
    elif not table.classes and table.source.class_note:
        warnings.append(Finding("class order", f"{table.source.class_rule}: {table.source.class_note}"))
    lost = table.clips.loc[missing, "path"]
    return VideoReport(
        source=table.source,
        classes=table.classes,
        splits=split_counts(table),
        missing=Sample(len(lost), tuple(lost[:_SHOWN])),
        opened=opened.opened,
        unreadable=opened.unreadable,
        flawed=opened.flawed,
        frames=opened.frames,
        templates=opened.templates,
        refusals=tuple(refusals),
        warnings=tuple(warnings),
    )


def _frame_warnings(opened: OpenedClips) -> list[Finding]:
    found = []
    frames = opened.frames
    if frames.count:
        path, declared, there = frames.first[0]
        found.append(
            Finding(
                "frame count",
                f"{frames.count} of {opened.opened} opened clips have another number of frames than their list says, "
                f"{frames.fewer} of them fewer (first: {path}: {declared} listed, {there} found): they were extracted "
                "in another way than the list says; extract them again, or give the list that belongs to them",
                {"clips": frames.count, "fewer": frames.fewer},
            )
        )
    if len(opened.templates) > 1:
        shown = ", ".join(f"{template} ({count})" for template, count in opened.templates.items())
        found.append(Finding("frame names", f"frames are named in {len(opened.templates)} ways: {shown}"))
    return found
