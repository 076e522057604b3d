"""``neurofocus video predict``: the likeliest classes of a clip, a movie and a sheet of what was looked at."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from neurofocus import __version__
from neurofocus.data.video.augment import evaluation_crops
from neurofocus.data.video.dataset import evaluation_clip
from neurofocus.data.video.file import VideoFile
from neurofocus.data.video.reader import open_video
from neurofocus.data.video.sampling import StreamIndices
from neurofocus.data.video.source import FrameSource
from neurofocus.errors import ConfigError
from neurofocus.explain.video.clip import ExplainedClip
from neurofocus.explain.video.movie import write_clip_movie
from neurofocus.explain.video.sheet import write_clip_sheet
from neurofocus.files import all_or_none, write_json
from neurofocus.workflows.video.bundle import VideoModel
from neurofocus.workflows.video.look import Look, look_closely, look_within

__all__ = ["ClipPrediction", "clip_stem", "predict_clip", "refuse_twins"]

_SYNTHETIC = "SYNTHETIC: the model was trained on simulated videos"


@dataclass(frozen=True)
class ClipPrediction:
    """The answer for one clip.

    Attributes:
        document: the content of STEM_prediction.json.
        files: what was written, by kind; empty if nothing was.
    """

    document: dict[str, Any]
    files: dict[str, Path]

    def summary_lines(self) -> list[str]:
        """Return the few lines a person reads."""
        shown = ", ".join(f"{entry['class']} {entry['probability']:.3f}" for entry in self.document["top"])
        lines = [f"{self.document['clip']}: {shown}  ({self.document['gflops']:.4g} GFLOPs{self._stop()})"]
        lines += [f"  warning: {line}" for line in self.document["warnings"]]
        return lines + [f"  {kind:<10} {path}" for kind, path in self.files.items()]

    def _stop(self) -> str:
        """Say where the model stopped, if it had a budget."""
        stop = self.document.get("exits")
        if stop is None:
            return ""
        number = stop["focus_frames"]
        looked = f"{number} focus frame{'s' if number > 1 else ''}" if number else "the glance"
        expected = stop["expected"]
        known = expected["top1_interval"]
        interval = " (95 % interval {:.3f} to {:.3f})".format(*known) if known else ""
        return (
            f" of {stop['full_gflops']:.4g}, after {looked}; expected accuracy {expected['top1']:.3f}{interval} at "
            f"{expected['gflops']:.4g} GFLOPs, by {expected['from']}"
        )


def clip_stem(path: Path) -> str:
    """Return what the files of a clip's prediction are named after."""
    name = path.name if path.is_dir() else path.stem
    return re.sub(r"[^\w.-]+", "_", name) or "clip"


def refuse_twins(paths: Sequence[Path]) -> None:
    """Refuse clips whose results would overwrite each other.

    Raises:
        ConfigError: naming one of them.
    """
    stems = [clip_stem(path) for path in paths]
    twice = next((path for path, stem in zip(paths, stems, strict=True) if stems.count(stem) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"{twice}: another clip would write the same files ({clip_stem(twice)}_...); predict them apart"
        )


def predict_clip(
    path: Path,
    video: VideoModel,
    *,
    out: Path | None,
    top: int = 5,
    strict: bool = False,
    budget: float | None = None,
) -> ClipPrediction:
    """Predict one clip: a video file or a folder of frames.

    Args:
        path: the clip.
        video: the model.
        out: where the files go; none: nothing is written.
        top: how many classes are named.
        strict: refuse a damaged file instead of naming its damage.
        budget: mean cost of a clip, 1e9 multiply-adds; the model stops when it is sure enough for that.

    Raises:
        VideoError: the clip cannot be read.
        ConfigError: the budget cannot be kept.
    """
    with open_video(path, strict=strict) as source:
        one_crop = video.config.video.model_copy(update={"test_crops": 1})
        video = replace(video, config=video.config.model_copy(update={"video": one_crop}))
        frames, glance_frames, chosen = evaluation_clip(source, one_crop, video.config.model)
        if budget is None:
            look = look_closely(video, frames, glance_frames)
        else:
            look = look_within(video, frames, glance_frames, budget)
        clip = _explained(clip_stem(path), source, video, look, chosen, top)
        if out is None:
            return ClipPrediction(_document(clip, source, video, look), {})
        return _write(out, clip, source, video, look, strict=strict)


def _explained(
    title: str,
    source: FrameSource,
    video: VideoModel,
    look: Look,
    chosen: StreamIndices,
    top: int,
) -> ExplainedClip:
    model = video.config.model
    order = np.argsort(-look.probabilities, kind="stable")[:top].tolist()
    names = video.classes or tuple(f"class {number}" for number in range(model.num_classes))
    group = model.num_frames // model.num_glance_frames
    glance = chosen.frames[group // 2 :: group] if chosen.glance is None else chosen.glance
    timed = isinstance(source, VideoFile)
    return ExplainedClip(
        title=title,
        answers=tuple((names[k], float(look.probabilities[k])) for k in order),
        gflops=look.gflops,
        notes=(_SYNTHETIC,) if video.synthetic else (),
        source=source,
        seconds=source.timestamps(range(source.num_frames)) if timed else None,
        crop=evaluation_crops(source.frame_size, model.frame_size, video.config.video)[0],
        view_size=model.frame_size,
        glance=glance,
        weights=look.seen.weights,
        chosen=chosen.frames[look.seen.frames],
        boxes=look.seen.boxes,
    )


def _document(clip: ExplainedClip, source: FrameSource, video: VideoModel, look: Look) -> dict[str, Any]:
    """Return the content of STEM_prediction.json; boxes are in pixels of the stored frame."""
    height, width = source.frame_size
    rows = zip(clip.chosen.tolist(), clip.corners(height, width).tolist(), strict=True)
    weights = [None] * len(clip.glance) if clip.weights is None else clip.weights.tolist()
    return {
        "clip": clip.title,
        "top": [{"class": name, "probability": value} for name, value in clip.answers],
        "gflops": clip.gflops,
        "gflops_unit": "1e9 multiply-adds",
        **({} if look.exits is None else {"exits": look.exits}),
        "frames": [
            {
                "frame": number,
                "seconds": None if clip.seconds is None else round(float(clip.seconds[number]), 4),
                "box_left_top_right_bottom": [round(value, 2) for value in box],
            }
            for number, box in rows
        ],
        "glance": [
            {"frame": int(number), "weight": weight}
            for number, weight in zip(clip.glance, weights, strict=True)
        ],
        "frame_size": [height, width],
        "num_frames": source.num_frames,
        "corrupt_frames": source.corrupt_frames,
        "warnings": [*clip.notes, *source.warnings],
        "synthetic": video.synthetic,
        "model": {**video.source, "neurofocus": __version__},
    }


def _write(
    out: Path, clip: ExplainedClip, source: FrameSource, video: VideoModel, look: Look, *, strict: bool
) -> ClipPrediction:
    files = {
        "prediction": out / f"{clip.title}_prediction.json",
        "movie": out / f"{clip.title}_focus.mp4",
        "sheet": out / f"{clip.title}_focus.png",
    }
    with all_or_none(files.values(), files["prediction"]):
        left_out = write_clip_movie(files["movie"], clip, strict=strict)
        write_clip_sheet(files["sheet"], clip)
        document = _document(clip, source, video, look)  # now all damage of the file has been met
        if left_out:
            document["warnings"].append(
                f"{left_out} frames cannot be decoded; the answer did not need them, the movie is without them"
            )
        write_json(files["prediction"], document)
    return ClipPrediction(document, files)
