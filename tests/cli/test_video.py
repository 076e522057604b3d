"""``neurofocus video``: what it prints, where, and with which exit code."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from data.video.clips import write_video
from ingest.video.deliveries import put_text
from workflows.video.tiny_video import RELEASED as NARROW
from workflows.video.tiny_video import SMALL, put_clips_by_class

from neurofocus.model.build import build_model
from neurofocus.model.checkpoints import to_released
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.resources import list_resources
from neurofocus.schema.load import load_run_config
from neurofocus.tables import read_tsv

Command = Callable[..., int]
Shown = pytest.CaptureFixture[str]

RELEASED = ("model.num_classes=2", *NARROW)
SETTINGS = [word for change in SMALL for word in ("--set", change)]
CPU = ("--device", "cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return put_clips_by_class(tmp_path_factory.mktemp("videos") / "clips")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released-style file of the settings in ``RELEASED``."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(load_run_config("activitynet", RELEASED).model)
    assert isinstance(model, UniAdaFocus)
    path = tmp_path_factory.mktemp("released") / "model.pth.tar"
    torch.save({"state_dict": {f"module.{name}": value for name, value in to_released(model).items()}}, path)
    return path


@pytest.fixture
def model(checkpoint: Path) -> list[object]:
    changes = [word for change in RELEASED for word in ("--set", change)]
    return ["--model", checkpoint, "--config", "activitynet", *changes, *CPU]


def one_line(shown: Shown) -> str:
    """Return the one error line, with nothing on standard output."""
    captured = shown.readouterr()
    assert not captured.out
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("neurofocus: error: ")
    return captured.err


def test_list(command: Command, capsys: Shown) -> None:
    assert command("video", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list_resources("videos")
    assert "activitynet      200 classes  map   ActivityNet v1.3" in lines
    assert "folder           any classes  top1  A folder of labelled clips" in lines


def test_check(command: Command, capsys: Shown, root: Path) -> None:
    assert command("video", "check", "--dataset", "folder", "--data", root) == 0
    shown = capsys.readouterr()
    assert not shown.err
    assert shown.out.splitlines()[-1] == "passed"
    assert command("video", "check", "--dataset", "folder", "--data", root, "--limit", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["opened"] == 3


def test_a_check_that_is_not_passed(command: Command, capsys: Shown, tmp_path: Path) -> None:
    root = put_clips_by_class(tmp_path)
    (root / "val/dog/1.mp4").write_bytes(b"")
    assert command("video", "check", "--dataset", "folder", "--data", root) == 2
    shown = capsys.readouterr()
    assert not shown.err
    assert shown.out.splitlines()[-1] == "not passed"
    assert command("video", "check", "--dataset", "folder", "--data", root, "--json") == 2
    assert json.loads(capsys.readouterr().out)["unreadable"]["count"] == 1


def test_train_evaluate_and_predict(command: Command, capsys: Shown, root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    given = ("--dataset", "folder", "--data", root)
    assert command("video", "train", *given, *SETTINGS, "--seed", "3", "--out", run, *CPU) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0] == "folder, test split: 2 videos"
    assert lines[1].startswith("top1 ")
    assert "class shares 0.5000" in lines[1]
    for name in ("predictions.tsv", "metrics.json", "curve.csv", "curve.png", "bundle"):
        assert any(line.endswith(str(run / name)) for line in lines)
    assert "folder (folders): 2 classes, 6 clips to train on, 4 clips choose the epoch" in shown.err
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["config"]["seed"] == 3

    assert command("video", "train", *given, *SETTINGS, "--seed", "3", "--out", run, *CPU, "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again.pop("out") == str(run)
    assert again == json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert command("video", "train", *given, *SETTINGS, "--out", run, *CPU) == 2
    assert "seed was 3, now 0" in capsys.readouterr().err
    more = (*SETTINGS, "--set", "train.epochs=1")
    assert command("video", "train", *given, *more, "--out", run, *CPU, "--fresh") == 0
    assert len(read_tsv(run / "history.tsv")) == 1
    capsys.readouterr()

    model = ("--model", run / "bundle", *CPU)
    out = ("--out", tmp_path / "scores", "--split", "validation", "--crops", "3", "--map", "official")
    assert command("video", "evaluate", *given, *model, *out) == 0
    assert "3 crops" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "scores/metrics.json").read_text(encoding="utf-8"))
    assert set(metrics["pooled"]) == {"top1", "map_official"}
    assert (metrics["crops"], metrics["n_videos"]) == (3, 4)
    exclude = put_text(tmp_path / "exclude", "val/cat/1")
    assert command("video", "evaluate", *given, *model, *out, "--exclude", exclude, "--json") == 0
    assert json.loads(capsys.readouterr().out)["left_out"]["validation"] == 1

    assert command("video", "predict", root / "test/cat/1.mp4", *model, "--out", tmp_path / "seen") == 0
    assert "1: " in capsys.readouterr().out
    assert len(list((tmp_path / "seen").iterdir())) == 3
    wrong = ("--config", "activitynet")
    assert command("video", "predict", root / "test/cat/1.mp4", *model, *wrong) == 2
    assert "a bundle holds its configuration" in one_line(capsys)


def test_predict_with_a_checkpoint(
    command: Command, capsys: Shown, model: list[object], tmp_path: Path
) -> None:
    clip, bad = write_video(tmp_path / "clip.mp4"), tmp_path / "bad.mp4"
    bad.write_bytes(b"")
    classes = put_text(tmp_path / "classInd.txt", "jump", "run")
    arguments = ("--classes", classes, "--out", tmp_path / "out", "--top", "1")
    assert command("video", "predict", bad, clip, *model, *arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.splitlines()[-1].startswith(f"neurofocus: error: {bad}: an empty file")
    assert "clip: " in shown.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "clip_prediction.json",
        "clip_focus.mp4",
        "clip_focus.png",
    }
    assert command("video", "predict", clip, *model, *arguments, "--json") == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document["top"][0]["class"] in ("jump", "run")
    assert len(document["top"]) == 1


def test_a_folder_of_clips_is_not_a_clip(
    command: Command, capsys: Shown, model: list[object], root: Path, tmp_path: Path
) -> None:
    assert command("video", "predict", root / "test/cat", *model, "--out", tmp_path) == 2
    assert f"if these are clips, give them instead: {root / 'test/cat'}/*" in one_line(capsys)


def test_a_patch_larger_than_the_frame(command: Command, capsys: Shown, root: Path, tmp_path: Path) -> None:
    given = ("--dataset", "folder", "--data", root, "--out", tmp_path, *SETTINGS, *CPU)
    assert command("video", "train", *given, "--set", "model.patch_size=64") == 2
    assert "patch_size 64 exceeds frame_size 32" in one_line(capsys)


@pytest.mark.parametrize("name", ["evaluate", "predict"])
def test_an_output_folder_is_refused_before_anything_is_computed(
    command: Command, capsys: Shown, root: Path, tmp_path: Path, name: str
) -> None:
    out = put_text(tmp_path / "file", "x") / "out"
    what = ("--dataset", "folder", "--data", root) if name == "evaluate" else (root / "test/cat/1.mp4",)
    assert command("video", name, *what, "--model", "absent", "--out", out) == 2
    assert f"{out}: a file is where a folder is needed" in one_line(capsys)


def test_the_results_of_a_training_are_not_overwritten(
    command: Command, capsys: Shown, root: Path, tmp_path: Path
) -> None:
    put_text(tmp_path / "run.json", "{}")
    what = ("--dataset", "folder", "--data", root, "--model", tmp_path, "--out", tmp_path)
    assert command("video", "evaluate", *what) == 2
    assert "holds a training and its results, which would be overwritten; choose another" in one_line(capsys)


def test_budgets(command: Command, capsys: Shown, root: Path, model: list[object], tmp_path: Path) -> None:
    """A checkpoint has no thresholds: they are solved on one split, kept in a file, and used on another and on clips."""
    clips, clip = ("--dataset", "folder", "--data", root), root / "test/cat/1.mp4"
    out, within = ("--out", tmp_path / "scores"), ("--out", tmp_path / "within", "--budget", "9")
    assert command("video", "evaluate", *clips, *model, *within) == 2
    assert "--budget: model.pth.tar holds no exit thresholds; 'video evaluate --solve-exits" in last_line(
        capsys
    )
    assert command("video", "evaluate", *clips, *model, *out, "--solve-exits", "validation") == 0
    exits = ("--exits", tmp_path / "scores/exits.json")
    assert f"exits              {exits[1]}" in capsys.readouterr().out
    assert command("video", "evaluate", *clips, *model, *within, *exits, "--time") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "budget             9 GFLOPs a video" in lines
    assert any(line.startswith("expected ") and "(4 clips of the validation split)" in line for line in lines)
    assert "stopped at step    2 0.0 %, 4 100.0 %" in lines
    assert any(line.startswith("seconds a video") and "batch 2, cpu" in line for line in lines)
    names = {path.name for path in (tmp_path / "within").iterdir()}
    assert names == {"budget_predictions.tsv", "budget_metrics.json"}
    assert command("video", "predict", clip, *model, *within, *exits, "--json") == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert (document["exits"]["exit_step"], document["exits"]["budget"]) == (4, 9)
    two = (clip, root / "val/dog/2.mp4")
    assert command("video", "predict", *two, *model, *exits, "--out", tmp_path, "--budget", "0") == 2
    assert "--budget 0: below the cheapest exit; give" in one_line(capsys)


def last_line(shown: Shown) -> str:
    return shown.readouterr().err.splitlines()[-1]


def test_clips_that_would_overwrite_each_other(
    command: Command, capsys: Shown, model: list[object], tmp_path: Path
) -> None:
    assert command("video", "predict", tmp_path / "a/x.mp4", tmp_path / "b/x.avi", *model) == 2
    assert "another clip would write the same files (x_...)" in one_line(capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "--dataset", "folder"), "--dataset folder: needs --data DIR"),
        (("check", "--dataset", "foldr", "--data", "."), "'foldr' is not shipped; did you mean 'folder'"),
        (("check", "--dataset", "folder", "--data", "absent"), "--data absent: not a folder"),
        (("train", "--dataset", "folder", "--data", "absent"), "--data absent: not a folder"),
        (
            ("check", "--dataset", "folder", "--data", ".", "--format", "csv"),
            "--format 'csv': accepted are frame-list,",
        ),
        (
            ("check", "--dataset", "folder", "--data", ".", "--class-order", "abc"),
            "--class-order 'abc': accepted are sorted, file",
        ),
        (
            ("check", "--dataset", "folder", "--data", ".", "--list", "val=x"),
            "write it as ROLE=FILE with a role of",
        ),
        (
            ("check", "--dataset", "folder", "--data", ".", "--list", "train=a=b", "--list", "train=c"),
            "train is given twice (a=b)",
        ),
        (("check", "--dataset", "folder", "--data", ".", "--list", "train=absent"), "no such file"),
        (("train", "--dataset", "folder", "--data", ".", "--config", "nothing"), "'nothing' is not shipped"),
        (("train", "--dataset", "folder", "--data", ".", "--set", "model.depth=3"), "model.depth"),
        (
            ("evaluate", "--dataset", "folder", "--data", ".", "--crops", "2"),
            "--crops 2: accepted are 1 and 3",
        ),
        (
            ("evaluate", "--dataset", "folder", "--data", ".", "--map", "voc"),
            "--map 'voc': accepted is official",
        ),
        (("evaluate", "--dataset", "folder", "--data", "."), "--model absent: no such file or folder"),
        (
            ("evaluate", "--dataset", "folder", "--data", ".", "--set", "seed=1"),
            "--set seed=1: goes with --config and a checkpoint",
        ),
        (("predict", "clip.mp4"), "--model absent: no such file or folder"),
        (("predict", "clip.mp4", "--budget", "ten"), "Invalid value for '--budget'"),
        (("predict", "clip.mp4", "--set", "seed=1"), "--set seed=1: goes with --config and a checkpoint"),
        (("predict", "clip.mp4", "--device", "gpu"), "--device 'gpu': accepted are auto"),
        (("predict",), "Missing argument"),
        (("train",), "Missing option '--dataset'"),
        (("chek",), "No such command 'chek'"),
    ],
)
def test_errors_are_one_line(
    command: Command,
    capsys: Shown,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    out = ("--model", "absent", "--out", "out") if arguments[0] in ("evaluate", "predict") else ()
    assert command("video", *arguments, *out) == 2
    assert message in one_line(capsys)
    assert not list(tmp_path.iterdir())


def test_an_option_reaches_the_lists(command: Command, capsys: Shown, root: Path, tmp_path: Path) -> None:
    train = put_text(tmp_path / "mine.txt", "train/cat/1.mp4 0", "train/dog/1.mp4 1")
    val = put_text(tmp_path / "other.txt", "val/cat/1.mp4 0", "val/dog/1.mp4 1")
    lists = ("--list", f"train={train}", "--list", f"validation={val}", "--format", "video-list")
    assert command("video", "check", "--dataset", "folder", "--data", root, *lists, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["source"]["format"] == "video-list"
    assert {name: counts["clips"] for name, counts in report["splits"].items()} == {
        "train": 2,
        "validation": 2,
    }
    names = put_text(tmp_path / "names.txt", "dog", "cat")
    order = ("--list", f"names={names}", "--class-order", "file")
    assert command("video", "check", "--dataset", "folder", "--data", root, *lists, *order, "--json") == 0
    assert json.loads(capsys.readouterr().out)["classes"] == ["dog", "cat"]


def test_the_group_alone_shows_its_help(command: Command, capsys: Shown) -> None:
    assert command("video") == 2
    shown = capsys.readouterr()
    for name in ("list", "check", "train", "evaluate", "predict"):
        assert name in shown.err + shown.out
