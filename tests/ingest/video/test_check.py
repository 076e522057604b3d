"""The check: counts, missing, unreadable, labels, duplicates, leaks, frames; quick for large lists."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ingest.video.deliveries import (
    put_adafocus,
    put_clips,
    put_divided_tree,
    put_diving48,
    put_frames,
    put_kinetics,
    put_rlvs,
    put_something_v1,
    put_something_v2,
    put_text,
    put_tsm,
)

from neurofocus.errors import VideoError
from neurofocus.ingest.video.check import check_videos
from neurofocus.ingest.video.disk import Part, frame_folder
from neurofocus.ingest.video.listing import ListOptions
from neurofocus.ingest.video.load import load_videos
from neurofocus.ingest.video.report import VideoReport
from neurofocus.schema.load import load_video_spec
from neurofocus.schema.video import OfficialCount, VideoDatasetSpec


@dataclass(frozen=True)
class Info:
    num_frames: int | None
    flaws: tuple[str, ...] = ()


def probe(path: Path, part: Part) -> Info:
    """Read a number from the file, as a stand-in for a decoder."""
    text = path.read_text()
    if not text.isdecimal():
        raise VideoError(f"{path}: holds no video stream")
    return Info(int(text))


def numbered(frames: int) -> Any:
    return lambda path: path.write_text(str(frames))


def spec_of(name: str, **changes: Any) -> VideoDatasetSpec:
    return load_video_spec(name).model_copy(update={"counts": (), **changes})


def check(spec: VideoDatasetSpec, root: Path, **arguments: Any) -> VideoReport:
    return check_videos(load_videos(spec, root), root, spec=spec, **arguments)


def texts(report: VideoReport) -> str:
    return "\n".join(finding.text for finding in (*report.refusals, *report.warnings))


def listed(root: Path, train: tuple[str, ...], val: tuple[str, ...] = (), classes: int = 2) -> VideoReport:
    put_text(root / "train.txt", *train)
    if val:
        put_text(root / "val.txt", *val)
    put_text(root / "classes.txt", *(f"class {number}" for number in range(classes)))
    return check(spec_of("folder"), root)


def test_a_whole_delivery_passes(tmp_path: Path) -> None:
    put_adafocus(tmp_path)
    report = check(spec_of("activitynet", num_classes=3), tmp_path)
    assert report.passed
    assert (report.missing.count, report.opened, report.unreadable.count) == (0, 4, 0)
    train = report.splits["train"]
    assert (train.clips, train.labelled, train.files, train.label_range) == (3, 3, 0, (0, 2))
    assert train.histogram == (2, 2, 2)
    assert report.splits["validation"].histogram == (0, 0, 1)
    assert report.templates == {"image_%05d.jpg": 4}
    assert texts(report) == "validation: 2 of 3 classes have no clip (Zumba, Archery)"
    assert json.loads(json.dumps(report.as_json()))["splits"]["train"]["histogram"] == [2, 2, 2]


def test_missing_and_unreadable(tmp_path: Path) -> None:
    spec = spec_of("sthv2", num_classes=3)
    put_something_v2(tmp_path, numbered(40))
    folder = tmp_path / "20bn-something-something-v2"
    (folder / "78687.webm").unlink()
    (folder / "42326.webm").write_text("no video")
    report = check(spec, tmp_path, probe=probe)
    assert not report.passed
    assert (report.missing.count, report.missing.first) == (1, ("20bn-something-something-v2/78687",))
    assert report.unreadable.count == 1
    assert report.unreadable.first == ("20bn-something-something-v2/42326.webm: holds no video stream",)
    assert report.opened == 3
    assert check(spec, tmp_path).opened == 0  # without a probe nothing is opened


def test_many_missing_are_counted_and_the_first_few_named(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", *(f"{number}.mp4 0" for number in range(30)))
    put_clips(tmp_path, ["3.mp4"])
    report = check(spec_of("folder"), tmp_path)
    assert report.missing.count == 29
    assert report.missing.first == ("0.mp4", "1.mp4", "2.mp4", "4.mp4", "5.mp4")


def test_a_limit_opens_clips_evenly_over_every_split(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", *(f"{number}.mp4 0" for number in range(30)))
    put_text(tmp_path / "val.txt", *(f"v{number}.mp4 0" for number in range(3)))
    names = [f"{number}.mp4" for number in range(30)] + [f"v{number}.mp4" for number in range(3)]
    put_clips(tmp_path, names, numbered(1))
    seen: list[str] = []

    def noting(path: Path, part: Part) -> Info:
        seen.append(path.name)
        return probe(path, part)

    report = check(spec_of("folder"), tmp_path, probe=noting, limit=5)
    assert report.opened == len(seen) == 8
    assert seen == [f"{number}.mp4" for number in (0, 6, 12, 18, 24)] + ["v0.mp4", "v1.mp4", "v2.mp4"]


def test_declared_against_found_frames(tmp_path: Path) -> None:
    put_tsm(tmp_path)
    folder = tmp_path / "20bn-something-something-v1"
    (folder / "100218" / "00042.jpg").unlink()
    put_frames(folder / "24413", 5, "%05d.jpg")
    report = check(spec_of("sthv1", num_classes=6), tmp_path)
    assert (report.frames.count, report.frames.fewer) == (2, 1)
    assert set(report.frames.first) == {(f"{folder.name}/100218", 42, 41), (f"{folder.name}/24413", 3, 5)}
    assert "2 of 3 opened clips have another number of frames than their list says, 1 of them fewer" in texts(
        report
    )


def test_a_frame_left_out_in_the_middle_is_unreadable(tmp_path: Path) -> None:
    put_tsm(tmp_path)
    (tmp_path / "20bn-something-something-v1" / "100218" / "00007.jpg").unlink()
    report = check(spec_of("sthv1", num_classes=6), tmp_path)
    assert report.unreadable.first == (
        "20bn-something-something-v1/100218: frames 1 to 42 are 41 files; some are left out: extract them again",
    )


def test_an_empty_frame_folder_is_unreadable(tmp_path: Path) -> None:
    put_tsm(tmp_path)
    for frame in (tmp_path / "20bn-something-something-v1" / "24413").iterdir():
        frame.unlink()
    report = check(spec_of("sthv1", num_classes=6), tmp_path)
    assert "holds no numbered images" in report.unreadable.first[0]


def test_parts_are_looked_at_as_parts_and_what_they_lack_is_told(tmp_path: Path) -> None:
    put_text(
        tmp_path / "train.txt", "long.mp4 0 10 0", "long.mp4 10 5 1", *(f"a{n}.mp4 2 9 1" for n in range(7))
    )
    put_clips(tmp_path, ["long.mp4", *(f"a{n}.mp4" for n in range(7))])
    asked: list[tuple[str, float, float]] = []

    def noting(path: Path, part: Part) -> Info:
        asked.append((path.name, *part[:2]))
        assert all(map(math.isnan, part[2:]))
        return Info(10, () if path.name == "long.mp4" else ("two frames short", "damaged"))

    report = check(spec_of("folder"), tmp_path, probe=noting)
    assert asked[:3] == [("long.mp4", 0, 10), ("long.mp4", 10, 15), ("a0.mp4", 2, 11)]
    assert report.flawed.first == tuple(f"a{n}.mp4: two frames short" for n in range(7))
    assert report.passed and report.flawed.count == 7 and report.frames.count == 0
    assert report.as_json()["flawed"]["count"] == 7


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("clip 0", "clip: videos/clip.mkv, clip.avi"),
        ("clip.mp4 0", "clip.mp4: videos/clip.mkv, clip.avi"),
        ("clip.avi 0", ""),
    ],
)
def test_a_name_that_means_two_files_is_refused(tmp_path: Path, line: str, names: str) -> None:
    put_text(tmp_path / "train.txt", line, line, "other.mp4 1")
    put_clips(tmp_path / "videos", ["clip.avi", "clip.mkv", "other.mp4"])
    report = check(spec_of("folder"), tmp_path)
    text = f"1 clip may be several files that differ in their suffix ({names}); remove or rename all but one"
    assert [finding.text.partition(", and list")[0] for finding in report.refusals] == [text] * bool(names)
    assert report.passed is (not names)


def test_listed_files_that_only_their_suffix_tells_apart_are_refused(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "clip.avi 0", "clip.mp4 0", "other.mp4 1", "other.mp4 1")
    put_clips(tmp_path / "videos", ["clip.avi", "clip.mp4", "other.mp4"])
    (finding,) = check(spec_of("folder"), tmp_path).refusals
    assert "(clip: videos/clip.avi, videos/clip.mp4)" in finding.text
    assert finding.kind == "ambiguous clip"


def test_parts_outside_their_folder_are_unreadable(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "long 0 10 0", "long 15 5 1", "long 12 9 1")
    put_frames(tmp_path / "long", 15)
    (line,) = check(spec_of("folder"), tmp_path).unreadable.first
    assert line == "long: frames from 15 on are listed, it has 15"


@pytest.mark.parametrize("line", ["long -3 10 0", "long 5 0 0", "long 5 -2 0"])
def test_parts_that_cannot_be_are_refused(tmp_path: Path, line: str) -> None:
    report = listed(tmp_path, (line, "other 0 10 1"), ("third 0 4 0", "fourth 0 4 1"))
    assert "1 clip is a part that cannot be (first: long: frames" in texts(report)
    assert not report.passed and [finding.kind for finding in report.refusals] == ["part"]


def test_times_that_end_before_they_begin_are_refused(tmp_path: Path) -> None:
    put_kinetics(tmp_path)
    table = load_videos(spec_of("kinetics400", num_classes=3), tmp_path)
    assert not check_videos(table, tmp_path).refusals
    table.clips.loc[0, ["start_seconds", "end_seconds"]] = (7.5, 7.5)
    (finding,) = check_videos(table, tmp_path).refusals
    assert "1 clip is a part that cannot be (first: " in finding.text
    assert "seconds 7.5 to 7.5, the end not included" in finding.text


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    report = listed(tmp_path, ("a.mp4 0", "b.mp4 0"), ("c.mp4 0",), classes=1)
    assert [finding.kind for finding in report.refusals] == ["single class"]
    assert "all clips are of one class (class)" in report.refusals[0].text


def test_clips_without_any_label_are_of_no_class(tmp_path: Path) -> None:
    put_text(tmp_path / "test.txt", "a.mp4", "b.mp4")
    assert check(spec_of("folder"), tmp_path).refusals == ()


def test_what_cannot_be_done_with_the_splits_is_said(tmp_path: Path) -> None:
    report = listed(tmp_path, ("a.mp4 0", "b.mp4 1"))
    assert "no labelled clips to validate or test on, which training needs: give a validation list" in texts(
        report
    )
    (tmp_path / "train.txt").rename(tmp_path / "val.txt")
    assert "no labelled clips to train on: scoring only" in texts(check(spec_of("folder"), tmp_path))
    both = texts(listed(tmp_path, ("a.mp4 0", "b.mp4 1"), ("c.mp4 0", "d.mp4 1")))
    assert "no labelled clips" not in both


def test_frame_counts_of_video_files(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "a.mp4 30 0", "b.mp4 30 1")
    put_clips(tmp_path, ["a.mp4"], numbered(30))
    put_clips(tmp_path, ["b.mp4"], numbered(25))
    report = check(spec_of("folder"), tmp_path, probe=probe)
    assert report.frames.first == (("b.mp4", 30, 25),)
    put_clips(tmp_path, ["b.mp4"], numbered(0))
    assert check(spec_of("folder"), tmp_path, probe=lambda path, part: Info(None)).frames.count == 0


@pytest.mark.parametrize(
    ("names", "template", "first"),
    [
        (["00001.jpg", "00002.jpg"], "%05d.jpg", 1),
        (["img_00000.JPG", "img_00001.JPG"], "img_%05d.JPG", 0),
        ([f"{n}.png" for n in range(1, 12)], "%d.png", 1),
        (
            ["img_00001.jpg", "img_00002.jpg", *(f"flow_x_{n:05d}.jpg" for n in range(1, 9))],
            "img_%05d.jpg",
            1,
        ),
        (["a_0001.jpeg", "a_0002.jpeg", "thumbnail.jpg", "notes.txt"], "a_%04d.jpeg", 1),
    ],
)
def test_frame_templates(tmp_path: Path, names: list[str], template: str, first: int) -> None:
    for name in names:
        (tmp_path / name).touch()
    found = frame_folder(tmp_path, ("img_%05d.jpg", "%05d.jpg"))
    assert (found.template, found.first) == (template, first)
    assert found.count == found.last - found.first + 1


def test_a_clip_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    report = listed(tmp_path, ("a.mp4 0", "b.mp4 1"), ("b.mp4 1", "c.mp4 0"))
    assert report.refusals[0].kind == "leak"
    assert "1 clip is in two splits (b)" in report.refusals[0].text


def test_a_file_that_two_splits_name_in_different_ways_is_a_leak(tmp_path: Path) -> None:
    put_clips(tmp_path / "videos", ["b.mp4"])
    report = listed(tmp_path, ("a.mp4 0", "b.mp4 1"), ("videos/b.mp4 1",))
    assert [finding.kind for finding in report.refusals] == ["leak"]


def test_a_copy_in_another_split_is_a_leak_and_a_namesake_is_not(tmp_path: Path) -> None:
    report = check(spec_of("folder"), put_divided_tree(tmp_path))
    assert report.refusals == ()
    (tmp_path / "val/cat/1.mp4").write_bytes((tmp_path / "train/cat/1.mp4").read_bytes())
    report = check(spec_of("folder"), tmp_path)
    assert report.refusals[0].text == (
        "leak: 1 file stands in two splits under two paths (train/cat/1.mp4 and val/cat/1.mp4); keep one of each, or "
        "train with --exclude FILE, a text file that names one of each"
    )
    content = bytearray((tmp_path / "val/cat/1.mp4").read_bytes())
    content[0] ^= 1
    (tmp_path / "val/cat/1.mp4").write_bytes(content)
    assert check(spec_of("folder"), tmp_path).refusals == ()  # raw video has equal sizes


def test_a_test_list_that_is_the_validation_list_is_warned_of(tmp_path: Path) -> None:
    put_text(tmp_path / "test.txt", "b.mp4 1", "c.mp4 0")
    report = listed(tmp_path, ("a.mp4 0", "d.mp4 1"), ("b.mp4 1", "c.mp4 0"))
    assert not report.refusals
    assert "the test list is the validation list" in texts(report)
    put_text(tmp_path / "test.txt", "b.mp4 1")
    report = listed(tmp_path, ("a.mp4 0", "d.mp4 1"), ("b.mp4 1", "c.mp4 0"))
    assert "leak: 1 clip is in two splits (b)" in report.refusals[0].text
    put_text(tmp_path / "test.txt", "b.mp4 1", "c.mp4 0")
    report = listed(tmp_path, ("a.mp4 0", "b.mp4 1"), ("b.mp4 1", "c.mp4 0"))
    assert "leak: 1 clip is in two splits (b)" in report.refusals[0].text


def test_some_clips_to_score_without_a_label(tmp_path: Path) -> None:
    put_text(tmp_path / "test.txt", "x.mp4 1", "y.mp4")
    report = listed(tmp_path, ("a.mp4 0", "b.mp4 1"))
    assert not report.refusals
    assert "test: 1 of 2 clips without a label (y)" in texts(report)
    put_text(tmp_path / "test.txt", "x.mp4", "y.mp4")
    assert "without a label" not in texts(listed(tmp_path, ("a.mp4 0", "b.mp4 1")))


def test_parts_of_one_file_in_two_splits_are_warned_of(tmp_path: Path) -> None:
    report = listed(tmp_path, ("long 0 10 0", "long 10 5 1"), ("long 15 5 1",))
    assert not report.refusals
    assert "parts of 1 file are in two splits (long)" in texts(report)
    report = listed(tmp_path, ("long 0 10 0", "long 10 5 1"), ("long 10 5 1",))
    assert "leak: 1 clip is in two splits (long)" in report.refusals[0].text


def test_a_clip_twice_in_a_split(tmp_path: Path) -> None:
    report = listed(tmp_path, ("a.mp4 0", "b.mp4 1", "a.mp4 0"))
    assert not report.refusals
    assert "1 clip stands twice in a split (a)" in texts(report)
    report = listed(tmp_path, ("a.mp4 0", "b.mp4 1", "a.mp4 1"))
    assert "1 clip stands twice in a split with different labels (a)" in report.refusals[0].text


def test_labels_outside_the_classes(tmp_path: Path) -> None:
    report = listed(tmp_path, ("a.mp4 0", "b.mp4 2"))
    assert "1 clip has labels outside 0…1 (first: b: 2)" in report.refusals[0].text
    assert "count from 1" not in report.refusals[0].text
    report = listed(tmp_path, ("a.mp4 1", "b.mp4 2"))
    assert "the lists seem to count from 1: subtract 1 from every label" in report.refusals[0].text
    report = listed(tmp_path, ("a.mp4 0", "b.mp4 -1"))
    assert report.splits["train"].label_range == (-1, 0)
    assert "(first: b: -1)" in report.refusals[0].text


def test_training_clips_without_a_label(tmp_path: Path) -> None:
    put_text(tmp_path / "FCVID_VideoName_TrainTestSplit.txt", "a.mp4 train", "b.mp4 test", "c.mp4 train")
    put_text(tmp_path / "FCVID_Label.txt", "0 0", "1 0", "0 1")
    report = check(spec_of("fcvid", num_classes=2), tmp_path)
    assert "train: 1 of 2 clips without a label (a)" in report.refusals[0].text


def test_classes_without_clips_and_clips_without_frames(tmp_path: Path) -> None:
    report = listed(tmp_path, ("a 3 0", "b 0 2"), ("c 4 1",), classes=4)
    assert "train: 2 of 4 classes have no clip (class 1, class 3)" in texts(report)
    assert "validation: 3 of 4 classes have no clip (class 0, class 2, class 3)" in texts(report)
    assert "1 clip has no frames according to the list (b)" in texts(report)


def test_official_counts(tmp_path: Path) -> None:
    put_diving48(tmp_path)
    spec = spec_of("diving48", num_classes=3)
    published = OfficialCount(name="V2", train=3, test=1, source="its page")
    report = check(spec.model_copy(update={"counts": (published,)}), tmp_path)
    assert "other numbers of clips than published: V2: train 2 of 3 (its page)" in texts(report)
    fitting = OfficialCount(name="mine", total=4, within=0.3, source="me")
    assert "published" not in texts(check(spec.model_copy(update={"counts": (published, fitting)}), tmp_path))


def test_a_checkpoint_in_another_class_order_is_refused(tmp_path: Path) -> None:
    put_something_v1(tmp_path, "jester-v1")
    names = ["Swiping Left", "Doing other things; really", "Drumming Fingers"]
    spec = spec_of("jester", num_classes=3)
    assert not check(spec, tmp_path, checkpoint_classes=sorted(names)).refusals
    report = check(spec, tmp_path, checkpoint_classes=names)
    assert report.refusals[0].figures == {"conflict": "order"}
    assert "class names are not sorted in their file" in texts(report)


def test_numbers_without_names_are_warned_of_where_orders_differ_in_the_wild(tmp_path: Path) -> None:
    put_adafocus(tmp_path)
    (tmp_path / "classInd.txt").unlink()
    assert "mmaction2's and FrameExit's lists number" in texts(check(spec_of("activitynet"), tmp_path))


def test_the_warning_of_a_random_split_is_in_the_report(tmp_path: Path) -> None:
    report = check(spec_of("rlvs"), put_rlvs(tmp_path))
    assert "cut from the same source videos" in texts(report)
    assert report.passed


@pytest.mark.slow
def test_two_hundred_thousand_rows(tmp_path: Path) -> None:
    folders = [f"c{number}" for number in range(400)]
    for folder in folders:
        (tmp_path / "videos" / folder).mkdir(parents=True)
    names = [f"{folders[n % 400]}/clip{n}" for n in range(200_000)]
    for name in names:
        (tmp_path / "videos" / f"{name}.mp4").touch()
    put_text(
        tmp_path / "train.txt", *(f"{name} {n % 300 + 1} {n % 400}" for n, name in enumerate(names[:190_000]))
    )
    put_text(tmp_path / "val.txt", *(f"{name} 30 {n % 400}" for n, name in enumerate(names[190_000:])))
    start = time.process_time()
    spec = spec_of("folder")
    table = load_videos(spec, tmp_path, ListOptions(format="frame-list"))
    report = check_videos(table, tmp_path, spec=spec)
    assert time.process_time() - start < 30  # about 8 s are measured
    assert (report.missing.count, report.splits["train"].clips, report.splits["train"].files) == (
        0,
        190_000,
        190_000,
    )
