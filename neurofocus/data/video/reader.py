"""One way to open anything that holds frames."""

from pathlib import Path

from neurofocus.data.video.file import VideoFile
from neurofocus.data.video.folder import FrameFolder
from neurofocus.data.video.source import FrameSource, refusal

__all__ = ["open_video"]


def open_video(
    path: Path,
    *,
    template: str | None = None,
    fps: float | None = None,
    strict: bool = False,
    threads: int | None = None,
) -> FrameSource:
    """Open a video file or a folder of extracted frames, whichever the path is.

    Args:
        path: A video file, or a folder with one picture a frame.
        template: For folders: how frames are named (``img_%05d.jpg``); recognised if None.
        fps: For folders: frames a second, needed for time stamps only.
        strict: For files: raise at the first damage instead of concealing and counting it. Pictures that cannot be
            read always raise.
        threads: For files: of the decoder; by default one in a worker process and one a core elsewhere.

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
        return FrameFolder(path, template=template, fps=fps)
    return VideoFile(path, strict=strict, threads=threads)
