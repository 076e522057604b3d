"""From lists to clips that are there: what is left out, which part of a file is a clip, who chooses and who is scored."""

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from data.video.clips import number_of, write_folder, write_video
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest.video.deliveries import put_clips, put_diving48, put_frames, put_text
from workflows.video.tiny_video import Row, data_of, put_clips_by_class, small_config, write_small

from neurofocus.data.video.source import FullSize
from neurofocus.errors import ConfigError, VideoError
from neurofocus.schema.load import load_video_spec
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
    with pytest.raises(
        ConfigError, match=r"'b\.mp4' \(1 such lines\) is no clip .* look like 'a', or 'videos/a"
    ):
        find_videos("folder", tmp_path, exclude=names)
    put_text(names, "videos/b.mp4", "c")
    assert find_videos("folder", tmp_path, exclude=names).digest() == found.digest()
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
    with pytest.raises(VideoError, match=r"1 clip stands twice in a split with different labels \(a\)"):
        find_videos("folder", tmp_path)


def test_a_copy_in_another_split_is_refused_until_it_is_left_out(tmp_path: Path) -> None:
    root = put_clips_by_class(tmp_path)
    (root / "val/cat/1.mp4").write_bytes((root / "train/cat/1.mp4").read_bytes())
    with pytest.raises(VideoError, match=r"leak: 1 file stands .* \(train/cat/1.mp4 and .*--exclude FILE"):
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
        VideoError, match=r"wholevideo_\.mp4: no frame between 4 and 14 s is there, it ends at 2\.00 s"
    ):
        numbers(found, "wholevideo__000004_000014")


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "a 0 4 0", "b 2 4 1", "d 4 4 1")
    put_text(tmp_path / "val.txt", "c 0 4 0")
    (tmp_path / "frames").mkdir()
    for name in "abcd":
        write_folder(tmp_path / "frames" / name, "img_%05d.jpg", range(1, 6))
    found = find_videos("folder", tmp_path)
    assert numbers(found, "a") == [0, 1, 2, 3]
    assert numbers(found, "b") == [2, 3, 4]
    with pytest.raises(VideoError, match="frames 4 to 7 are wanted, it has 5"):
        numbers(found, "d")
    strict = find_videos("folder", tmp_path, strict=True)
    assert numbers(strict, "a") == [0, 1, 2, 3]
    with pytest.raises(VideoError, match="b: frames 2 to 5 are listed, it has 5; correct the list"):
        numbers(strict, "b")


def test_a_dive_that_is_a_frame_shorter_than_listed_is_used(tmp_path: Path) -> None:
    """Lists of 48, 70 and 104 frames; files of one less, of half, and of a third."""
    put_diving48(tmp_path)
    counts = {"-mmq0PT-u8k_00155": 47, "-mmq0PT-u8k_00156": 35, "_8Vy3dlHg2w_00000": 34}
    for name, count in counts.items():
        write_video(tmp_path / f"rgb/{name}.mp4", frames=count)
    found = find_videos("diving48", tmp_path)
    for name in ("-mmq0PT-u8k_00155", "-mmq0PT-u8k_00156"):
        assert numbers(found, name) == list(range(counts[name]))
    with pytest.raises(VideoError, match="frames 0 to 103 are wanted, it has 34"):
        numbers(found, "_8Vy3dlHg2w_00000")


def test_names_of_frames_are_those_of_the_definition(tmp_path: Path) -> None:
    """Thumbnails beside the frames: only the definition says which of the two are the clip."""
    put_diving48(tmp_path)
    (tmp_path / "rgb/-mmq0PT-u8k_00155.mp4").unlink()
    folder = write_folder(tmp_path / "frames", "other%d", []) / "-mmq0PT-u8k_00155"
    write_folder(folder, "img_%05d.jpg", range(1, 49))
    for number in (1, 2):
        (folder / f"image_{number:05d}.jpg").write_bytes(b"no frame")
    found = find_videos("diving48", tmp_path)
    assert numbers(found, "-mmq0PT-u8k_00155") == list(range(48))


@pytest.mark.parametrize("damage", ["left out", "cut off"])
def test_strict_reading_reaches_the_folder(tmp_path: Path, damage: str) -> None:
    put_text(tmp_path / "train.txt", "a 0", "b 1")
    put_text(tmp_path / "val.txt", "b 1")
    (tmp_path / "frames").mkdir()
    for name in "ab":
        write_folder(tmp_path / "frames" / name, "img_%05d.jpg", range(1, 7), size=(240, 320))
    put_text(tmp_path / "val.txt", "c 1")
    bad = tmp_path / "frames/a/img_00004.jpg"
    content = bad.read_bytes()
    bad.unlink()
    if damage == "cut off":
        bad.write_bytes(content[: len(content) * 9 // 10])
    relaxed, strict = (find_videos("folder", tmp_path, strict=value) for value in (False, True))
    assert numbers(relaxed, "a") == ([0, 1, 2, 4, 5] if damage == "left out" else [0, 1, 2, 3, 4, 5])
    with pytest.raises(VideoError, match=r"img_00004\.jpg.*extract the frames again"):
        numbers(strict, "a")
    assert numbers(strict, "b") == [0, 1, 2, 3, 4, 5]


def test_a_name_of_two_files_is_refused(tmp_path: Path) -> None:
    listed(tmp_path, train=("a.mp4 0", "b.mp4 1"))
    put_text(tmp_path / "train.txt", "a 0", "b 1")
    assert len(find_videos("folder", tmp_path).clips("train")) == 2
    put_clips(tmp_path / "videos", ["a.avi"])
    with pytest.raises(
        VideoError, match=r"differ in their suffix \(a: videos/a\.mp4, a\.avi\); remove or rename"
    ):
        find_videos("folder", tmp_path)


def test_excluding_a_clip_moves_no_other_to_the_other_side(tmp_path: Path) -> None:
    lines = [f"c{number}.mp4 {number % 2}" for number in range(20)]
    listed(tmp_path, train=tuple(lines))
    before = find_videos("folder", tmp_path)
    exclude = put_text(tmp_path / "bad", "c3", "c4")
    after = find_videos("folder", tmp_path, exclude=exclude)
    for whole, rest in zip(before.hold_out(0.4, 0), after.hold_out(0.4, 0), strict=True):
        assert whole is not None and rest is not None
        assert rest["clip_id"].tolist() == [name for name in whole["clip_id"] if name not in ("c3", "c4")]
    assert after.digest() != before.digest()
    assert after.digest(with_excluded=True) == before.digest(with_excluded=True) == before.digest()


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


def test_a_benchmark_is_scored_on_the_paper_s_split(tmp_path: Path) -> None:
    """TSM's test list of Something-Something V2 has label 0 for every clip, which nobody knows."""
    put_text(tmp_path / "train_videofolder.txt", "1 5 3", "2 5 0")
    put_text(tmp_path / "val_videofolder.txt", "3 5 3", "4 5 0")
    put_text(tmp_path / "test_videofolder.txt", "5 5 0", "6 5 0")
    for name in "123456":
        put_frames(tmp_path / "frames" / name, 5, "%06d.jpg")
    found = find_videos("sthv2", tmp_path)
    assert found.scored_split == "validation"
    assert found.hold_out(0.0, 0)[1] is None
    assert len(found.clips("test")) == 2


@pytest.mark.parametrize(
    ("dataset", "split"),
    [
        ("activitynet", "validation"),
        ("fcvid", None),  # "test" in the release's files, "validation" in the lists of the field
        ("mini-kinetics", "validation"),
        ("kinetics400", "validation"),
        ("sthv1", "validation"),
        ("sthv2", "validation"),
        ("jester", "validation"),
        ("diving48", None),  # "test" in the release's files, "validation" in mmaction2's lists
        ("rlvs", None),
        ("folder", None),
    ],
)
def test_the_split_of_appendix_g(dataset: str, split: str | None) -> None:
    assert load_video_spec(dataset).scored == split


def test_a_split_that_is_not_there_is_not_scored() -> None:
    rows: list[Row] = [("a", (0,), "train"), ("v", (), "validation"), ("t", (0,), "test")]
    data = data_of(rows)
    spec = data.spec.model_copy(update={"scored": "validation"})
    assert replace(data, spec=spec).scored_split == "test"


def test_no_clip_to_score() -> None:
    with pytest.raises(VideoError, match="no labelled clips to validate or test on"):
        _ = data_of([("a", (0,), "train"), ("v", (), "validation")]).scored_split


@given(
    counts=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    quarters=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None)
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


def test_a_share_beside_a_validation_split_is_refused() -> None:
    rows: list[Row] = [("a", (0,), "train"), ("v", (0,), "validation"), ("t", (0,), "test")]
    with pytest.raises(
        ConfigError, match=r"validation_fraction=0\.2: the validation split of .* set it to 0"
    ):
        data_of(rows).hold_out(0.2, 0)


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
