"""A video model in its fast form, for commands that answer and do not learn."""

from dataclasses import replace

from neurofocus.errors import ConfigError
from neurofocus.inference.hardware import check_bfloat16
from neurofocus.inference.optimise import optimised
from neurofocus.inference.stages import ExportedModel
from neurofocus.schema.inference import InferenceSettings
from neurofocus.workflows.video.bundle import VideoModel

__all__ = ["in_bfloat16", "quickened"]


def quickened(video: VideoModel) -> VideoModel:
    """Return a model that answers the same, up to rounding of its precision, in less time; see ``docs/performance.md``.

    An exported model is fast already. The weights are in the model that was given only.
    """
    if isinstance(video.model, ExportedModel):
        return video
    settings = InferenceSettings(precision="bfloat16" if video.bfloat16 else "float32")
    return replace(video, model=optimised(video.model, settings))


def in_bfloat16(video: VideoModel) -> VideoModel:
    """Return a model whose encoders compute in bfloat16 once it is quickened; its results say so.

    Raises:
        ConfigError: the device would be slower for it, or the model is an exported one.
    """
    device = next(video.of_torch("--precision bf16").parameters()).device
    try:
        check_bfloat16(device)
    except ConfigError as error:
        raise ConfigError(f"--precision bf16: {error}; here that is --precision f32") from None
    return replace(video, bfloat16=True, source=video.source | {"precision": "bf16"})
