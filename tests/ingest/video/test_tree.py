"""Class folders without list files, and the split that is drawn once and kept."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest.video.deliveries import put_clips, put_divided_tree, put_frames, put_rlvs, put_text

from neurofocus.errors import VideoError
from neurofocus.ingest.video.listing import ListOptions, SplitRule
from neurofocus.ingest.video.load import load_videos
from neurofocus.ingest.video.split import SPLIT_FILE, draw_split
from neurofocus.ingest.video.table import VideoTable
from neurofocus.schema.load import load_video_spec


def load(root: Path, name: str = "folder", **options: Any) -> VideoTable:
    return load_videos(load_video_spec(name), root, ListOptions(**options))


def counted(table: VideoTable) -> dict[tuple[str, tuple[int, ...]], int]:
    return dict(Counter(zip(table.clips["split"], table.clips["labels"], strict=True)))


@pytest.mark.parametrize(
    "inside",
    [".", "Real Life Violence Dataset", "real life violence situations/Real Life Violence Dataset", "a/b"],
)
def test_rlvs_gets_a_stratified_split(tmp_path: Path, inside: str) -> None:
    table = load(put_rlvs(tmp_path, 10, inside), "rlvs")
    assert table.classes == ("NonViolence", "Violence")
    assert counted(table) == {
        ("train", (0,)): 8,
        ("train", (1,)): 8,
        ("validation", (0,)): 2,
        ("validation", (1,)): 2,
    }
    assert all((tmp_path / path).is_file() for path in table.clips["path"])
    labels = table.clips["labels"].map(lambda each: table.classes[each[0]])
    assert (labels == table.clips["path"].map(lambda path: Path(path).parent.name)).all()
    assert any("near-duplicates are on both sides" in text for text in table.warnings)
    assert any(
        "16 clips to train and 4 to validate are drawn by class (seed 0)" in text for text in table.warnings
    )


def test_the_two_copies_that_kaggle_delivers_are_one(tmp_path: Path) -> None:
    put_rlvs(tmp_path, 5, "Real Life Violence Dataset")
    put_rlvs(tmp_path, 5, "real life violence situations/Real Life Violence Dataset")
    paths = load(tmp_path, "rlvs").clips["path"]
    assert len(paths) == 10
    assert {path.split("/")[0] for path in paths} == {"Real Life Violence Dataset"}


def test_the_split_is_drawn_once_and_read_back(tmp_path: Path) -> None:
    first = load(put_rlvs(tmp_path), "rlvs")
    kept = (tmp_path / SPLIT_FILE).read_bytes()
    again = load(tmp_path, "rlvs")
    assert again.clips.equals(first.clips)
    assert (tmp_path / SPLIT_FILE).read_bytes() == kept
    content = json.loads(kept)
    assert (content["seed"], content["validation_share"], len(content["train"])) == (0, 0.2, 16)


def test_new_and_lost_clips_are_reported_and_the_split_stays(tmp_path: Path) -> None:
    first = load(put_rlvs(tmp_path), "rlvs").clips
    put_clips(tmp_path / "Violence", ["V_11.mp4", "V_12.mp4"])
    (tmp_path / "NonViolence" / "NV_3.mp4").unlink()
    table = load(tmp_path, "rlvs")
    assert table.clips[["clip_id", "split", "labels"]].equals(first[["clip_id", "split", "labels"]])
    text = " ".join(table.warnings)
    assert "2 clips are newer than the split and left out (Violence/V_11.mp4, Violence/V_12.mp4)" in text
    assert "1 clip of the split is no longer there (NonViolence/NV_3.mp4)" in text


def test_another_seed_needs_another_file(tmp_path: Path) -> None:
    first = load(put_rlvs(tmp_path), "rlvs").clips
    with pytest.raises(VideoError, match=r"drawn with seed 0 and share 0.2, asked are 1 and 0.2"):
        load(tmp_path, "rlvs", split=SplitRule(seed=1))
    other = load(tmp_path, "rlvs", split=SplitRule(seed=1, file=tmp_path / "out" / "split-1.json")).clips
    assert set(other["clip_id"]) == set(first["clip_id"])
    assert not other.equals(first)


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"train": ["a"], "validation": ["a"]}', '{"train": [1], "validation": []}']
)
def test_a_damaged_split_file_is_refused(tmp_path: Path, text: str) -> None:
    put_rlvs(tmp_path)
    (tmp_path / SPLIT_FILE).write_text(text)
    with pytest.raises(VideoError, match="remove the file to draw the split again"):
        load(tmp_path, "rlvs")


def test_a_class_folder_that_came_later(tmp_path: Path) -> None:
    load(put_rlvs(tmp_path), "folder")
    put_clips(tmp_path / "Sports", ["1.mp4"])
    with pytest.raises(VideoError, match="class folder 'Sports' came after the split was drawn"):
        load(tmp_path, "folder")


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_shares_that_divide_nothing(tmp_path: Path, share: float) -> None:
    with pytest.raises(VideoError, match="divides nothing"):
        load(put_rlvs(tmp_path), "rlvs", split=SplitRule(validation=share))


@given(
    sizes=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 30), min_size=1),
    seed=st.integers(0, 1000),
    share=st.floats(0.05, 0.95),
)
def test_drawn_splits(sizes: dict[str, int], seed: int, share: float) -> None:
    clips = {f"{label}/{number}": label for label, size in sizes.items() for number in range(size)}
    rule = SplitRule(seed, share)
    drawn = draw_split(clips, rule)
    assert list(drawn) == list(clips)
    assert draw_split(dict(reversed(clips.items())), rule) == drawn
    for label, size in sizes.items():
        held = sum(drawn[f"{label}/{number}"] == "validation" for number in range(size))
        assert abs(held - size * share) <= 1
        assert size == 1 or 0 < held < size


def test_divided_tree(tmp_path: Path) -> None:
    table = load(put_divided_tree(tmp_path))
    assert table.classes == ("cat", "dog")
    assert counted(table) == {
        ("train", (0,)): 3,
        ("train", (1,)): 3,
        ("validation", (0,)): 2,
        ("validation", (1,)): 2,
        ("test", (0,)): 1,
        ("test", (1,)): 1,
    }
    assert table.clips["path"].iloc[0] == "train/cat/1.mp4"
    assert table.warnings == ()
    assert not (tmp_path / SPLIT_FILE).exists()


def test_a_test_folder_without_class_folders_is_reported(tmp_path: Path) -> None:
    put_divided_tree(tmp_path)
    shutil.rmtree(tmp_path / "test")
    put_clips(tmp_path / "test", ["1.mp4", "2.mp4"])
    table = load(tmp_path)
    assert set(table.clips["split"]) == {"train", "validation"}
    assert table.warnings == ("test: no two class folders with clips; the folder is left out",)


def test_a_class_that_only_one_split_has(tmp_path: Path) -> None:
    put_divided_tree(tmp_path)
    put_clips(tmp_path / "train" / "ant", ["1.mp4"])
    table = load(tmp_path)
    assert table.classes == ("ant", "cat", "dog")
    assert set(table.clips.loc[table.clips["split"] == "validation", "labels"]) == {(1,), (2,)}


def test_frame_folders_a_class_and_what_is_no_clip(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        for name in ("a", "b", "c"):
            put_frames(tmp_path / label / name, 3)
    put_clips(tmp_path / "cat", ["a.mp4"])  # the same clip as file and as frames: one clip
    put_text(tmp_path / "notes" / "readme.md", "x")
    put_clips(tmp_path, ["stray.mp4"])
    table = load(tmp_path)
    assert sorted(zip(table.clips["path"], table.clips["kind"], strict=True)) == [
        ("cat/a.mp4", "file"),
        ("cat/b", "frames"),
        ("cat/c", "frames"),
        ("dog/a", "frames"),
        ("dog/b", "frames"),
        ("dog/c", "frames"),
    ]
    assert table.warnings[-1].startswith(
        "2 entries are no class folder with clips and are left out: notes, stray.mp4"
    )


def test_frames_can_be_asked_for(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        put_frames(tmp_path / label / "a", 3)
        put_clips(tmp_path / label, ["a.mp4"])
    frames = load(tmp_path, media="frames", split=SplitRule(file=tmp_path / "f.json"))
    assert sorted(frames.clips["path"]) == ["cat/a", "dog/a"]
    assert sorted(load(tmp_path, media="file").clips["path"]) == ["cat/a.mp4", "dog/a.mp4"]


def test_one_class_is_no_tree(tmp_path: Path) -> None:
    put_clips(tmp_path / "Violence", ["1.mp4"])
    with pytest.raises(
        VideoError, match=r"no list file of rlvs .* and no two class folders with clips .*; put a"
    ):
        load(tmp_path, "rlvs")
    with pytest.raises(
        VideoError, match=r": no two class folders with clips .*; give the folder above the class"
    ):
        load(tmp_path, "rlvs", format="folders")


def test_files_that_only_their_suffix_tells_apart_are_refused_before_a_split_is_drawn(tmp_path: Path) -> None:
    put_rlvs(tmp_path)
    put_clips(tmp_path / "Violence", ["V_3.avi", "V_3.mkv", "V_7.webm"])
    message = (
        r"Violence: V_3\.mp4, V_3\.mkv, V_3\.avi \(2 such names\) differ in their suffix only.*; remove or"
    )
    with pytest.raises(VideoError, match=message):
        load_videos(load_video_spec("rlvs"), tmp_path)
    assert not (tmp_path / SPLIT_FILE).exists()
