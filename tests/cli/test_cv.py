"""``neurofocus cv``: options reach the run, results reach standard output, errors are one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from neurofocus.workflows import cross_validate as workflow
from neurofocus.workflows.cohort.combined import CohortData
from neurofocus.workflows.cross_validate import CrossValidationResult

Command = Callable[..., int]
Shown = pytest.CaptureFixture[str]


@pytest.fixture
def cv(command: Command, tiny_cohort: Path, tiny_config: Path) -> Command:
    return lambda *more: command("cv", "--cohort", tiny_cohort, "--config", tiny_config, *more)


def test_a_person_reads(cv: Command, capsys: Shown, tiny_run: Path, tmp_path: Path) -> None:
    out = shutil.copytree(tiny_run, tmp_path / "run")
    assert cv("--out", out, "--device", "cpu") == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0] == "SYNTHETIC cohort: these numbers say nothing about patients."
    metrics = json.loads((tiny_run / "metrics.json").read_text(encoding="utf-8"))
    value = metrics["pooled"]["balanced_accuracy"]
    assert (
        f"balanced_accuracy  {value['value']:.3f}  (95 % interval {value['low']:.3f} to {value['high']:.3f})"
        in lines
    )
    assert "baseline           always CN: accuracy 0.500, balanced accuracy 0.500" in lines
    assert any(line.startswith("Bayes ceiling      ROC-AUC ") for line in lines)
    assert f"report             {out / 'report.html'}" in lines
    assert f"bundle             {out / 'bundle'}" in lines
    assert "Traceback" not in shown.err


def test_json(cv: Command, capsys: Shown, tiny_run: Path, tmp_path: Path) -> None:
    out = shutil.copytree(tiny_run, tmp_path / "run")
    assert cv("--out", out, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["out"] == str(out)
    assert document["complete"] is True
    assert document["metrics"] == json.loads((tiny_run / "metrics.json").read_text(encoding="utf-8"))


def test_one_fold(cv: Command, capsys: Shown, tmp_path: Path) -> None:
    assert cv("--out", tmp_path / "run", "--fold", 1, "--folds", 3, "--seed", 4) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{tmp_path / 'run'}: still to be run: fold 2, 3 (of 3 in all)\n"
    assert "fold 1  epoch 1/2  loss " in shown.err
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["config"]["data"]["folds"] == 3
    assert record["config"]["seed"] == 4
    assert cv("--out", tmp_path / "run", "--fold", 1, "--folds", 3, "--seed", 4, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"out": str(tmp_path / "run"), "complete": False, "metrics": None}


def test_options_reach_the_run(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Shown
) -> None:
    seen: list[tuple[tuple[object, ...], dict[str, object]]] = []

    def note(*arguments: object, **options: object) -> CrossValidationResult:
        seen.append((arguments, options))
        return CrossValidationResult(tmp_path, complete=False, metrics=None, message="noted")

    monkeypatch.setattr(workflow, "cross_validate", note)
    arguments = [
        "--cohort",
        "demo-null",
        "--data",
        tmp_path,
        "--links",
        tmp_path / "links.tsv",
        "--out",
        tmp_path / "o",
        "--fold",
        "2",
        "--fresh",
    ]
    more = ["--device", "cuda:1", "--set", "train.epochs=7", "--set", "data.folds=9", "--folds", "4"]
    assert command("cv", *arguments, *more) == 0
    ((config,), options) = seen[0]
    assert config.cohort == "demo-null"  # type: ignore[attr-defined]
    assert config.train.epochs == 7  # type: ignore[attr-defined]
    assert config.data.folds == 4  # type: ignore[attr-defined]
    assert options == {
        "data": CohortData((tmp_path,), tmp_path / "links.tsv"),
        "out": tmp_path / "o",
        "fold": 2,
        "fresh": True,
        "device": "cuda:1",
    }
    assert capsys.readouterr().out == f"{tmp_path}: noted\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cohort", "dmo"], "did you mean 'demo'?"),
        (["--cohort", "demo", "--config", "dem"], "did you mean 'demo'?"),
        (["--cohort", "demo", "--set", "train.epoch=3"], "did you mean 'epochs'?"),
        (["--cohort", "demo", "--folds", "1"], "data.folds: input should be greater than or equal to 2"),
        (["--cohort", "demo", "--fold", "6"], "--fold 6: accepted are 1 to 5"),
        (["--cohort", "demo", "--folds", "x"], "Invalid value for '--folds'"),
        (["--cohort", "demo", "--device", "tpu"], "--device 'tpu': accepted are auto, cpu"),
        (["--cohort", "demo", "--data", "absent"], "--data absent: no such folder"),
        (["--cohort", "bids"], "no data folder; give it with --data DIR"),
        (["--cohort", "demo", "--config", "activitynet"], "MRI slices have 1 channel"),
    ],
)
def test_mistakes_are_one_line(
    command: Command,
    capsys: Shown,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("cv", *arguments) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert shown.err.startswith("neurofocus: error: ")
    assert shown.err.count("\n") == 1
    assert not shown.out
    assert not list(tmp_path.iterdir())


def test_a_changed_configuration(cv: Command, capsys: Shown, tiny_run: Path, tmp_path: Path) -> None:
    out = shutil.copytree(tiny_run, tmp_path / "run")
    assert cv("--out", out, "--set", "train.epochs=9") == 2
    shown = capsys.readouterr()
    assert "train.epochs was 2, now 9" in shown.err
    assert shown.err.count("\n") == 1
