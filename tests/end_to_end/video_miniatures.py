"""Every video data set in its official format with real clips of a second, as video files or as frame folders."""

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data.video.clips import picture, write_video
from ingest.video.deliveries import (
    put_activitynet,
    put_adafocus,
    put_clips,
    put_divided_tree,
    put_diving48,
    put_fcvid,
    put_frames,
    put_json,
    put_kinetics,
    put_mini_kinetics,
    put_rlvs,
    put_something_v1,
    put_something_v2,
    put_text,
    put_tsm,
)
from PIL import Image

Media = Literal["file", "frames"]

_SUFFIXES = (".mp4", ".mkv", ".webm", ".flv")
_SIZE = (48, 64)


@dataclass(frozen=True)
class Miniature:
    """A data set in miniature.

    Attributes:
        put: writes lists and stand-ins for clips.
        counts: how many clips each split has.
        classes: how many classes the model must have.
        labelled: splits with labels.
        template: names of its frames.
        frames: how many frames a clip has that came as a stand-in for a file.
    """

    put: Callable[[Path], object]
    counts: Mapping[str, int]
    classes: int
    template: str = "img_%05d.jpg"
    frames: int = 12
    labelled: tuple[str, ...] = ("train", "validation")


def put_miniature(name: str, root: Path, media: Media) -> Miniature:
    """Write one of ``MINIATURES`` with real clips."""
    miniature = MINIATURES[name]
    root.mkdir(parents=True, exist_ok=True)
    miniature.put(root)
    files = sorted(path for path in root.rglob("*") if path.suffix in _SUFFIXES)
    folders = sorted({path.parent for path in root.rglob("*.jpg")})
    for path in files:
        path.unlink()
        _write(root, path, miniature.frames, miniature.template, media)
    for folder in folders:
        names = list(folder.iterdir())
        for path in names:
            path.unlink()
        folder.rmdir()
        _write(root, folder.parent / f"{folder.name}.mp4", len(names), miniature.template, media)
    return miniature


def _write(root: Path, path: Path, frames: int, template: str, media: Media) -> None:
    """Write a clip to a file, or to a folder of its name without the suffix; its pictures follow from its name."""
    start = zlib.crc32(path.relative_to(root).as_posix().encode()) % 200
    pictures = [picture(start + number % 50, *_SIZE) for number in range(frames)]
    if media == "file":
        codec = "libvpx" if path.suffix == ".webm" else "libx264"
        write_video(path, codec=codec, images=pictures, size=_SIZE)
        return
    folder = path.with_suffix("")
    folder.mkdir()
    for number, pixels in enumerate(pictures, start=1):
        Image.fromarray(pixels).save(folder / (template % number))


def _append(path: Path, *lines: str) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def _activitynet(root: Path) -> None:
    put_activitynet(root)
    path = root / "activity_net.v1-3.min.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    annotations = [{"label": "Zumba", "segment": [0.0, 3.5]}]
    content["database"]["cccccccccc-"] = {"subset": "validation", "annotations": annotations}
    put_json(path, content)
    put_clips(root / "videos", ["v_cccccccccc-.mp4"])


def _activitynet_lists(root: Path) -> None:
    put_adafocus(root)
    _append(root / "actnet_val_split.txt", "v_eeeeeeeeeee,5,0,1")
    put_frames(root / "frames/v_eeeeeeeeeee", 5, "image_%05d.jpg")


def _fcvid(root: Path) -> None:
    """The release has one column a class: 239."""
    put_fcvid(root)
    materials = root / "materials"
    _append(materials / "FCVID_VideoName_TrainTestSplit.txt", "airplane/y.mp4\ttest")
    rows = [{0}, {1, 4}, {1}, {238}]
    put_text(
        materials / "FCVID_Label.txt",
        *("\t".join(str(int(column in row)) for column in range(239)) for row in rows),
    )
    put_clips(root / "videos", ["airplane/y.mp4"])


def _mini_kinetics(root: Path) -> None:
    put_mini_kinetics(root)
    _append(root / "mini_val_videofolder.txt", "archery/jkl 5 0")
    put_frames(root / "frames/archery/jkl", 5)


def _sthv1(root: Path) -> None:
    put_something_v1(root)
    _append(root / "something-something-v1-validation.csv", "5;Swiping Left")
    put_frames(root / "20bn-something-something-v1/5", 3, "%05d.jpg")


def _sthv1_lists(root: Path) -> None:
    put_tsm(root)
    _append(root / "val_videofolder.txt", "78688 4 0")
    put_frames(root / "20bn-something-something-v1/78688", 4, "%05d.jpg")


def _jester(root: Path) -> None:
    put_something_v1(root, "jester-v1")
    _append(root / "jester-v1-validation.csv", "5;Swiping Left")
    put_frames(root / "20bn-jester-v1/5", 3, "%05d.jpg")


def _sthv2(root: Path) -> None:
    put_something_v2(root)
    path = root / "something-something-v2-validation.json"
    entries = json.loads(path.read_text(encoding="utf-8"))
    put_json(path, [*entries, {**entries[0], "id": "74226"}])
    put_clips(root / "20bn-something-something-v2", ["74226.webm"])


def _kinetics(root: Path) -> None:
    put_kinetics(root)
    _append(root / "validate.csv", "testifying,-5-fYJ7vPsE,5,15,validate,0")
    put_clips(root / "val/testifying", ["-5-fYJ7vPsE_000005_000015.mp4"])


def _diving48(root: Path) -> None:
    put_diving48(root)
    for split, more in (("train", []), ("test", [{"vid_name": "_8Vy3dlHg2w_00001", "label": 0}])):
        path = root / f"Diving48_V2_{split}.json"
        entries = [*json.loads(path.read_text(encoding="utf-8")), *more]
        put_json(path, [{**entry, "start_frame": 0, "end_frame": 104} for entry in entries])
    put_clips(root / "rgb", ["_8Vy3dlHg2w_00001.mp4"])


MINIATURES: dict[str, Miniature] = {
    "activitynet": Miniature(_activitynet, {"train": 2, "validation": 2, "test": 1}, 3, "image_%05d.jpg"),
    "activitynet-lists": Miniature(_activitynet_lists, {"train": 3, "validation": 2}, 3, "image_%05d.jpg"),
    "fcvid": Miniature(_fcvid, {"train": 2, "test": 2}, 239, "image_%05d.jpg", labelled=("train", "test")),
    "mini-kinetics": Miniature(_mini_kinetics, {"train": 2, "validation": 2}, 2),
    "sthv1": Miniature(_sthv1, {"train": 2, "validation": 2, "test": 1}, 3, "%05d.jpg"),
    "sthv1-lists": Miniature(_sthv1_lists, {"train": 2, "validation": 2}, 6, "%05d.jpg"),
    "sthv2": Miniature(_sthv2, {"train": 2, "validation": 2, "test": 1}, 3, "%06d.jpg"),
    "jester": Miniature(_jester, {"train": 2, "validation": 2, "test": 1}, 3, "%05d.jpg"),
    "kinetics400": Miniature(_kinetics, {"train": 2, "validation": 2, "test": 1}, 3),
    "diving48": Miniature(
        _diving48, {"train": 2, "test": 2}, 3, "%05d.jpg", frames=104, labelled=("train", "test")
    ),
    "rlvs": Miniature(lambda root: put_rlvs(root, 5), {"train": 8, "validation": 2}, 2),
    "folder": Miniature(
        put_divided_tree,
        {"train": 6, "validation": 4, "test": 2},
        2,
        labelled=("train", "validation", "test"),
    ),
}
