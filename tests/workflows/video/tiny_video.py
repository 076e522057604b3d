"""A folder of tiny real clips, the settings of a training that takes seconds, and tables without clips."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from data.video.clips import picture, write_video
from ingest.video.deliveries import put_divided_tree

from neurofocus.ingest.video.table import CLIP_COLUMNS, ListSource, VideoTable
from neurofocus.schema.load import load_run_config, load_video_spec
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.video.source import VideoData

Row = tuple[str, tuple[int, ...], str]

SMALL = (
    "threads=1",
    "model.frame_size=32",
    "model.patch_size=16",
    "model.num_frames=6",
    "model.num_glance_frames=3",
    "model.num_focus_frames=2",
    "model.global_encoder.name=compact",
    "model.global_encoder.width=0.25",
    "model.local_encoder.name=compact",
    "model.local_encoder.width=0.25",
    "model.spatial_policy.channels=8",
    "model.temporal_policy.channels=8",
    "model.classifier.hidden=16",
    "train.epochs=2",
    "train.batch_size=4",
    "train.tensorboard=false",
    "train.objective.num_mc_samples=8",
)
# The released architecture's names, narrow.
RELEASED = (
    "model.frame_size=32",
    "model.patch_size=32",
    "model.num_frames=4",
    "model.num_glance_frames=2",
    "model.num_focus_frames=2",
    "model.global_encoder.width=0.25",
    "model.local_encoder.width=0.1",
    "model.classifier.hidden=8",
    "train.batch_size=2",
)


def small_config(*changes: str) -> RunConfig:
    """Return the shipped configuration of videos, shrunk."""
    return load_run_config("video", [*SMALL, *changes])


def write_small(path: Path, name: str | None = None) -> None:
    """Write twelve pictures that follow from the clip's name, else from the file's."""
    start = zlib.crc32((name or path.name).encode()) % 200
    write_video(path, images=[picture(start + number) for number in range(12)])


def put_clips_by_class(root: Path) -> Path:
    """Write train (3 a class), val (2) and test (1) of the classes cat and dog."""
    root.mkdir(parents=True, exist_ok=True)
    return put_divided_tree(root, clip=lambda path: write_small(path, path.relative_to(root).as_posix()))


def data_of(
    rows: Sequence[Row], *, classes: tuple[str, ...] = ("cat", "dog"), root: Path = Path("/none")
) -> VideoData:
    """Return a data set of these (clip, labels, split), whose clips are video files of the same name."""
    table = pd.DataFrame(index=range(len(rows)), columns=list(CLIP_COLUMNS), dtype=object)
    table["clip_id"], table["labels"], table["split"] = zip(*rows, strict=True)
    table["path"], table["kind"] = [f"{name}.mp4" for name, _, _ in rows], "file"
    for name in ("num_frames", "start_frame", "end_frame"):
        table[name] = table[name].astype("Int64")
    for name in ("start_seconds", "end_seconds"):
        table[name] = table[name].astype("float64")
    source = ListSource("folder", "video-list", "by hand", ("train.txt",), "as given")
    spec = load_video_spec("folder")
    return VideoData(spec, VideoTable(table, classes, len(classes), source), root, {}, False)
