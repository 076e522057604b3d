"""Class names: files in every form, indices by a stated rule, and conflicts of order with a checkpoint."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest.video.deliveries import put_clips, put_kinetics, put_something_v1, put_text, put_tsm

from neurofocus.errors import VideoError
from neurofocus.ingest.video.class_names import read_class_file
from neurofocus.ingest.video.class_order import class_order_conflict
from neurofocus.ingest.video.listing import ListOptions
from neurofocus.ingest.video.load import load_videos
from neurofocus.ingest.video.table import VideoTable
from neurofocus.schema.load import load_video_spec


def load(name: str, root: Path, **options: Any) -> VideoTable:
    return load_videos(load_video_spec(name), root, ListOptions(**options))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classInd.txt", "run\njump high\ncrawl\n"),
        ("classInd.txt", "\ufeffrun\r\njump high\r\n\r\ncrawl  \r\n"),
        ("classInd.txt", "1 run\n2 jump high\n3 crawl\n"),
        ("classInd.txt", "0 run\n1 jump high\n2 crawl\n"),
        ("classInd.txt", "jump high 1\nrun 0\ncrawl 2\n"),
        ("labels.csv", "id,name\n0,run\n1,jump high\n2,crawl\n"),
        ("labels.csv", "name;id\njump high;1\nrun;0\ncrawl;2\n"),
        ("names.csv", '"run"\n"jump high"\n"crawl"\n'),
        ("names.json", '["run", "jump high", "crawl"]'),
        ("names.json", '{"jump high": 1, "crawl": 2, "run": 0}'),
        ("names.json", '{"jump high": "1", "crawl": "2", "run": "0"}'),
        ("names.json", '{"1": "jump high", "2": "crawl", "0": "run"}'),
        ("names.json", '{"\\"jump high\\"": 1, "run": 0, "crawl": 2}'),
        ("vocab.json", '[["run"], ["jump", "high"], ["crawl"]]'),
    ],
)
def test_class_files(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert read_class_file(tmp_path / name) == ("run", "jump high", "crawl")


def test_numbers_in_names_are_not_indices(tmp_path: Path) -> None:
    put_text(tmp_path / "names.txt", "2 fingers", "1 finger", "thumb")
    assert read_class_file(tmp_path / "names.txt") == ("2 fingers", "1 finger", "thumb")
    for names in (("swipe 2", "swipe 4"), ("swipe 0", "swipe 1"), ("1 swipe", "2 swipe")):
        put_text(tmp_path / "names.txt", *names)
        assert read_class_file(tmp_path / "names.txt") == names


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "run\njump\nrun\n", "the class 'run' stands twice"),
        ("a.json", '{"0": "run", "1": "run"}', "indices from 0 without gaps"),
        ("a.json", '{"run": 0, "jump": 2}', "indices from 0 without gaps"),
        ("a.json", '{"run": 0, "jump": 0}', "indices from 0 without gaps"),
        ("a.json", "3", "no class names"),
        ("a.json", "{}", "no class names"),
        ("a.json", '["run", ""]', "a class has an empty name"),
    ],
)
def test_class_files_that_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(VideoError, match=message):
        read_class_file(tmp_path / name)


def test_numbers_without_a_class_file_have_no_names(tmp_path: Path) -> None:
    put_text(tmp_path / "actnet_train_split.txt", "v_a,300,33")
    table = load("activitynet", tmp_path)
    assert (table.classes, table.num_classes) == ((), 200)
    with pytest.raises(VideoError) as caught:
        table.require_classes("loading a released checkpoint")
    assert "loading a released checkpoint needs class names, but labels are numbers and no file says" in str(
        caught.value
    )
    assert "mmaction2's and FrameExit's lists number the classes in two different orders" in str(caught.value)


def test_numbers_with_an_unsorted_list_of_names_need_the_order(tmp_path: Path) -> None:
    """TSM numbers sorted names, mmaction2 the file's lines: the same list file means other classes."""
    put_tsm(tmp_path)
    (tmp_path / "category.txt").unlink()
    names = [f"Doing thing {letter}" for letter in "fabcde"]
    put_text(tmp_path / "something-something-v1-labels.csv", *names)
    table = load("sthv1", tmp_path)
    assert table.classes == ()
    assert "names stay unknown until you set --class-order" in table.warnings[0]
    with pytest.raises(VideoError, match="is not sorted"):
        table.require_classes("a checkpoint")
    assert load("sthv1", tmp_path, order="sorted").classes == tuple(sorted(names))
    assert load("sthv1", tmp_path, order="file").classes == tuple(names)


def test_a_label_that_is_no_class(tmp_path: Path) -> None:
    put_something_v1(tmp_path)
    put_text(tmp_path / "something-something-v1-train.csv", "1;Swiping Left", "2;Swiping Lefft")
    with pytest.raises(
        VideoError, match=r"train.csv: line 2: label 'Swiping Lefft' is none of the 3 classes"
    ):
        load("sthv1", tmp_path)


def test_labels_may_differ_in_brackets_and_underscores_from_the_names(tmp_path: Path) -> None:
    put_kinetics(tmp_path)
    put_text(
        tmp_path / "kinetics_400_labels.csv",
        "id,name",
        "0,testifying",
        "1,petting_animal_(not_cat)",
        "2,air drumming",
    )
    table = load("kinetics400", tmp_path, order="file")
    assert table.clips["labels"].tolist() == [(0,), (1,), (2,), ()]


def test_names_that_only_differ_in_brackets_are_not_confused(tmp_path: Path) -> None:
    put_text(tmp_path / "classes.txt", "a (b)", "a b")
    put_text(tmp_path / "train.csv", "x.mp4,a b", "y.mp4,a (b)")
    assert load("folder", tmp_path).clips["labels"].tolist() == [(1,), (0,)]
    put_text(tmp_path / "train.csv", "x.mp4,A B", "y.mp4,a (b)")
    with pytest.raises(VideoError, match="'A B' is none of the 2 classes"):
        load("folder", tmp_path)


def test_a_class_folder_in_another_spelling(tmp_path: Path) -> None:
    put_kinetics(tmp_path)
    (tmp_path / "train" / "testifying").rename(tmp_path / "train" / "Testifying")
    put_clips(tmp_path / "train", ["other.mp4"])
    assert load("kinetics400", tmp_path).clips["path"].iloc[0].startswith("train/Testifying/")


def test_equal_orders_do_not_conflict() -> None:
    assert class_order_conflict(["a", "b"], ["a", "b"]) is None
    assert class_order_conflict(["Moving [something] up", "b_c"], ["moving something up", "b c"]) is None


def test_sorted_against_file_order() -> None:
    file = ["Swiping Left", "Swiping Down", "Drumming Fingers"]
    conflict = class_order_conflict(sorted(file), file)
    assert conflict is not None and conflict.kind == "order"
    assert conflict.permutation == (2, 1, 0)
    assert (
        "2 of 3 classes have another index (first: 'Swiping Left' is 0 in the data, 2 in the checkpoint)"
        in conflict.text
    )
    assert "read the data with --class-order sorted" in conflict.text
    other = class_order_conflict(file, sorted(file))
    assert other is not None and "as mmaction2 keeps the file's" in other.text


def test_activitynet_permutations() -> None:
    conflict = class_order_conflict(["c", "a", "b", "d"], ["b", "c", "a", "d"])
    assert conflict is not None
    assert (conflict.kind, conflict.permutation) == ("order", (2, 0, 1, 3))
    assert "mmaction2's and FrameExit's lists of ActivityNet" in conflict.text


@pytest.mark.parametrize(
    ("checkpoint", "data", "kind", "words"),
    [
        (
            ["a", "b"],
            ["a", "c"],
            "names",
            "1 of 2 class names are shared; only in the data: 'c'; only in the checkpoint: 'b'",
        ),
        (["a", "b", "c"], ["a", "b"], "number", "the checkpoint has 3 classes, the data 2"),
        (["a", "b"], [], "unknown", "the data's class names are unknown"),
        ([], ["a"], "unknown", "the checkpoint's class names are unknown"),
        (["a", "a"], ["a", "A"], None, ""),
        (["b", "a", "a"], ["a", "a", "b"], "names", "a class name stands twice"),
    ],
)
def test_other_conflicts(checkpoint: list[str], data: list[str], kind: str | None, words: str) -> None:
    conflict = class_order_conflict(checkpoint, data)
    assert (conflict and conflict.kind) == kind
    assert conflict is None or words in conflict.text


@given(st.permutations([f"class {number}" for number in range(12)]))
def test_the_permutation_puts_logits_into_the_order_of_the_data(checkpoint: list[str]) -> None:
    data = sorted(checkpoint, key=lambda name: int(name.split()[1]))
    conflict = class_order_conflict(checkpoint, data)
    if conflict is None:
        assert checkpoint == data
        return
    assert conflict.permutation is not None
    logits = np.arange(12.0)[None] * 10  # of checkpoint index i: 10 i
    moved = logits[:, conflict.permutation]
    assert [moved[0, place] for place in range(12)] == [10.0 * checkpoint.index(name) for name in data]


def test_sorted_names_of_a_part_of_the_classes_are_warned_of(tmp_path: Path) -> None:
    table = load("kinetics400", put_kinetics(tmp_path))
    assert any("sorted names give other indices than with all classes" in text for text in table.warnings)
    names = ["air drumming", "petting animal (not cat)", "testifying", *(f"class {n}" for n in range(397))]
    (tmp_path / "kinetics_classnames.json").write_text(
        json.dumps({f'"{name}"': n for n, name in enumerate(sorted(names))})
    )
    whole = load("kinetics400", tmp_path)
    assert whole.warnings == ()
    assert whole.clips["labels"].iloc[0] == (sorted(names).index("testifying"),)
