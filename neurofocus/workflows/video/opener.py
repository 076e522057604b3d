"""From a clip's identifier to its frames: a whole file or folder, or a part of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurofocus.data.video.reader import open_video
from neurofocus.data.video.source import FrameSource
from neurofocus.data.video.window import FrameWindow, frames_between
from neurofocus.errors import VideoError

__all__ = ["ClipOpener"]


@dataclass(frozen=True)
class ClipOpener:
    """Opens clips by their identifier; goes to worker processes as it is.

    Attributes:
        root: the data folder.
        rows: clip_id -> (path, first frame, frame after the last, first second, last second); NaN: the whole file.
        strict: raise at the first damage in a file.
    """

    root: Path
    rows: Mapping[str, tuple[str, float, float, float, float]]
    strict: bool = False

    def __call__(self, clip_id: str) -> FrameSource:
        """Open a clip.

        Raises:
            VideoError: if it cannot be read, or does not have the part that the list names.
        """
        path, first, stop, start, end = self.rows[clip_id]
        source = open_video(self.root / path, strict=self.strict)
        try:
            if not np.isnan(start):
                return FrameWindow(source, *frames_between(source, start, end))
            return source if np.isnan(first) else FrameWindow(source, int(first), int(stop))
        except VideoError:
            source.close()
            raise
