from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from neurofocus.errors import ConfigError
from neurofocus.resources import list_resources, read_resource
from neurofocus.schema.load import load_video_spec
from neurofocus.schema.video import VideoDatasetSpec


def make(**changes: Any) -> VideoDatasetSpec:
    values = {
        "name": "mine",
        "title": "Mine",
        "description": "A test.",
        "formats": {"video-list": {"train": ["train.txt"]}},
        "flip": True,
        **changes,
    }
    return VideoDatasetSpec.model_validate(values)


def test_defaults() -> None:
    spec = make()
    assert (spec.folders, spec.num_classes, spec.multi_label, spec.metric) == ((".",), None, False, "top1")
    assert spec.class_order == "sorted"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"formats": {}}, "at least one format"),
        ({"formats": {"video-list": {}}}, "format 'video-list' names no list file"),
        ({"formats": {"video-list": {"classes": ["a.txt"]}}}, "names no list file"),
        ({"formats": {"tsm": {"train": ["a.txt"]}}}, "Input should be 'frame-list'"),
        ({"folders": []}, "one folder are needed"),
        ({"frame_templates": ["img_%s.jpg"]}, "'img_%s.jpg' is no frame template"),
        ({"frame_templates": ["a/%05d.jpg"]}, "is no frame template"),
        ({"frame_templates": ["%05d%05d.jpg"]}, "is no frame template"),
        ({"num_classes": 1}, "greater than or equal to 2"),
        ({"metric": "acc"}, "'map' or 'top1'"),
        ({"name": "a b"}, "should match pattern"),
        ({"counts": [{"name": "x", "source": "y", "within": 1}]}, "less than 1"),
    ],
)
def test_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make(**changes)


def test_folders_need_no_list_file() -> None:
    assert make(formats={"folders": {}}).formats["folders"].train == ()


def test_whether_flips_are_allowed_must_be_said() -> None:
    with pytest.raises(ValidationError, match="flip"):
        VideoDatasetSpec.model_validate(
            {"name": "a", "title": "a", "description": "a", "formats": {"folders": {}}}
        )


@pytest.mark.parametrize(
    ("name", "classes", "metric", "flip"),
    [
        # The paper's appendix G: numbers of classes; mAP on ActivityNet and FCVID (table 2); no flips on
        # Something-Something and Jester.
        ("activitynet", 200, "map", True),
        ("fcvid", 239, "map", True),
        ("mini-kinetics", 200, "top1", True),
        ("sthv1", 174, "top1", False),
        ("sthv2", 174, "top1", False),
        ("jester", 27, "top1", False),
        ("kinetics400", 400, "top1", True),
        ("diving48", 48, "top1", True),
        ("rlvs", 2, "top1", True),
        ("folder", None, "top1", True),
        ("digits", 10, "top1", False),
    ],
)
def test_shipped_data_sets(name: str, classes: int | None, metric: str, flip: bool) -> None:
    spec = load_video_spec(name)
    assert (spec.name, spec.num_classes, spec.metric, spec.flip) == (name, classes, metric, flip)
    assert name in list_resources("videos")


def test_every_shipped_data_set_is_listed_above_and_found() -> None:
    root = Path(__file__).parents[2] / "cohorts" / "video"
    assert list_resources("videos") == sorted(path.stem for path in root.glob("*.yaml"))
    assert len(list_resources("videos")) == 11
    for name in list_resources("videos"):
        assert read_resource("videos", name) == (root / f"{name}.yaml").read_text(encoding="utf-8")


def test_unknown_names_and_own_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="video data set 'sthv3' is not shipped; did you mean 'sthv"):
        load_video_spec("sthv3")
    own = tmp_path / "mine.yaml"
    own.write_text(read_resource("videos", "folder").replace("name: folder", "name: mine"), encoding="utf-8")
    assert load_video_spec(own).name == "mine"
    own.write_text("name: x\nformat: {}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"format: unknown key .*did you mean 'formats'"):
        load_video_spec(own)
