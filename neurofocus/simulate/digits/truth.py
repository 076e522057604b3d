"""What the composer knows and a classifier must not see: where and when each digit was; and the set's README."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from neurofocus import __version__
from neurofocus.errors import VideoError
from neurofocus.files import write_json, write_text
from neurofocus.schema.base import Settings
from neurofocus.simulate.digits.glyphs import Floats, Integers
from neurofocus.simulate.digits.recipe import CLASSES, DigitsConfig, Part
from neurofocus.simulate.digits.scene import Scene

__all__ = [
    "DIGITS_FILE",
    "FRAMES_A_SECOND",
    "WARNING",
    "DigitsTruth",
    "FileTruth",
    "FrameTruth",
    "file_truth",
    "read_truth",
    "video_path",
    "write_descriptions",
]

WARNING = "SYNTHETIC: videos composed from handwritten digits; no camera recorded them."
FRAMES_A_SECOND = 12
DIGITS_FILE = "digits.json"
_FRAME_COLUMNS = ("path", "frame", "x_center", "y_center", "height", "width", "hidden", "image")
_VIDEO_COLUMNS = ("path", "label", "difficulty", "num_frames", "num_evidence_frames")
_README = """SYNTHETIC digits: videos composed from handwritten digits

No camera recorded these videos. neurofocus {version} composed them from the 1,797 handwritten digits (8 x 8 pixels)
that scikit-learn ships (UCI optdigits, test part). One digit drifts through clutter: scrambled pieces of digits on a
smooth texture. It is there in a few consecutive frames only and small. In a hard video it is smaller, shorter, and
one half of it is missing in most of its frames. The class is the digit. Its hue says which of two digits it may be
(0 or 5, 1 or 6, 2 or 7, 3 or 8, 4 or 9); its shape says which. Nothing else depends on the class.

train/ validation/ test/   CLASS/SYNTHETIC_digits_PART_NNNNN.mp4, {frames} frames of {side} x {side}, 12 a second
stills/                    the same kind of file, every frame an unrelated still of the class: for pre-training
truth/PART_videos.tsv      label and kind of every file
truth/PART_frames.tsv      where the digit is, one row a frame that has it: box in pixels (x to the right, y down,
                           pixel i covers i to i + 1), hidden half (0 none, 1 top, 2 bottom, 3 left, 4 right), and
                           which of scikit-learn's images it is
digits.json                the settings: the same settings give the same videos

No handwritten image is in two of train, validation and test; stills use those of train. The images are dealt in file
order, because neighbours in scikit-learn's file mostly come from one writer. Who wrote which image was not published,
so that nobody is in two parts is likely but for the writers at the two borders, not certain.
"""


class FrameTruth(Settings):
    """The digit in one frame: its box in pixels, its hidden half (see `hide_half`) and its handwritten image."""

    frame: int
    box: tuple[float, float, float, float]
    hidden: int
    image: int


class FileTruth(Settings):
    """One file: path relative to the data set, class, kind, and the frames with the digit."""

    path: str
    label: str
    difficulty: str
    num_frames: int
    frames: tuple[FrameTruth, ...]


@dataclass(frozen=True)
class DigitsTruth:
    """The truth of a part, in the order of its table.

    Attributes:
        paths: relative to the data set.
        labels: class indices, [N].
        difficulty: kind of every file.
        present: whether a frame shows the digit, [N, T].
        boxes: (x_c, y_c, height, width), pixels, NaN where it is absent, [N, T, 4].
    """

    paths: tuple[str, ...]
    labels: Integers
    difficulty: tuple[str, ...]
    present: NDArray[np.bool_]
    boxes: Floats


def video_path(part: Part, digit: int, index: int) -> PurePosixPath:
    """Return a file's place in the data set."""
    return PurePosixPath(part, CLASSES[digit], f"SYNTHETIC_digits_{part}_{index:05d}.mp4")


def file_truth(path: PurePosixPath, scenes: Sequence[Scene]) -> FileTruth:
    """Return the truth of a file with these scenes one after the other."""
    frames, start = [], 0
    for scene in scenes:
        for frame in np.flatnonzero(scene.present):
            x, y, height, width = (round(float(value), 3) for value in scene.target.boxes[frame])
            hidden = int(scene.hidden[frame])
            frames.append(
                FrameTruth(
                    frame=start + int(frame), box=(x, y, height, width), hidden=hidden, image=scene.image
                )
            )
        start += len(scene.present)
    kind = scenes[0].difficulty if len(scenes) == 1 else "mixed"
    return FileTruth(
        path=str(path),
        label=CLASSES[scenes[0].digit],
        difficulty=kind,
        num_frames=start,
        frames=tuple(frames),
    )


def write_descriptions(root: Path, config: DigitsConfig, truths: Mapping[Part, Sequence[FileTruth]]) -> None:
    """Write the truth tables, the settings and the README."""
    for part, files in truths.items():
        videos = ((f.path, f.label, f.difficulty, f.num_frames, len(f.frames)) for f in files)
        write_text(root / "truth" / f"{part}_videos.tsv", _table(_VIDEO_COLUMNS, videos))
        frames = ((f.path, t.frame, *t.box, t.hidden, t.image) for f in files for t in f.frames)
        write_text(root / "truth" / f"{part}_frames.tsv", _table(_FRAME_COLUMNS, frames))
    write_json(root / DIGITS_FILE, {"description": WARNING, "settings": config.model_dump(mode="json")})
    fields = {"version": __version__, "frames": config.num_frames, "side": config.frame_size}
    write_text(root / "README", _README.format(**fields))


def read_truth(root: Path, part: str) -> DigitsTruth:
    """Return the truth of one part of a data set.

    Raises:
        VideoError: if the folder has no such table.
    """
    import pandas as pd

    tables = [root / "truth" / f"{part}_{kind}.tsv" for kind in ("videos", "frames")]
    for table in tables:
        if not table.is_file():
            raise VideoError(f"{table}: not there; give the folder of a generated digits data set")
    videos, frames = (pd.read_csv(table, sep="\t", dtype={"label": str}) for table in tables)
    row = pd.Index(videos["path"]).get_indexer(pd.Index(frames["path"]))
    boxes = np.full((len(videos), int(videos["num_frames"].max()), 4), np.nan, np.float32)
    boxes[row, frames["frame"]] = frames[["x_center", "y_center", "height", "width"]]
    return DigitsTruth(
        paths=tuple(videos["path"]),
        labels=np.array([CLASSES.index(label) for label in videos["label"]]),
        difficulty=tuple(videos["difficulty"]),
        present=~np.isnan(boxes[..., 0]),
        boxes=boxes,
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["\t".join(columns), *("\t".join(map(str, row)) for row in rows)]
    return "\n".join(lines) + "\n"
