"""Every format in miniature: the whole table by hand."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ingest.video.deliveries import (
    put_activitynet,
    put_adafocus,
    put_clips,
    put_diving48,
    put_fcvid,
    put_frames,
    put_json,
    put_kinetics,
    put_mini_kinetics,
    put_mmaction2_videos,
    put_slowfast,
    put_something_v1,
    put_something_v2,
    put_text,
    put_tsm,
)

from neurofocus.errors import VideoError
from neurofocus.ingest.video.listing import ListOptions
from neurofocus.ingest.video.load import load_videos
from neurofocus.ingest.video.table import CLIP_COLUMNS, VideoTable
from neurofocus.schema.load import load_video_spec


def load(name: str, root: Path, **options: Any) -> VideoTable:
    return load_videos(load_video_spec(name), root, ListOptions(**options))


def rows(table: VideoTable) -> list[tuple[object, ...]]:
    """Split, path, kind, labels of every clip."""
    assert tuple(table.clips.columns) == CLIP_COLUMNS
    return list(table.clips[["split", "path", "kind", "labels"]].itertuples(index=False, name=None))


def small(name: str, **changes: object) -> Any:
    """The definition of a data set whose miniature has fewer classes."""
    return load_video_spec(name).model_copy(update=changes)


def test_tsm(tmp_path: Path) -> None:
    table = load_videos(small("sthv1", num_classes=6), put_tsm(tmp_path))
    folder = "20bn-something-something-v1"
    assert rows(table) == [
        ("train", f"{folder}/100218", "frames", (5,)),
        ("train", f"{folder}/24413", "frames", (0,)),
        ("validation", f"{folder}/78687", "frames", (1,)),
    ]
    assert table.clips["num_frames"].tolist() == [42, 3, 3]
    assert table.clips["clip_id"].tolist() == ["100218", "24413", "78687"]
    assert table.classes == tuple(f"Doing thing {letter}" for letter in "abcdef")
    assert table.source.format == "frame-list"
    assert table.source.reason == (
        "train_videofolder.txt: 2 lines PATH FRAMES LABEL divided by spaces, such as '100218 42 5'"
    )
    assert table.warnings == ()


def test_adafocus_commas_with_a_label_a_segment(tmp_path: Path) -> None:
    table = load_videos(small("activitynet", num_classes=3), put_adafocus(tmp_path))
    assert rows(table) == [
        ("train", "frames/v_aaaaaaaaaaa", "frames", (0,)),
        ("train", "frames/v_bbbbbbbbbbb", "frames", (1, 2)),
        ("train", "frames/v_ccccccccccc", "frames", (2, 0, 1)),
        ("validation", "frames/v_ddddddddddd", "frames", (2,)),
    ]
    assert table.clips["num_frames"].tolist() == [240, 3, 4, 3]
    assert table.classes == (
        "Zumba",
        "Archery",
        "Bowling",
    )  # a class file's lines are its indices: never sorted


def test_the_same_lists_by_spaces_as_mmaction2_writes_them(tmp_path: Path) -> None:
    put_adafocus(tmp_path)
    for name in ("train", "val"):
        path = tmp_path / f"actnet_{name}_split.txt"
        path.write_text(path.read_text().replace(",", " "))
    assert [row[3] for row in rows(load("activitynet", tmp_path))] == [(0,), (1, 2), (2, 0, 1), (2,)]


def test_a_frame_list_of_video_files(tmp_path: Path) -> None:
    put_text(tmp_path / "actnet_train_split.txt", "v_aaaaaaaaaaa,2400,33")
    put_text(tmp_path / "actnet_val_split.txt", "v_bbbbbbbbbbb,1200,57")
    put_clips(tmp_path / "videos", ["v_aaaaaaaaaaa.mp4", "v_bbbbbbbbbbb.mkv"])
    assert rows(load("activitynet", tmp_path)) == [
        ("train", "videos/v_aaaaaaaaaaa.mp4", "file", (33,)),
        ("validation", "videos/v_bbbbbbbbbbb.mkv", "file", (57,)),
    ]


def test_mini_kinetics_paths_hold_spaces(tmp_path: Path) -> None:
    table = load_videos(small("mini-kinetics", num_classes=2), put_mini_kinetics(tmp_path))
    assert rows(table) == [
        ("train", "frames/riding a bike/abc_000001_000011", "frames", (1,)),
        ("train", "frames/archery/def", "frames", (0,)),
        ("validation", "frames/riding a bike/ghi_000002_000012", "frames", (1,)),
    ]


def test_the_other_mini_kinetics_is_refused(tmp_path: Path) -> None:
    put_text(tmp_path / "train_ytid_list.txt", "abcdefghijk")
    with pytest.raises(VideoError, match=r"train_ytid_list.txt: this is Mini-Kinetics of s9xie"):
        load("mini-kinetics", tmp_path)


def test_mmaction2_videos(tmp_path: Path) -> None:
    table = load("kinetics400", put_mmaction2_videos(tmp_path))
    assert rows(table) == [
        ("train", "videos_train/archery/a1.mp4", "file", (0,)),
        ("train", "videos_train/bowling/b1.mp4", "file", (1,)),
        ("validation", "videos_val/bowling/b2.mp4", "file", (1,)),
    ]
    assert table.clips["num_frames"].isna().all()
    assert (table.classes, table.num_classes) == ((), 400)


def test_mmaction2_rawframes_with_offset(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "long 0 10 0", "long 10 5 1", "short 3 7 1")
    put_text(tmp_path / "val.txt", "other 0 4 0")
    for name in ("long", "short", "other"):
        put_frames(tmp_path / "frames" / name, 15)
    table = load("folder", tmp_path)
    assert table.source.format == "frame-list-offset"
    columns = table.clips[["path", "num_frames", "start_frame", "end_frame", "labels"]]
    assert list(columns.itertuples(index=False, name=None)) == [
        ("frames/long", 10, 0, 10, (0,)),
        ("frames/long", 5, 10, 15, (1,)),
        ("frames/short", 7, 3, 10, (1,)),
        ("frames/other", 4, 0, 4, (0,)),
    ]


@pytest.mark.parametrize("separator", [" ", ",", ";", "\t"])
def test_slowfast_csv_without_header(tmp_path: Path, separator: str) -> None:
    table = load("kinetics400", put_slowfast(tmp_path, separator))
    assert rows(table) == [
        ("train", "videos/a1.mp4", "file", (0,)),
        ("train", "videos/b, c/b1.mp4", "file", (1,)),
        ("validation", "videos/b2.mp4", "file", (1,)),
    ]


@pytest.mark.parametrize("spell", [" ", "_"])
def test_kinetics_csv(tmp_path: Path, spell: str) -> None:
    table = load("kinetics400", put_kinetics(tmp_path, spell))
    petting = "petting animal (not cat)".replace(" ", spell)
    assert rows(table) == [
        ("train", "train/testifying/---QUuC4vJs_000084_000094.mp4", "file", (2,)),
        ("train", f"train/{petting}/-3B32lodo2M_000059_000069.mp4", "file", (1,)),
        ("validation", f"val/air{spell}drumming/0wR5jVB-WPk_000417_000427.mp4", "file", (0,)),
        ("test", "test/--4-0ihtnBU_000058_000068.mp4", "file", ()),
    ]
    assert table.classes == ("air drumming", "petting animal (not cat)", "testifying")
    assert table.clips["start_seconds"].isna().all()  # the files are cut already
    assert "3 class names are met, 400 were expected" in table.warnings[0]


def test_kinetics_untrimmed_videos_and_flat_files(tmp_path: Path) -> None:
    header = "label,youtube_id,time_start,time_end,split"
    put_text(
        tmp_path / "train.csv", header, "abseiling,0347ZoDXyP0,95,105,train", "zumba,09WVfpoLdYo,1,11,train"
    )
    put_clips(tmp_path / "videos", ["0347ZoDXyP0.mp4", "09WVfpoLdYo_000001_000011.mp4"])
    clips = load("kinetics400", tmp_path).clips
    assert clips["path"].tolist() == ["videos/0347ZoDXyP0.mp4", "videos/09WVfpoLdYo_000001_000011.mp4"]
    pd.testing.assert_series_equal(clips["start_seconds"], pd.Series([95.0, None]), check_names=False)
    pd.testing.assert_series_equal(clips["end_seconds"], pd.Series([105.0, None]), check_names=False)


def test_activitynet_json(tmp_path: Path) -> None:
    table = load("activitynet", put_activitynet(tmp_path))
    assert table.classes == ("Beer pong", "Fun sliding down", "Zumba")
    assert rows(table) == [
        ("train", "videos/v_V1zhqaGFY2A.mp4", "file", (2, 0)),
        ("train", "videos/DWYS6Mi3sPA.mp4", "file", (0,)),
        ("validation", "videos/v_sJFgo9H6zNo.mkv", "file", (1,)),
        ("test", "videos/v_JDg--pjY5gg.webm", "file", ()),
    ]
    assert table.clips["clip_id"].tolist()[1] == "v_DWYS6Mi3sPA"
    assert table.source.reason == "activity_net.v1-3.min.json: a database of 4 videos, VERSION 1.3"
    assert table.evaluation_split == "validation"


@pytest.mark.parametrize(("dataset", "name"), [("sthv1", "something-something-v1"), ("jester", "jester-v1")])
@pytest.mark.parametrize(
    ("order", "names"),
    [
        (None, ("Doing other things; really", "Drumming Fingers", "Swiping Left")),
        ("sorted", ("Doing other things; really", "Drumming Fingers", "Swiping Left")),
        ("file", ("Swiping Left", "Doing other things; really", "Drumming Fingers")),
    ],
)
def test_something_v1_and_jester_sorted_or_in_file_order(
    tmp_path: Path, dataset: str, name: str, order: Any, names: tuple[str, ...]
) -> None:
    table = load(dataset, put_something_v1(tmp_path, name), order=order)
    labels = ["Swiping Left", "Doing other things; really", "Drumming Fingers"]
    folder = f"20bn-{name}"
    assert table.classes == names
    assert rows(table) == [
        ("train", f"{folder}/1", "frames", (names.index(labels[0]),)),
        ("train", f"{folder}/2", "frames", (names.index(labels[1]),)),
        ("validation", f"{folder}/3", "frames", (names.index(labels[2]),)),
        ("test", f"{folder}/4", "frames", ()),
    ]
    assert any("class names are not sorted in their file" in text for text in table.warnings) == (
        order is None
    )


def test_something_v2_templates_lose_their_brackets(tmp_path: Path) -> None:
    table = load("sthv2", put_something_v2(tmp_path))
    folder = "20bn-something-something-v2"
    assert rows(table) == [
        ("train", f"{folder}/78687.webm", "file", (1,)),
        ("train", f"{folder}/42326.webm", "file", (0,)),
        ("validation", f"{folder}/74225.webm", "file", (2,)),
        ("test", f"{folder}/1420.webm", "file", ()),
    ]
    assert table.classes[1] == "Holding something next to something"


def test_fcvid(tmp_path: Path) -> None:
    table = load_videos(small("fcvid", num_classes=5), put_fcvid(tmp_path))
    assert rows(table) == [
        ("train", "videos/accordionPerformance/--0K_j-zexM.mp4", "file", (0,)),
        ("train", "videos/airplane/x.flv", "file", (1,)),
        ("test", "videos/airplane/-1F1.mp4", "file", (1, 4)),
    ]
    assert table.evaluation_split == "test"
    assert table.classes == ()


def test_fcvid_as_numpy_writes_it(tmp_path: Path) -> None:
    put_fcvid(tmp_path)
    put_text(tmp_path / "materials/FCVID_Label.txt", "1.0,0.0,0,0,0", "0e0 1e0 0 0 1.0", "0 1 0 0 0")
    table = load_videos(small("fcvid", num_classes=5), tmp_path)
    assert [row[3] for row in rows(table)] == [(0,), (1,), (1, 4)]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("1 0 0 0 0", "0 1 0 0 0"), "2 rows for 3 videos"),
        (("1 0 0 0 0", "0 1 0 0 0", "0 1 0 0"), "line 3: 4 columns; one a class is needed, 5 in all"),
        (("1 0 0 0 0", "0 2 0 0 0", "0 1 0 0 0"), "line 2: '0 2 0 0 0'; only 0 and 1 are accepted"),
    ],
)
def test_fcvid_labels_that_do_not_fit(tmp_path: Path, labels: tuple[str, ...], message: str) -> None:
    put_fcvid(tmp_path)
    put_text(tmp_path / "materials/FCVID_Label.txt", *labels)
    with pytest.raises(VideoError, match=message):
        load_videos(small("fcvid", num_classes=5), tmp_path)


@pytest.mark.parametrize(
    ("version", "text"), [("V2_", "Diving48 V2 (cleaned"), ("", "Diving48 V1 (uncleaned")]
)
def test_diving48_says_its_edition(tmp_path: Path, version: str, text: str) -> None:
    table = load_videos(small("diving48", num_classes=3), put_diving48(tmp_path, version))
    assert rows(table) == [
        ("train", "rgb/-mmq0PT-u8k_00155.mp4", "file", (0,)),
        ("train", "rgb/-mmq0PT-u8k_00156.mp4", "file", (2,)),
        ("test", "rgb/_8Vy3dlHg2w_00000.mp4", "file", (1,)),
    ]
    assert table.clips["num_frames"].tolist() == [48, 70, 104]
    assert table.clips[["start_frame", "end_frame"]].to_numpy().tolist() == [[0, 48], [0, 70], [0, 104]]
    assert table.classes == ("Back 15som 05Twis FREE", "Back 15som 15Twis FREE", "Back Dive NoTwis PIKE")
    assert table.warnings[0].startswith(text)


def test_diving48_part_of_a_file(tmp_path: Path) -> None:
    put_json(
        tmp_path / "Diving48_V2_train.json",
        [
            {"vid_name": "a", "label": 0, "start_frame": 12, "end_frame": 48},
            {"vid_name": "b", "label": 1},
        ],
    )
    table = load("diving48", tmp_path)
    found = table.clips[["num_frames", "start_frame", "end_frame"]].astype(object)
    assert found.iloc[0].tolist() == [36, 12, 48]
    assert found.iloc[1].isna().all()


def test_diving48_editions_are_not_mixed(tmp_path: Path) -> None:
    put_diving48(tmp_path, "V2_")
    (tmp_path / "Diving48_V2_test.json").rename(tmp_path / "Diving48_test.json")
    with pytest.raises(VideoError, match="one is Diving48 V2, the other V1"):
        load("diving48", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subset": "dev"}, "video 'x': subset 'dev'; accepted are training, validation, testing"),
        ({}, "video 'x': 'subset' is None"),
        ({"subset": "training", "annotations": 3}, "video 'x': 'annotations' is 3"),
        ({"subset": "training", "annotations": [{"segment": [0, 1]}]}, "video 'x': 'label' is None"),
    ],
)
def test_activitynet_entries_that_are_broken(tmp_path: Path, change: dict[str, object], message: str) -> None:
    put_json(tmp_path / "activity_net.v1-3.json", {"database": {"x": change}})
    with pytest.raises(VideoError, match=message):
        load("activitynet", tmp_path)


@pytest.mark.parametrize("entry", [{"vid_name": "a", "label": "3"}, {"vid_name": 3}, 7, {"label": 1}, None])
def test_diving48_entries_that_are_broken(tmp_path: Path, entry: object) -> None:
    put_json(tmp_path / "Diving48_V2_train.json", [{"vid_name": "b", "label": 1}, entry])
    with pytest.raises(VideoError, match=r"train.json: entry 2: '(label|vid_name)' is"):
        load("diving48", tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("abseiling,0347ZoDXyP0,x,105,train", "line 2: times 'x' and '105' are no seconds"),
        ("abseiling,0347ZoDXyP0,95,inf,train", "line 2: times '95' and 'inf' are no seconds"),
        ("surfing, water,0347ZoDXyP0,95,105,train", "line 2: 6 fields, the header 5"),
        ("abseiling,0347ZoDXyP0,95,105,dev", "line 2: split 'dev'"),
        ("abseiling,0347ZoDXyP0,95,105,test", "line 2: split 'test' in a list of train"),
    ],
)
def test_kinetics_lines_that_are_broken(tmp_path: Path, line: str, message: str) -> None:
    put_text(tmp_path / "train.csv", "label,youtube_id,time_start,time_end,split", line)
    with pytest.raises(VideoError, match=message):
        load("kinetics400", tmp_path, format="kinetics-csv")
