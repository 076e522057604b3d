"""A video data set, found, checked and opened: what training, evaluation and the check start from."""

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from neurofocus.data.seeds import derive_seed
from neurofocus.data.video.dataset import Clip, VideoDataset
from neurofocus.errors import ConfigError, VideoError
from neurofocus.ingest.video.bounds import check_table
from neurofocus.ingest.video.disk import missing_clips, same_files
from neurofocus.ingest.video.listing import SPLITS, ListOptions
from neurofocus.ingest.video.load import load_videos
from neurofocus.ingest.video.media import Folders
from neurofocus.ingest.video.table import VideoTable
from neurofocus.schema.load import load_video_spec
from neurofocus.schema.run import RunConfig
from neurofocus.schema.video import VideoDatasetSpec
from neurofocus.simulate.digits.truth import DIGITS_FILE
from neurofocus.workflows.cohort.setup import says_synthetic
from neurofocus.workflows.video.digits import digits_root
from neurofocus.workflows.video.opener import ClipOpener

__all__ = ["VideoData", "data_folder", "find_videos"]

_LOGGER = logging.getLogger("neurofocus.workflows.video")
_SHOWN = 3
_PART = ["start_frame", "end_frame", "start_seconds", "end_seconds"]


@dataclass(frozen=True)
class VideoData:
    """A data set that is there and passed its checks.

    Attributes:
        spec: its definition.
        table: clips that are there and not excluded, each once, and what was read of them.
        root: the data folder.
        left_out: split -> how many listed clips are not there or excluded.
        strict: raise at the first damage in a file.
    """

    spec: VideoDatasetSpec
    table: VideoTable
    root: Path
    left_out: dict[str, int]
    strict: bool

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in index order; their numbers where nobody names them."""
        return self.table.classes or tuple(str(number) for number in range(self.table.num_classes))

    @property
    def synthetic(self) -> bool:
        """Whether the data set says that it is simulated."""
        return self.spec.simulation is not None or says_synthetic(self.root)

    @property
    def scored_split(self) -> str:
        """The split that results are reported on: test where validation has other labelled clips, else either."""
        labelled = self.table.clips[self.table.clips["labels"].map(len) > 0]
        names = {split: set(labelled.loc[labelled["split"] == split, "clip_id"]) for split in SPLITS}
        apart = names["test"] and names["validation"] and not names["test"] & names["validation"]
        return "test" if apart else self.table.evaluation_split

    def clips(self, split: str) -> pd.DataFrame:
        """Return the labelled clips of a split.

        Raises:
            VideoError: if there are none.
        """
        clips = self.table.clips
        chosen = clips[(clips["split"] == split) & (clips["labels"].map(len) > 0)]
        if chosen.empty:
            raise VideoError(
                f"{self.root}: no labelled clips in the {split} split; it has "
                f"{', '.join(f'{name} {count}' for name, count in clips['split'].value_counts().items())}; "
                f"give its list (--list {split}=FILE)"
            )
        return chosen

    def dataset(
        self, clips: pd.DataFrame, config: RunConfig, *, stream: tuple[int, int] | None = None
    ) -> VideoDataset:
        """Return some of the clips as items; with a stream they are drawn and augmented."""
        names = [Clip(name, labels) for name, labels in zip(clips["clip_id"], clips["labels"], strict=True)]
        return VideoDataset(names, self.opener(clips), config.video, config.model, stream=stream)

    def opener(self, clips: pd.DataFrame) -> ClipOpener:
        """Return what opens these clips by their identifier."""
        parts = clips[_PART].astype("float64")
        rows = zip(clips["path"], *(parts[name].tolist() for name in parts), strict=True)
        return ClipOpener(self.root, dict(zip(clips["clip_id"], rows, strict=True)), self.strict)

    def digest(self) -> str:
        """Return the SHA-256 of which clips there are, with their parts, labels and splits."""
        table = self.table.clips[["clip_id", "labels", "split", *_PART]].to_csv(index=False)
        return hashlib.sha256((table + "\n".join(self.classes)).encode()).hexdigest()

    def hold_out(self, share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        """Return the training clips and those that choose the epoch, if any.

        A validation split chooses where a test split is scored; else a share of every class's training clips does.

        Args:
            share: of the training clips of every (first) label.
            seed: of the draw.
        """
        training = self.clips("train")
        labelled = self.table.clips["labels"].map(len) > 0
        if self.scored_split == "test" and (labelled & (self.table.clips["split"] == "validation")).any():
            return training, self.clips("validation")
        if share == 0:
            return training, None
        rng = np.random.default_rng(derive_seed("video validation", seed))
        chance = pd.Series(rng.random(len(training)), index=training.index)
        rank = chance.groupby(training["labels"].map(lambda labels: labels[0])).rank(pct=True)
        held = rank <= share
        if not held.any() or held.all():
            raise ConfigError(
                f"video.validation_fraction={share}: leaves {int((~held).sum())} clips to train and {int(held.sum())} "
                "to validate; choose another share"
            )
        return training[~held], training[held]


def find_videos(
    dataset: str,
    data: Path | None,
    options: ListOptions | None = None,
    *,
    exclude: Path | None = None,
    strict: bool = False,
) -> VideoData:
    """Read and check a data set; clips that are not there are left out, counted and told.

    Args:
        dataset: a shipped definition's name or a YAML file.
        data: the data folder; a simulated data set needs none.
        options: what the user forces.
        exclude: a text file with one clip identifier a line.
        strict: raise at the first damage in a file.

    Raises:
        ConfigError: an unknown definition.
        VideoError: the lists cannot be read or are wrong, or no clip is there.
    """
    spec = load_video_spec(dataset)
    data = data_folder(spec, data)
    table = load_videos(spec, data, options)
    refusals, _ = check_table(table)
    if refusals:
        more = f" (and {len(refusals) - 1} more: see 'neurofocus video check')" if len(refusals) > 1 else ""
        raise VideoError(f"{refusals[0].text}{more}")
    for warning in table.warnings:
        _LOGGER.warning("%s", warning)
    clips = _distinct(table.clips)
    missing = missing_clips(clips, data.absolute(), Folders())
    lost = missing | clips["clip_id"].isin(_excluded(exclude, clips))
    left_out: dict[str, int] = {split: int((lost & (clips["split"] == split)).sum()) for split in SPLITS}
    if missing.all():
        raise VideoError(
            f"{data}: none of the {len(clips)} listed clips is there (looked for {clips['path'].iloc[0]}); give the "
            "folder above the clips as --data, or see 'neurofocus video check'"
        )
    if lost.all():
        raise ConfigError(
            f"--exclude {exclude}: leaves none of {len(clips)} clips; take out some of its lines"
        )
    if lost.any():
        counts = ", ".join(f"{split} {count}" for split, count in left_out.items() if count)
        names = ", ".join(clips.loc[lost, "path"][:_SHOWN])
        _LOGGER.warning(
            "%d of %d listed clips are left out (%s; first: %s)", lost.sum(), len(lost), counts, names
        )
    if leaks := same_files(clips[~lost], data.absolute()):
        raise VideoError(leaks[0].text)
    return VideoData(spec, replace(table, clips=clips[~lost]), data.absolute(), left_out, strict)


def data_folder(spec: VideoDatasetSpec, data: Path | None) -> Path:
    """Return the data folder; a simulated data set is made at the first call.

    Raises:
        ConfigError: a delivered data set without ``--data``.
        VideoError: it is no folder, or holds no digits although they are asked for.
    """
    if data is None:
        if spec.simulation is None:
            raise ConfigError(f"--dataset {spec.name}: needs --data DIR, the folder with its lists and clips")
        return digits_root()
    if spec.simulation is not None and data.is_dir() and not (data / DIGITS_FILE).is_file():
        raise VideoError(
            f"--data {data}: holds no generated digits (no {DIGITS_FILE}), which --dataset {spec.name} is; leave --data out "
            "to have them made, or name your own data set (--dataset folder)"
        )
    if not data.is_dir():
        raise VideoError(
            f"--data {data}: not a folder; give the folder that holds the lists and clips of {spec.name}"
        )
    return data


def _distinct(clips: pd.DataFrame) -> pd.DataFrame:
    """Return every clip once; where several are parts of one file, their names say which part: ``long[10:15]``."""
    once = clips.drop_duplicates(["clip_id", "split", *_PART])
    several = once["clip_id"].isin(once.loc[once.duplicated(["clip_id", "split"]), "clip_id"])
    frames = once["start_frame"].notna()
    starts, ends = (
        once[f"{end}_frame"].astype("float64").where(frames, once[f"{end}_seconds"])
        for end in ("start", "end")
    )
    names = [
        f"{name}[{start:.10g}:{end:.10g}]"
        for name, start, end in zip(once["clip_id"], starts, ends, strict=True)
    ]
    return once.assign(
        clip_id=once["clip_id"].where(~several | starts.isna(), pd.Series(names, index=once.index))
    )


def _excluded(path: Path | None, clips: pd.DataFrame) -> set[str]:
    if path is None:
        return set()
    try:
        names = {line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()}
    except (OSError, ValueError):
        raise ConfigError(
            f"--exclude {path}: not a readable text file; give one clip identifier a line"
        ) from None
    unknown = sorted(names - set(clips["clip_id"]))
    if unknown:
        raise ConfigError(
            f"--exclude {path}: {unknown[0]!r} ({len(unknown)} such lines) is no clip of the lists; identifiers look "
            f"like {clips['clip_id'].iloc[0]!r}"
        )
    return names
