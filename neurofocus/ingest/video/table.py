"""The one table that every video list becomes."""

from dataclasses import dataclass

import pandas as pd

from neurofocus.errors import VideoError
from neurofocus.ingest.video.listing import SPLITS, Split

__all__ = ["CLIP_COLUMNS", "PART_COLUMNS", "ListSource", "VideoTable"]

PART_COLUMNS = ("start_frame", "end_frame", "start_seconds", "end_seconds")
CLIP_COLUMNS = ("clip_id", "path", "kind", "num_frames", "labels", "split", *PART_COLUMNS)


@dataclass(frozen=True)
class ListSource:
    """Where a table comes from.

    Attributes:
        dataset: name of the definition.
        format: list format.
        reason: how it was recognised.
        files: list files read.
        class_rule: how labels became indices.
        class_note: what to know about class orders of this data set.
    """

    dataset: str
    format: str
    reason: str
    files: tuple[str, ...]
    class_rule: str
    class_note: str = ""


@dataclass(frozen=True)
class VideoTable:
    """A video data set that was read.

    Attributes:
        clips: one row a clip, columns ``CLIP_COLUMNS``, train before validation before test, each in list order.
            ``path`` counts from the data folder (absolute where a list says so); ``kind`` is "file" or "frames" (a
            folder); ``num_frames`` (nullable) is what the list declares; ``labels`` is a tuple of class indices,
            empty where the list has none; ``start_frame``, ``end_frame`` (nullable, from 0, end excluded) and
            ``start_seconds``, ``end_seconds`` (NaN: none) say which part of the file is the clip where it is not all.
        classes: names in index order; empty if the lists hold numbers and no file names them.
        num_classes: how many classes there are.
        source: format, files and class rule.
        warnings: what a person should know.
        ambiguous: names in the lists, with the files that they may mean, as "a: a.avi, a.mp4".
    """

    clips: pd.DataFrame
    classes: tuple[str, ...]
    num_classes: int
    source: ListSource
    warnings: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()

    def require_classes(self, purpose: str) -> tuple[str, ...]:
        """Return the class names.

        Args:
            purpose: what they are needed for, for the message.

        Raises:
            VideoError: if nobody says them.
        """
        if not self.classes:
            note = f" ({self.source.class_note})" if self.source.class_note else ""
            raise VideoError(
                f"{self.source.files[0]}: {purpose} needs class names, but {self.source.class_rule}{note}; give the "
                "class file that belongs to the lists (--list classes=FILE)"
            )
        return self.classes

    @property
    def evaluation_split(self) -> Split:
        """The split to score: validation if it has labels, else test.

        Raises:
            VideoError: if neither has labels.
        """
        labelled = self.clips.loc[self.clips["labels"].map(len) > 0, "split"]
        for split in SPLITS[1:]:
            if (labelled == split).any():
                return split
        raise VideoError(
            f"{', '.join(self.source.files)}: no labelled clips to validate or test on; give a validation list "
            "(--list validation=FILE), or a folder 'val' beside 'train'"
        )
