"""A video data set, found, checked and opened: what training, evaluation and the check start from."""

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from neurofocus.data.seeds import derive_seed
from neurofocus.data.video.counts import FrameCounts
from neurofocus.data.video.dataset import Clip, VideoDataset
from neurofocus.data.video.window import ClipPart
from neurofocus.errors import ConfigError, VideoError
from neurofocus.ingest.video.bounds import check_table
from neurofocus.ingest.video.copies import same_files
from neurofocus.ingest.video.disk import missing_clips
from neurofocus.ingest.video.listing import SPLITS, ListOptions
from neurofocus.ingest.video.load import load_videos
from neurofocus.ingest.video.media import Folders
from neurofocus.ingest.video.table import PART_COLUMNS, VideoTable
from neurofocus.schema.load import load_video_spec
from neurofocus.schema.run import RunConfig
from neurofocus.schema.video import VideoDatasetSpec
from neurofocus.simulate.digits.truth import DIGITS_FILE
from neurofocus.workflows.cohort.setup import says_synthetic
from neurofocus.workflows.video.digits import digits_root
from neurofocus.workflows.video.listed import distinct_clips, excluded_names
from neurofocus.workflows.video.opener import ClipOpener

__all__ = ["VideoData", "data_folder", "find_videos"]

_LOGGER = logging.getLogger("neurofocus.workflows.video")
_SHOWN = 3


@dataclass(frozen=True)
class VideoData:
    """A data set that is there and passed its checks.

    Attributes:
        spec: its definition.
        table: clips that are there and not excluded, each once, and what was read of them.
        root: the data folder.
        left_out: split -> how many listed clips are not there or excluded.
        strict: raise at the first damage, or at what the lists promise and the data lack.
        excluded: clips that are there and were excluded by name.
    """

    spec: VideoDatasetSpec
    table: VideoTable
    root: Path
    left_out: dict[str, int]
    strict: bool
    excluded: pd.DataFrame | None = None

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
        """The split that results are reported on.

        It is the definition's; else test where validation has other labelled clips; else the one that there is.
        """
        labelled = self.table.clips[self.table.clips["labels"].map(len) > 0]
        names = {split: set(labelled.loc[labelled["split"] == split, "clip_id"]) for split in SPLITS}
        if self.spec.scored is not None and names[self.spec.scored]:
            return self.spec.scored
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
        parts = clips[list(PART_COLUMNS)].astype("float64").itertuples(index=False)
        rows = zip(clips["clip_id"], clips["path"], parts, strict=True)
        return ClipOpener(
            self.root,
            {name: (path, ClipPart(*part)) for name, path, part in rows},
            self.spec.frame_templates,
            self.strict,
            FrameCounts(self.root / path for path in clips.loc[clips["kind"] == "file", "path"]),
        )

    def digest(self, *, with_excluded: bool = False) -> str:
        """Return the SHA-256 of which clips there are, with their parts, labels and splits."""
        clips = self._with_excluded(self.table.clips) if with_excluded else self.table.clips
        table = clips[["clip_id", "labels", "split", *PART_COLUMNS]].to_csv(index=False)
        return hashlib.sha256((table + "\n".join(self.classes)).encode()).hexdigest()

    def hold_out(self, share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        """Return the training clips and those that choose the epoch, if any.

        A validation split chooses where a test split is scored; else a share of every class's training clips does.
        Excluded clips are drawn, too, so that excluding one moves no other to the other side.

        Args:
            share: of the training clips of every (first) label.
            seed: of the draw.

        Raises:
            ConfigError: the share leaves no clips on one side, or a validation split chooses already.
        """
        training = self.clips("train")
        labelled = self.table.clips["labels"].map(len) > 0
        if self.scored_split == "test" and (labelled & (self.table.clips["split"] == "validation")).any():
            if share:
                raise ConfigError(
                    f"video.validation_fraction={share}: the validation split of {self.root} chooses the epoch; set it "
                    "to 0, or take the validation clips out of the lists"
                )
            return training, self.clips("validation")
        if share == 0:
            return training, None
        rng = np.random.default_rng(derive_seed("video validation", seed))
        everyone = self._with_excluded(training)
        everyone = everyone[(everyone["split"] == "train") & (everyone["labels"].map(len) > 0)]
        chance = pd.Series(rng.random(len(everyone)), index=everyone.index)
        rank = chance.groupby(everyone["labels"].map(lambda labels: labels[0])).rank(pct=True)
        held = rank.loc[training.index] <= share
        if not held.any() or held.all():
            raise ConfigError(
                f"video.validation_fraction={share}: leaves {int((~held).sum())} clips to train and {int(held.sum())} "
                "to validate; choose another share"
            )
        return training[~held], training[held]

    def _with_excluded(self, clips: pd.DataFrame) -> pd.DataFrame:
        """Return clips and the excluded ones, in the order of the lists."""
        return clips if self.excluded is None else pd.concat([clips, self.excluded]).sort_index()


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
        exclude: a text file with the identifier or path of one clip a line.
        strict: raise at the first damage in a file, or at what the lists promise and the data lack.

    Raises:
        NeurofocusError: an unknown definition, lists that cannot be read or are wrong, or no clip that is there.
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
    clips = distinct_clips(table.clips)
    missing = missing_clips(clips, data.absolute(), Folders())
    excluded = clips[["clip_id", "path"]].isin(excluded_names(exclude, clips)).any(axis=1)
    lost = missing | excluded
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
    table = replace(table, clips=clips[~lost])
    return VideoData(spec, table, data.absolute(), left_out, strict, clips[excluded & ~missing])


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
