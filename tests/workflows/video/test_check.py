"""The check of a data set: clips are really opened, and a person reads what was found."""

from pathlib import Path

import pytest
from data.video.clips import write_audio, write_folder, write_video
from ingest.video.deliveries import put_diving48, put_rlvs, put_text
from workflows.video.tiny_video import put_clips_by_class, write_small

from neurofocus.errors import ConfigError, VideoError
from neurofocus.ingest.video.listing import ListOptions
from neurofocus.workflows.video.check import check_video_folder, report_lines


def test_a_whole_data_set(clips_root: Path) -> None:
    report = check_video_folder("folder", clips_root)
    assert report.passed
    assert report.opened == 12
    assert report_lines(report) == [
        "format      folders (class folders in test: 2 classes, train: 2 classes, val: 2 classes)",
        "classes     2 (names of the folders)",
        "train       6 clips (6 files), 6 labelled, labels 0 to 1, 3 to 3 a class, 2 classes",
        "validation  4 clips (4 files), 4 labelled, labels 0 to 1, 2 to 2 a class, 2 classes",
        "test        2 clips (2 files), 2 labelled, labels 0 to 1, 1 to 1 a class, 2 classes",
        "missing     0",
        "unreadable  0 of 12 opened",
        "passed",
    ]


def test_broken_clips_are_named(tmp_path: Path) -> None:
    root = put_clips_by_class(tmp_path)
    (root / "train/cat/1.mp4").write_bytes(b"")
    write_audio(root / "train/cat/2.mp4")
    (root / "val/dog/1.mp4").write_bytes(b"no video at all")
    report = check_video_folder("folder", root)
    assert not report.passed
    assert report.unreadable.count == 3
    lines = report_lines(report)
    assert lines[-1] == "not passed"
    (line,) = [line for line in lines if line.startswith("unreadable")]
    for name in ("train/cat/1.mp4", "train/cat/2.mp4", "val/dog/1.mp4"):
        assert name in line
    assert line.endswith("of 12 opened")


def test_a_clip_that_is_cut_off_says_so(tmp_path: Path) -> None:
    path = write_video(
        put_clips_by_class(tmp_path) / "train/cat/1.mp4", frames=60, mux={"movflags": "faststart"}
    )
    path.write_bytes(path.read_bytes()[: int(0.7 * path.stat().st_size)])
    (text,) = check_video_folder("folder", tmp_path).unreadable.first
    assert (
        "train/cat/1.mp4: " in text and "the file is cut off: " in text and text.endswith("; copy it again")
    )


def test_damage_inside_is_found_thoroughly(tmp_path: Path) -> None:
    """A picture in the middle of a folder, a packet in the middle of a file."""
    root = put_clips_by_class(tmp_path)
    path = write_video(root / "train/cat/1.mp4", frames=60, gop=5)
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 400] = bytes(400)
    path.write_bytes(bytes(content))
    (root / "train/dog/1.mp4").unlink()
    folder = write_folder(root / "train/dog/1", "img_%05d.jpg", range(1, 13))
    (folder / "img_00006.jpg").write_bytes(b"\xff\xd8\xff")
    assert check_video_folder("folder", root).unreadable.count == 0
    report = check_video_folder("folder", root, thorough=True)
    assert report.unreadable.count == 2
    text = "; ".join(report.unreadable.first)
    assert "train/cat/1.mp4: " in text
    assert "train/dog/1: img_00006.jpg" in text


def test_clips_that_are_not_there(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "a.mp4 0", "b.mp4 1")
    put_text(tmp_path / "val.txt", "c.mp4 0", *(f"d{number}.mp4 1" for number in range(4)))
    (tmp_path / "videos").mkdir()
    for name in "abc":
        write_small(tmp_path / f"videos/{name}.mp4")
    report = check_video_folder("folder", tmp_path)
    assert not report.passed
    assert "missing     4 (videos/d0.mp4; videos/d1.mp4; videos/d2.mp4 ...)" in report_lines(report)
    assert "classes     unnamed (labels are numbers and no file says their names)" in report_lines(report)


def test_the_limit_is_a_split(tmp_path: Path) -> None:
    report = check_video_folder("folder", put_clips_by_class(tmp_path), limit=2)
    assert report.opened == 6


def test_a_foreign_class_file(clips_root: Path, tmp_path: Path) -> None:
    same = put_text(tmp_path / "same.txt", "Cat", "dog")
    other = put_text(tmp_path / "other.txt", "dog", "cat")
    assert check_video_folder("folder", clips_root, classes=same).passed
    report = check_video_folder("folder", clips_root, classes=other)
    assert not report.passed
    assert any(
        line.startswith("refused     2 of 2 classes have another index") for line in report_lines(report)
    )


def test_options_reach_the_reader(tmp_path: Path) -> None:
    root = put_clips_by_class(tmp_path / "clips")
    listed = put_text(tmp_path / "mine.txt", "train/cat/1.mp4 0", "train/dog/1.mp4 1")
    options = ListOptions(format="video-list", lists={"train": listed, "validation": listed})
    with pytest.raises(VideoError, match="not a folder"):
        check_video_folder("folder", tmp_path / "absent", options)
    report = check_video_folder("folder", root, options)
    assert report.source.format == "video-list"
    assert not report.passed  # the same clips in two splits
    with pytest.raises(ConfigError, match="video data set 'foldr' is not shipped"):
        check_video_folder("foldr", root)


def test_warnings_are_shown(tmp_path: Path) -> None:
    put_rlvs(tmp_path, 5, clip=lambda path: write_small(path))
    lines = report_lines(check_video_folder("rlvs", tmp_path))
    assert lines[-1] == "passed"
    warnings = [line.removeprefix("warning     ") for line in lines if line.startswith("warning")]
    assert any(
        line.startswith("no split is delivered: 8 clips to train and 2 to validate") for line in warnings
    )
    assert any("RLVS has no official split" in line for line in warnings)
    assert any("paper: total 10 of 2,000" in line for line in warnings)


def test_clips_that_are_not_whole_are_told_and_mostly_missing_ones_are_refused(tmp_path: Path) -> None:
    put_diving48(tmp_path)
    for name, count in (("-mmq0PT-u8k_00155", 48), ("-mmq0PT-u8k_00156", 69), ("_8Vy3dlHg2w_00000", 104)):
        write_video(tmp_path / f"rgb/{name}.mp4", frames=count)
    report = check_video_folder("diving48", tmp_path)
    assert report.passed
    assert (
        "not whole   1 (rgb/-mmq0PT-u8k_00156.mp4: frames 0 to 69 are listed, it has 69): used as far as they are there; "
        "--strict-video refuses them"
    ) in report_lines(report)
    write_video(tmp_path / "rgb/_8Vy3dlHg2w_00000.mp4", frames=30)
    report = check_video_folder("diving48", tmp_path)
    assert not report.passed
    assert (report.flawed.count, report.unreadable.count) == (1, 1)
    assert "rgb/_8Vy3dlHg2w_00000.mp4: frames 0 to 103 are wanted, it has 30" in report.unreadable.first[0]


def test_seconds_that_an_untrimmed_file_does_not_have(tmp_path: Path) -> None:
    header = "label,youtube_id,time_start,time_end,split,is_cc"
    rows = (f"archery,abcdefghijk,{start},{start + 2},train,0" for start in (0, 1, 2, 5))
    put_text(tmp_path / "train.csv", header, *rows)
    put_text(tmp_path / "validate.csv", header, "bowling,lmnopqrstuv,0,2,val,0")
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/abcdefghijk.mp4", frames=75)
    write_video(tmp_path / "videos/lmnopqrstuv.mp4", frames=50)
    report = check_video_folder("kinetics400", tmp_path)
    assert report.flawed.first == ("videos/abcdefghijk.mp4: 2 to 4 s are listed, it ends at 3.00 s",)
    (outside,) = report.unreadable.first
    assert outside.startswith(
        "videos/abcdefghijk.mp4: no frame between 5 and 7 s is there, it ends at 3.00 s"
    )


def test_a_file_that_is_cut_off_is_told(tmp_path: Path) -> None:
    root = put_clips_by_class(tmp_path)
    (root / "train/cat/1.mp4").unlink()
    for name, mux in (("train/cat/1.mkv", {}), ("train/dog/1.mp4", {"movflags": "faststart"})):
        path = write_video(root / name, frames=60, mux=mux)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    report = check_video_folder("folder", root)
    (cut,), (damaged,) = report.flawed.first, report.unreadable.first
    assert cut.startswith("train/cat/1.mkv: the file is cut off: ")
    assert (
        damaged.startswith("train/dog/1.mp4: ")
        and "the file is cut off: 22 of 60 frames are there" in damaged
    )
