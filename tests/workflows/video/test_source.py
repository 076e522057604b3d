"""From lists to clips that are there: what is left out, which part of a file is a clip, who chooses and who is scored."""

import logging
from collections import Counter
from pathlib import Path

import pytest
from data.video.clips import number_of, write_folder, write_video
from hypothesis import given
from hypothesis import strategies as st
from ingest.video.deliveries import put_clips, put_text
from workflows.video.tiny_video import Row, data_of, put_clips_by_class, small_config, write_small

from neurofocus.data.video.source import FullSize
from neurofocus.errors import ConfigError, VideoError
from neurofocus.workflows.video.source import VideoData, find_videos


def listed(root: Path, *, train: tuple[str, ...], val: tuple[str, ...] = ("v.mp4 0",)) -> Path:
    """Write lists, and a clip for every name that does not start with "gone"."""
    put_text(root / "train.txt", *train)
    put_text(root / "val.txt", *val)
    names = {line.split()[0] for line in (*train, *val)}
    put_clips(root / "videos", sorted(name for name in names if not name.startswith("gone")), write_small)
    return root


def numbers(data: VideoData, clip: str) -> list[int]:
    """Return the numbers that all frames of a clip carry."""
    with data.opener(data.table.clips)(clip) as source:
        return [number_of(frame) for frame in source.read(range(source.num_frames), size=FullSize())]


def test_clips_that_are_not_there_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ("a.mp4 0", "gone1.mp4 1", "b.mp4 1", "gone2.mp4 0", "gone1.mp4 1")
    listed(tmp_path, train=lines, val=("v.mp4 0", "gone3.mp4 1"))
    with caplog.at_level(logging.WARNING, "neurofocus"):
        found = find_videos("folder", tmp_path)
    assert found.clips("train")["clip_id"].tolist() == ["a", "b"]
    assert found.left_out == {"train": 2, "validation": 1, "test": 0}
    assert caplog.messages[-1] == (
        "3 of 6 listed clips are left out (train 2, validation 1; first: videos/gone1.mp4, videos/gone2.mp4, "
        "videos/gone3.mp4)"
    )


def test_no_clip_is_there(tmp_path: Path) -> None:
    listed(tmp_path, train=("gone1.mp4 0", "gone2.mp4 1"), val=("gone3.mp4 0",))
    with pytest.raises(VideoError, match=r"none of the 3 listed clips is there \(looked for .*gone1\.mp4\)"):
        find_videos("folder", tmp_path)
    with pytest.raises(VideoError, match=r"--data .*absent: not a folder; give the folder that holds"):
        find_videos("folder", tmp_path / "absent")


def test_excluded_clips(tmp_path: Path) -> None:
    listed(tmp_path, train=("a.mp4 0", "b.mp4 1", "c.mp4 1"))
    names = put_text(tmp_path / "damaged", "b", "", " c ", start=b"\xef\xbb\xbf")
    found = find_videos("folder", tmp_path, exclude=names)
    assert found.clips("train")["clip_id"].tolist() == ["a"]
    assert found.left_out == {"train": 2, "validation": 0, "test": 0}
    put_text(names, "b", "b.mp4")
    with pytest.raises(ConfigError, match=r"'b\.mp4' \(1 such lines\) is no clip .* look like 'a'"):
        find_videos("folder", tmp_path, exclude=names)
    put_text(names, "a", "b", "c", "v")
    with pytest.raises(ConfigError, match="leaves none of 4 clips"):
        find_videos("folder", tmp_path, exclude=names)
    with pytest.raises(ConfigError, match="absent: not a readable text file"):
        find_videos("folder", tmp_path, exclude=tmp_path / "absent")


def test_a_clip_listed_twice_counts_once(tmp_path: Path) -> None:
    listed(tmp_path, train=("a.mp4 0", "b.mp4 1", "a.mp4 0"))
    assert find_videos("folder", tmp_path).clips("train")["clip_id"].tolist() == ["a", "b"]
    put_text(tmp_path / "train.txt", "a.mp4 0", "b.mp4 1", "a.mp4 1", "v.mp4 0")
    with pytest.raises(VideoError, match=r"leak: .*\(v\); .*\(and 1 more: see 'neurofocus video check'\)"):
        find_videos("folder", tmp_path)
    put_text(tmp_path / "train.txt", "a.mp4 0", "b.mp4 1", "a.mp4 1")
    with pytest.raises(VideoError, match=r"1 clips stand twice in a split with different labels \(a\)"):
        find_videos("folder", tmp_path)


def test_a_copy_in_another_split_is_refused_until_it_is_left_out(tmp_path: Path) -> None:
    root = put_clips_by_class(tmp_path)
    (root / "val/cat/1.mp4").write_bytes((root / "train/cat/1.mp4").read_bytes())
    with pytest.raises(
        VideoError, match=r"leak: 1 files .* are the same \(train/cat/1.mp4 and .*--exclude FILE"
    ):
        find_videos("folder", root)
    found = find_videos("folder", root, exclude=put_text(tmp_path / "twice", "val/cat/1"))
    assert found.left_out["validation"] == 1


def test_own_clips_are_no_digits(tmp_path: Path) -> None:
    put_clips_by_class(tmp_path)
    with pytest.raises(
        VideoError, match=r"holds no generated digits \(no digits\.json\).*; leave --data out"
    ):
        find_videos("digits", tmp_path)


def test_parts_of_a_frame_folder_are_clips_of_their_own(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "long 0 10 0", "long 10 5 1", "long 10 5 1", "short 1 3 1")
    put_text(tmp_path / "val.txt", "other 0 4 0")
    (tmp_path / "frames").mkdir()
    for name in ("long", "short", "other"):
        write_folder(tmp_path / "frames" / name, "img_%05d.jpg", range(1, 16))
    found = find_videos("folder", tmp_path)
    assert found.clips("train")["clip_id"].tolist() == ["long[0:10]", "long[10:15]", "short"]
    assert numbers(found, "long[0:10]") == list(range(10))
    assert numbers(found, "long[10:15]") == list(range(10, 15))
    assert numbers(found, "short") == [1, 2, 3]
    dataset = found.dataset(found.clips("train"), small_config())
    assert [clip.labels for clip in dataset.clips] == [(0,), (1,), (1,)]
    assert dataset[1]["frames"].shape == (6, 3, 32, 32)
    left = find_videos("folder", tmp_path, exclude=put_text(tmp_path / "bad", "long[10:15]"))
    assert left.clips("train")["clip_id"].tolist() == ["long[0:10]", "short"]
    assert left.digest() != found.digest()


def test_a_part_by_seconds(tmp_path: Path) -> None:
    header = "label,youtube_id,time_start,time_end,split,is_cc"
    rows = (
        "archery,abcdefghijk,1,2,train,0",
        "bowling,abcdefghijk,2,3,train,0",
        "archery,lmnopqrstuv,0,1,train,0",
    )
    put_text(tmp_path / "train.csv", header, *rows)
    put_text(tmp_path / "validate.csv", header, "archery,wholevideo_,4,14,val,0")
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/abcdefghijk.mp4", frames=75)
    write_video(tmp_path / "videos/lmnopqrstuv_000000_000001.mp4", frames=9)
    write_video(tmp_path / "videos/wholevideo_.mp4", frames=50)
    found = find_videos("kinetics400", tmp_path)
    assert numbers(found, "abcdefghijk_000001_000002") == list(range(25, 50))
    assert numbers(found, "abcdefghijk_000002_000003") == list(range(50, 75))
    assert numbers(found, "lmnopqrstuv_000000_000001") == list(range(9))
    with pytest.raises(
        VideoError, match=r"wholevideo_\.mp4: no frame between 4 and 14 s, it ends at 1\.96 s"
    ):
        numbers(found, "wholevideo__000004_000014")


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "a 0 4 0", "b 2 4 1")
    put_text(tmp_path / "val.txt", "c 0 4 0")
    (tmp_path / "frames").mkdir()
    for name in "abc":
        write_folder(tmp_path / "frames" / name, "img_%05d.jpg", range(1, 6))
    found = find_videos("folder", tmp_path)
    assert numbers(found, "a") == [0, 1, 2, 3]
    with pytest.raises(VideoError, match="frames 2 to 5 are wanted, it has 5"):
        numbers(found, "b")


def test_strict_reading_reaches_the_file(tmp_path: Path) -> None:
    listed(tmp_path, train=("a.mp4 0", "b.mp4 1"))
    path = write_video(tmp_path / "videos/a.mp4", frames=60, mux={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 2])
    relaxed, strict = (find_videos("folder", tmp_path, strict=value) for value in (False, True))
    assert 0 < len(numbers(relaxed, "a")) < 60
    with pytest.raises(VideoError, match="cut off"):
        numbers(strict, "a")


@pytest.mark.parametrize(
    ("rows", "scored", "chooses"),
    [
        ([("v", (0,), "validation")], "validation", None),
        ([("t", (0,), "test")], "test", None),
        ([("v", (0,), "validation"), ("t", (0,), "test")], "test", ["v"]),
        ([("v", (0,), "validation"), ("t", (), "test")], "validation", None),
        ([("v", (), "validation"), ("t", (0,), "test")], "test", None),
        ([("v", (0,), "validation"), ("v", (0,), "test")], "validation", None),
    ],
)
def test_the_scored_split_chooses_nothing(rows: list[Row], scored: str, chooses: list[str] | None) -> None:
    data = data_of([("a", (0,), "train"), ("b", (1,), "train"), *rows])
    assert data.scored_split == scored
    training, held = data.hold_out(0.0, 0)
    assert training["clip_id"].tolist() == ["a", "b"]
    assert (None if held is None else held["clip_id"].tolist()) == chooses


def test_no_clip_to_score() -> None:
    with pytest.raises(VideoError, match="no labelled clips to validate or test on"):
        _ = data_of([("a", (0,), "train"), ("v", (), "validation")]).scored_split


@given(
    counts=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    quarters=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_share_of_every_class_is_held_out(counts: list[int], quarters: int, seed: int) -> None:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    rows: list[Row] = [(f"c{place}", (label,), "train") for place, label in enumerate(labels)]
    data = data_of([*rows, ("v", (0,), "validation")], classes=("a", "b", "c", "d"))
    expected = {label: count * quarters // 4 for label, count in enumerate(counts)}
    if not any(expected.values()):
        with pytest.raises(ConfigError, match=r"leaves .* clips to train and 0 to validate"):
            data.hold_out(quarters / 4, seed)
        return
    training, held = data.hold_out(quarters / 4, seed)
    assert held is not None
    assert Counter(labels[0] for labels in held["labels"]) == Counter(expected)
    names = [*training["clip_id"], *held["clip_id"]]
    assert sorted(names) == sorted(name for name, _, _ in rows)
    again = data.hold_out(quarters / 4, seed)[1]
    assert again is not None
    assert again["clip_id"].tolist() == held["clip_id"].tolist()


def test_who_is_held_out_depends_on_the_seed() -> None:
    rows: list[Row] = [(f"c{place}", (0,), "train") for place in range(40)]
    data = data_of([*rows, ("v", (0,), "validation")])
    draws = {tuple(held["clip_id"]) for seed in range(5) if (held := data.hold_out(0.5, seed)[1]) is not None}
    assert len(draws) == 5


def test_a_split_without_labels(data: VideoData) -> None:
    assert len(data.clips("validation")) == 4
    bare = data_of([("a", (0,), "train"), ("t", (), "test")])
    with pytest.raises(
        VideoError, match=r"no labelled clips in the test split; it has train 1, test 1; .*--list test="
    ):
        bare.clips("test")


def test_the_digest_tells_data_sets_apart(tmp_path: Path, clips_root: Path, data: VideoData) -> None:
    other = put_clips_by_class(tmp_path / "moved")
    assert find_videos("folder", other).digest() == data.digest()
    (other / "train/cat/1.mp4").rename(other / "train/dog/4.mp4")
    assert find_videos("folder", other).digest() != data.digest()
    rows: list[Row] = [("a", (0,), "train"), ("b", (1,), "train")]
    named, unnamed = data_of(rows), data_of(rows, classes=("dog", "cat"))
    assert named.digest() != unnamed.digest()


def test_classes_without_names_are_their_numbers(tmp_path: Path) -> None:
    listed(tmp_path, train=("a.mp4 0", "b.mp4 2"))
    found = find_videos("folder", tmp_path)
    assert found.classes == ("0", "1", "2")
    assert not found.synthetic
