"""From a clip's identifier to its frames: a whole file or folder, or a part of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neurofocus.data.video.counts import FrameCounts
from neurofocus.data.video.reader import open_video
from neurofocus.data.video.source import FrameSource
from neurofocus.data.video.window import ClipPart, part_of
from neurofocus.errors import VideoError

__all__ = ["ClipOpener"]


@dataclass(frozen=True)
class ClipOpener:
    """Opens clips by their identifier; goes to worker processes as it is.

    Attributes:
        root: the data folder.
        rows: clip_id -> (path, which part of it is the clip).
        templates: names that extracted frames are likely to have, such as img_%05d.jpg.
        strict: raise at the first damage, or at what a list promises and the data lack.
        counts: frame counts of files that must be decoded to be counted, so that it is done once.
    """

    root: Path
    rows: Mapping[str, tuple[str, ClipPart]]
    templates: tuple[str, ...] = ()
    strict: bool = False
    counts: FrameCounts | None = None

    def __call__(self, clip_id: str) -> FrameSource:
        """Open a clip.

        Raises:
            VideoError: if it cannot be read, or does not have the part that the list names.
        """
        path, part = self.rows[clip_id]
        source = open_video(
            self.root / path, templates=self.templates, strict=self.strict, counts=self.counts
        )
        try:
            return part_of(source, part, strict=self.strict)
        except VideoError:
            source.close()
            raise
