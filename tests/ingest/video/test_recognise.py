"""Which lists are used: recognised and said, forced, ambiguous, none."""

from pathlib import Path
from typing import Any

import pytest
from ingest.video.deliveries import (
    put_activitynet,
    put_adafocus,
    put_clips,
    put_json,
    put_kinetics,
    put_mmaction2_videos,
    put_rlvs,
    put_something_v1,
    put_text,
    put_tsm,
)

from neurofocus.errors import VideoError
from neurofocus.ingest.video.listing import ListOptions
from neurofocus.ingest.video.load import load_videos
from neurofocus.ingest.video.table import VideoTable
from neurofocus.schema.load import load_video_spec


def load(name: str, root: Path, **options: Any) -> VideoTable:
    return load_videos(load_video_spec(name), root, ListOptions(**options))


def test_two_formats_are_refused_until_one_is_named(tmp_path: Path) -> None:
    put_adafocus(put_activitynet(tmp_path))
    with pytest.raises(VideoError) as caught:
        load("activitynet", tmp_path)
    message = str(caught.value)
    assert "2 formats fit: activitynet-json (activity_net.v1-3.min.json: a database of 4 videos" in message
    assert (
        "frame-list (actnet_train_split.txt: 3 lines PATH FRAMES LABEL [LABEL…] divided by commas" in message
    )
    assert load("activitynet", tmp_path, format="frame-list").clips["labels"].iloc[1] == (1, 2)
    # The class file of the lists does not hold the activities of the JSON file's miniature.
    with pytest.raises(VideoError, match="'Beer pong' is none of the 3 classes"):
        load("activitynet", tmp_path, format="activitynet-json")


def test_a_forced_format_that_does_not_fit_says_why(tmp_path: Path) -> None:
    put_kinetics(tmp_path)
    with pytest.raises(VideoError, match=r"no format of kinetics400 fits: video-list: .*train.csv: line 1"):
        load("kinetics400", tmp_path, format="video-list")


def test_a_format_that_the_data_set_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(
        VideoError, match="format 'fcvid' is none of jester's; known: something-csv, frame-list"
    ):
        load("jester", tmp_path, format="fcvid")


def test_several_files_for_one_role(tmp_path: Path) -> None:
    put_text(tmp_path / "my_train_a.txt", "a 3 0")
    put_text(tmp_path / "my_train_b.txt", "b 3 1")
    with pytest.raises(
        VideoError, match=r"2 files could be the train list \(my_train_a.txt, my_train_b.txt\)"
    ):
        load("sthv1", tmp_path)
    table = load("sthv1", tmp_path, lists={"train": tmp_path / "my_train_b.txt"})
    assert table.clips["clip_id"].tolist() == ["b"]


def test_given_lists_lie_anywhere_and_are_the_only_ones(tmp_path: Path) -> None:
    put_tsm(tmp_path / "data")
    elsewhere = put_text(tmp_path / "mine" / "subset.list", "78687 3 4")
    table = load("sthv1", tmp_path / "data", lists={"test": elsewhere})
    assert table.clips[["clip_id", "split"]].to_numpy().tolist() == [["78687", "test"]]
    assert table.classes[4] == "Doing thing e"  # class files are still found


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"trian": "x.txt"}, "--list trian=x.txt: no such role; known: train"),
        ({"train": "x.txt"}, "no such file"),
    ],
)
def test_given_lists_that_are_not_there(tmp_path: Path, lists: dict[str, str], message: str) -> None:
    with pytest.raises(VideoError, match=message):
        load("sthv1", tmp_path, lists={role: Path(path) for role, path in lists.items()})


def test_no_lists_at_all(tmp_path: Path) -> None:
    with pytest.raises(
        VideoError, match=r"no list file of sthv1 .*looked for something-csv \(something-something-v1"
    ):
        load("sthv1", tmp_path)
    with pytest.raises(VideoError, match="no such folder"):
        load("sthv1", tmp_path / "absent")


def test_a_broken_list_is_told_and_no_folders_are_read_instead(tmp_path: Path) -> None:
    put_rlvs(tmp_path)
    put_text(tmp_path / "train.txt", "Violence/V_1.mp4", "Violence/V_2.mp4 1")
    with pytest.raises(VideoError, match=r"no format of rlvs fits: video-list: .*train.txt: line 1"):
        load("rlvs", tmp_path)
    assert not (tmp_path / "neurofocus-split.json").exists()


@pytest.mark.parametrize("text", ["{", "[1, 2", '{"database": [}'])
def test_broken_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "activity_net.v1-3.min.json").write_text(text)
    with pytest.raises(VideoError, match="line 1: not valid JSON"):
        load("activitynet", tmp_path)


@pytest.mark.parametrize("content", [{"x": 1}, [], [1], [{"other": 1}]])
def test_json_of_another_kind(tmp_path: Path, content: object) -> None:
    put_json(tmp_path / "something-something-v2-train.json", content)
    with pytest.raises(VideoError, match="no format of sthv2 fits: something-json: "):
        load("sthv2", tmp_path)


def test_files_and_frames_of_the_same_clips(tmp_path: Path) -> None:
    put_tsm(tmp_path)
    put_clips(tmp_path / "videos", ["100218.mp4", "24413.webm", "78687.avi"])
    assert set(load("sthv1", tmp_path).clips["kind"]) == {"frames"}  # a frame list speaks of frames
    files = load("sthv1", tmp_path, media="file").clips
    assert files["path"].tolist() == ["videos/100218.mp4", "videos/24413.webm", "videos/78687.avi"]
    put_mmaction2_videos(tmp_path / "k")
    assert set(load("kinetics400", tmp_path / "k").clips["kind"]) == {"file"}


def test_clips_in_another_container_than_listed(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "a.avi 0", "b.mp4 1")
    put_clips(tmp_path / "videos", ["a.mp4", "b.mkv", "b.webm"])
    assert load("folder", tmp_path).clips["path"].tolist() == ["videos/a.mp4", "videos/b.mkv"]


def test_absolute_paths(tmp_path: Path) -> None:
    put_clips(tmp_path / "data" / "sub", ["a.mp4"])
    put_clips(tmp_path / "elsewhere", ["b.mp4"])
    put_text(
        tmp_path / "data" / "train.csv",
        f"{tmp_path}/data/sub/a.mp4,0",
        f"{tmp_path}/elsewhere/b.mp4,1",
        "../elsewhere/b.mp4,1",
    )
    paths = load("folder", tmp_path / "data").clips["path"].tolist()
    assert paths[:2] == ["sub/a.mp4", f"{tmp_path}/elsewhere/b.mp4"]
    assert (tmp_path / "data" / paths[2]).is_file()


def test_clips_that_are_not_there_stay_in_the_table(tmp_path: Path) -> None:
    put_something_v1(tmp_path)
    put_text(tmp_path / "something-something-v1-train.csv", "1;Swiping Left", "99;Drumming Fingers")
    clips = load("sthv1", tmp_path).clips
    assert clips["path"].tolist()[1] == "20bn-something-something-v1/99"
    assert clips["labels"].tolist()[1] == (1,)


def test_a_link_into_the_void_is_not_there(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "a.mp4 0", "b.mp4 1")
    (tmp_path / "a.mp4").symlink_to(tmp_path / "gone.mp4")
    put_clips(tmp_path / "videos", ["a.mkv", "b.mp4"])
    assert load("folder", tmp_path).clips["path"].tolist() == ["videos/a.mkv", "videos/b.mp4"]
