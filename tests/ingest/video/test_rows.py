"""Lines of list files as people have them: separators, ends, marks, headers, names; and which list they are."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest.video.deliveries import put_text

from neurofocus.errors import VideoError
from neurofocus.ingest.video.listing import ListOptions
from neurofocus.ingest.video.load import load_videos
from neurofocus.ingest.video.rows import fields_of, read_rows
from neurofocus.ingest.video.table import VideoTable
from neurofocus.schema.load import load_video_spec


def load(root: Path, *, spec: dict[str, Any] | None = None, **options: Any) -> VideoTable:
    return load_videos(load_video_spec("folder").model_copy(update=spec or {}), root, ListOptions(**options))


def clips(table: VideoTable) -> list[tuple[object, ...]]:
    return list(
        table.clips[["clip_id", "num_frames", "labels"]].astype(object).itertuples(index=False, name=None)
    )


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r", " \r\n", "\n\n  \n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n \n"])
def test_line_ends_marks_and_blanks(tmp_path: Path, ends: str, start: bytes) -> None:
    put_text(tmp_path / "train.txt", "a 30 1", "b c 40 0", ends=ends, start=start)
    table = load(tmp_path)
    assert clips(table) == [("a", 30, (1,)), ("b c", 40, (0,))]
    assert table.clips["split"].tolist() == ["train", "train"]


def test_utf16_as_windows_shells_write_it(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes("clip ä 30 1\r\nb 40 0\r\n".encode("utf-16"))
    assert clips(load(tmp_path)) == [("clip ä", 30, (1,)), ("b", 40, (0,))]


def test_a_last_line_without_an_end(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(b"a 30 1\nb 40 0")
    assert len(load(tmp_path).clips) == 2


@pytest.mark.parametrize(
    ("separator", "word"), [(";", "semicolon"), (",", "comma"), ("\t", "tab"), (" ", "space")]
)
def test_separators(tmp_path: Path, separator: str, word: str) -> None:
    put_text(
        tmp_path / "train.txt", *(separator.join(line) for line in (("a b", "30", "1"), ("c", "40", "0")))
    )
    for given_separator in (None, separator, word):
        assert clips(load(tmp_path, separator=given_separator)) == [("a b", 30, (1,)), ("c", 40, (0,))]


def test_trailing_separators_and_quotes(tmp_path: Path) -> None:
    put_text(tmp_path / "train.csv", '"a, b.mp4" , 1 ,', "c.mp4,0,")
    assert [row[0] for row in clips(load(tmp_path))] == ["a, b", "c"]


def test_a_path_may_hold_the_separator(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "one, two 30 1", "three,four 40 0")
    assert clips(load(tmp_path)) == [("one, two", 30, (1,)), ("three,four", 40, (0,))]


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("path,label", "x/a.mp4,1"),
        ("Label,Path", "1,x/a.mp4"),
        ("path label", "x/a.mp4 1"),
        ("class;file", "1;x/a.mp4"),
    ],
)
def test_headers(tmp_path: Path, header: str, line: str) -> None:
    put_text(tmp_path / "train.csv", header, line)
    assert clips(load(tmp_path)) == [("x/a", None, (1,))] or load(tmp_path).clips["labels"].tolist() == [(1,)]
    assert load(tmp_path).clips["clip_id"].tolist() == ["x/a"]


def test_a_header_in_another_order_with_frames(tmp_path: Path) -> None:
    put_text(tmp_path / "train.csv", "label,num_frames,path", "1,30,a", "0,40,b")
    assert clips(load(tmp_path)) == [("a", 30, (1,)), ("b", 40, (0,))]


def test_labels_as_names_are_numbered_by_sorted_names(tmp_path: Path) -> None:
    put_text(tmp_path / "train.csv", "a.mp4,run", "b.mp4,jump high")
    put_text(tmp_path / "val.csv", "c.mp4,crawl")
    table = load(tmp_path)
    assert table.classes == ("crawl", "jump high", "run")
    assert table.clips["labels"].tolist() == [(2,), (1,), (0,)]
    assert table.source.class_rule == "names met in the lists, sorted"


def test_numbers_among_names_are_refused(tmp_path: Path) -> None:
    put_text(tmp_path / "train.csv", "a.mp4,run", "b.mp4,3", "c.mp4,jump")
    with pytest.raises(VideoError, match=r"line 2: 'b.mp4,3' is no path followed by a class name"):
        load(tmp_path)


def test_names_among_numbers_are_refused(tmp_path: Path) -> None:
    put_text(tmp_path / "train.csv", *[f"{number}.mp4,0" for number in range(20)], "b.mp4,run")
    with pytest.raises(VideoError, match=r"line 21: 'b.mp4,run' is no path followed by whole numbers"):
        load(tmp_path)


def test_a_line_without_label(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "a.mp4 0", "b.mp4", "c.mp4 1")
    with pytest.raises(VideoError, match=r"train.txt: line 2: 'b.mp4' does not end in a label; a label is"):
        load(tmp_path, format="video-list")


@pytest.mark.parametrize("forced", [{}, {"format": "video-list"}])
@pytest.mark.parametrize("line", ["b.mp4 7 1", "b.mp4 1 1 1 1"])
def test_a_number_too_many_is_no_part_of_the_path(tmp_path: Path, forced: dict[str, str], line: str) -> None:
    put_text(tmp_path / "train.txt", "a.mp4 0", line, "c.mp4 1")
    number = len(line.split()) - 1
    with pytest.raises(
        VideoError, match=rf"line 2: 'b.mp4' is followed by {number} fields, more than PATH LABEL"
    ):
        load(tmp_path, **forced)


def test_a_number_that_may_end_a_path_is_told(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "shot 30 0", "shot 2 40 1", "shot 3 40 0")
    table = load(tmp_path, format="frame-list")
    assert table.clips["path"].tolist() == ["shot", "shot 2", "shot 3"]
    (text,) = (text for text in table.warnings if "more numbers" in text)
    assert text.startswith("2 lines have more numbers than PATH FRAMES LABEL; the first")
    assert text.endswith("train.txt: line 2: 'shot 2')")


@pytest.mark.parametrize("line", ["a.mp4 run", "a.mp4 1.0", "0 a.mp4"])
def test_what_a_label_may_be_is_said_once(tmp_path: Path, line: str) -> None:
    put_text(tmp_path / "train.txt", line, line)
    with pytest.raises(VideoError, match="or a name behind a comma, semicolon or tab") as caught:
        load(tmp_path)
    assert str(caught.value).count("does not end in a label") == 1


def test_test_lists_without_labels(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "a 30 0", "b 30 1")
    put_text(tmp_path / "test.txt", "c 40", "d 50 -1", "e 60 1")
    assert load(tmp_path).clips["labels"].tolist() == [(0,), (1,), (), (), (1,)]
    put_text(tmp_path / "train.txt", "a.mp4 0", "b.mp4 1")
    put_text(tmp_path / "test.txt", "c.mp4", "d.mp4")
    assert load(tmp_path).clips["labels"].tolist() == [(0,), (1,), (), ()]


def test_a_label_for_every_segment_counts_once(tmp_path: Path) -> None:
    """AR-Net's lists of ActivityNet; its readers, AdaFocus's included, keep the distinct labels."""
    put_text(tmp_path / "train.txt", "a,300,0,1", "b,300,1,1,1,1,1", "c,300,0", "d,300,2,1,2")
    table = load(tmp_path, spec={"multi_label": True})
    assert clips(table) == [("a", 300, (0, 1)), ("b", 300, (1,)), ("c", 300, (0,)), ("d", 300, (2, 1))]


def test_a_list_with_a_line_a_frame_is_named(tmp_path: Path) -> None:
    put_text(
        tmp_path / "train.csv", "original_vido_id video_id frame_id path labels", '1 0 0 1/1_000001.jpg ""'
    )
    with pytest.raises(VideoError, match="a list with one line a frame"):
        load(tmp_path)


def test_windows_paths(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "run\\a b.mp4 0", ".\\c.MP4 1")
    assert load(tmp_path).clips["clip_id"].tolist() == ["run/a b", "c"]


@pytest.mark.parametrize(
    ("lines", "spec", "expected"),
    [
        (("a 300 0", "b 300 1 2"), {"multi_label": True}, "frame-list"),
        (("a 0", "b 1 2"), {"multi_label": True}, "video-list"),
        # All lines have two numbers: labels in range and a small first number would also be two labels each.
        (("a 300 0", "b 300 1"), {"multi_label": True, "num_classes": 5}, "frame-list"),
        (("a 0 300 1", "a 300 300 2"), {"multi_label": True, "num_classes": 5}, "frame-list-offset"),
        (("a 0 30 1", "a 30 30 2"), {}, "frame-list-offset"),
        (("a 5 30 1", "b 7 30 2"), {}, "frame-list-offset"),
        # One label a clip, and the numbers vary: a path ends in a number.
        (("a 30 1", "clip 7 30 2"), {}, "frame-list"),
    ],
)
def test_which_list(tmp_path: Path, lines: tuple[str, ...], spec: dict[str, Any], expected: str) -> None:
    put_text(tmp_path / "train.txt", *lines)
    assert load(tmp_path, spec=spec).source.format == expected


def test_paths_that_end_in_numbers(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "a 30 1", "clip 7 30 2")
    assert clips(load(tmp_path)) == [("a", 30, (1,)), ("clip 7", 30, (2,))]
    put_text(tmp_path / "train.txt", "clip 6 30 1", "clip 7 30 2")
    assert clips(load(tmp_path, format="frame-list")) == [("clip 6", 30, (1,)), ("clip 7", 30, (2,))]


def test_two_readings_are_refused_by_name(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "a.mp4 3 1", "b.mp4 2 0")
    with pytest.raises(VideoError) as caught:
        load(tmp_path, spec={"multi_label": True, "num_classes": 5})
    message = str(caught.value)
    for words in (
        "2 formats fit: video-list (train.txt: 2 lines PATH LABEL [LABEL…] divided by spaces",
        "but every clip would have two labels or more",
        "frame-list (train.txt",
        "no frame count reaches 5",
        "say which one (--format NAME)",
    ):
        assert words in message
    table = load(tmp_path, spec={"multi_label": True, "num_classes": 5}, format="frame-list")
    assert clips(table) == [("a", 3, (1,)), ("b", 2, (0,))]


def test_numbers_that_are_no_class_indices(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "a.mp4 20240131", "b.mp4 3")
    with pytest.raises(VideoError, match="the label 20240131 is no class index"):
        load(tmp_path)
    put_text(tmp_path / "train.txt", f"a.mp4 {'9' * 5000}", "b.mp4 3")
    with pytest.raises(VideoError, match=r"line 1: .* does not end in a label"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("folder", "train.csv"),
        ("kinetics400", "train.csv"),
        ("sthv1", "something-something-v1-train.csv"),
        ("sthv2", "something-something-v2-train.json"),
        ("activitynet", "activity_net.v1-3.min.json"),
        ("diving48", "Diving48_V2_train.json"),
    ],
)
@given(data=st.one_of(st.binary(max_size=60), st.text(' ,;\t\n"{}[]:-019abé', max_size=60).map(str.encode)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_rubbish_is_read_or_refused_in_a_line(tmp_path: Path, name: str, file: str, data: bytes) -> None:
    (tmp_path / file).write_bytes(data)
    try:
        table = load_videos(load_video_spec(name), tmp_path)
    except VideoError as error:
        assert "\n" not in str(error)
    else:
        assert len(table.clips)


def test_empty_and_unreadable_lists(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(b"\n\r\n")
    with pytest.raises(VideoError, match=r"train.txt: empty"):
        load(tmp_path)
    (tmp_path / "train.txt").write_bytes(b"a\0b 3 0\n")
    with pytest.raises(VideoError, match=r"train.txt: no text"):
        load(tmp_path)


_PATHS = st.text(st.characters(codec="utf-8", categories=("L",)), min_size=1, max_size=8)


@given(
    path=st.lists(_PATHS, min_size=1, max_size=3).map(" ".join),
    numbers=st.lists(st.integers(0, 10**6), max_size=4),
    separator=st.sampled_from([" ", ",", ";", "\t"]),
)
def test_fields_come_back(path: str, numbers: list[int], separator: str) -> None:
    line = separator.join([path, *map(str, numbers)])
    assert fields_of(line, separator) == [path, *map(str, numbers)]


def test_a_big_list_is_read_in_order(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", *(f"dir {n % 7}/clip{n} {n % 50 + 1} {n % 400}" for n in range(5000)))
    rows = read_rows(tmp_path / "train.txt").rows
    assert [row.numbers for row in rows] == [(n % 50 + 1, n % 400) for n in range(5000)]
    assert rows[-1].path == "dir 1/clip4999"
    assert rows[-1].line == 5000
