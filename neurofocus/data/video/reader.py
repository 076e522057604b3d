"""One way to open anything that holds frames."""

from collections.abc import Sequence
from pathlib import Path

from neurofocus.data.video.counts import FrameCounts
from neurofocus.data.video.file import VideoFile
from neurofocus.data.video.folder import FrameFolder
from neurofocus.data.video.source import FrameSource, refusal

__all__ = ["open_video"]


def open_video(
    path: Path,
    *,
    templates: Sequence[str] = (),
    fps: float | None = None,
    strict: bool = False,
    threads: int | None = None,
    counts: FrameCounts | None = None,
) -> FrameSource:
    """Open a video file or a folder of extracted frames, whichever the path is.

    Args:
        path: A video file, or a folder with one picture a frame.
        templates: For folders: how frames are likely to be named (``img_%05d.jpg``); else it is recognised.
        fps: For folders: frames a second, needed for time stamps only.
        strict: Raise at the first damage, or picture left out, instead of making the best of it and counting it.
        threads: For files: of the decoder; by default one in a worker process and one a core elsewhere.
        counts: For files: how many frames they have where only decoding tells; kept up to date.

    Raises:
        VideoError: in one line, if there is nothing to read.
    """
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise refusal(
            path, f"cannot be read ({error.strerror})", "check the path and its permissions"
        ) from error
    if is_folder:
        return FrameFolder(path, templates=templates, fps=fps, strict=strict)
    return VideoFile(path, strict=strict, threads=threads, counts=counts)
