"""A video model in its fast form, for commands that answer and do not learn."""

import platform
from dataclasses import replace

from neurofocus.inference.hardware import keep_freed_memory
from neurofocus.inference.optimise import optimised
from neurofocus.inference.stages import ExportedModel
from neurofocus.workflows.video.bundle import VideoModel

__all__ = ["keep_memory", "quickened"]


def quickened(video: VideoModel) -> VideoModel:
    """Return a model that answers the same, up to rounding, in less time; see ``docs/performance.md``.

    An exported model is fast already. The weights are in the model that was given only.
    """
    if isinstance(video.model, ExportedModel):
        return video
    return replace(video, model=optimised(video.model))


def keep_memory() -> None:
    """Let this process keep the memory of dead tensors, where its C library can; for commands, not for callers."""
    if platform.libc_ver()[0] == "glibc":
        keep_freed_memory()
