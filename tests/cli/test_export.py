"""``neurofocus export`` and ``--runtime``: options that do not fit, what is printed, and the whole way by ONNX."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from data.video.clips import write_video
from workflows.test_export import put_bundle

from neurofocus.inference.graph_files import read_export
from neurofocus.workflows.export import export_onnx

Command = Callable[..., int]
Shown = pytest.CaptureFixture[str]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return put_bundle(tmp_path / "bundle")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_video(path)
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--runtime", "tflite"), "--runtime 'tflite': accepted are torch, onnx, openvino"),
        (("--runtime", "onnx", "--precision", "bf16"), "--precision bf16: goes with --runtime openvino"),
        (("--runtime", "onnx", "--device", "cuda"), "--device cuda: --runtime onnx computes on the CPU"),
        (("--runtime", "onnx", "--config", "activitynet"), "leave out --config"),
    ],
)
def test_runtimes_that_do_not_fit(
    command: Command, capsys: Shown, bundle: Path, clip: Path, options: tuple[str, ...], message: str
) -> None:
    assert command("video", "predict", clip, "--model", bundle, *options) == 2
    assert message in capsys.readouterr().err


def test_formats_that_are_not_there(command: Command, capsys: Shown, bundle: Path, tmp_path: Path) -> None:
    assert command("export", bundle, "--out", tmp_path / "out", "--format", "tflite") == 2
    assert "--format 'tflite': accepted are onnx and monai" in capsys.readouterr().err


def test_checks_that_cannot_be_done(command: Command, capsys: Shown, bundle: Path) -> None:
    assert command("check-export", bundle) == 2
    assert "not an export (no readable export.json); make one with" in capsys.readouterr().err
    assert command("check-export", bundle, "--runtime", "torch") == 2
    assert "--runtime 'torch': accepted are onnx, openvino" in capsys.readouterr().err


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle and its export."""
    root = tmp_path_factory.mktemp("exported")
    export_onnx(put_bundle(root / "bundle"), root / "out", cases=3)
    return root / "bundle", root / "out"


@pytest.mark.slow
def test_the_command(command: Command, capsys: Shown, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "exported"
    assert command("export", bundle, "--out", out, "--cases", 3) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("fold 1: 100.0% of 3 cases with equal frames")
    assert shown[1].startswith("SYNTHETIC")
    assert command("check-export", out) == 0
    assert capsys.readouterr().out.startswith("fold 1: 100.0% of 3 cases with equal frames")


@pytest.mark.slow
@pytest.mark.parametrize("budget", [None, 2, -1])
def test_a_clip_by_every_runtime(
    command: Command,
    capsys: Shown,
    exported: tuple[Path, Path],
    clip: Path,
    tmp_path: Path,
    budget: int | None,
) -> None:
    bundle, out = exported
    rules = read_export(out).bundle.folds[0].exits.rules
    limit = () if budget is None else ("--budget", rules[budget].gflops)
    found = {}
    for runtime, model in (("torch", bundle), ("onnx", out), ("openvino", out)):
        options = ("--runtime", runtime, "--out", tmp_path / runtime, "--device", "cpu", "--json", *limit)
        words = ("video", "predict", clip, "--model", model, *options)
        if runtime == "openvino":  # in one process with ONNX Runtime, workers that are forked later crash
            by_module = [sys.executable, "-m", "neurofocus.cli", *map(str, words)]
            shown = subprocess.run(by_module, capture_output=True, text=True, check=True).stdout
        else:
            assert command(*words) == 0
            shown = capsys.readouterr().out
        (found[runtime],) = json.loads(shown)
        assert (tmp_path / runtime / "clip_focus.mp4").stat().st_size
    expected = found.pop("torch")
    assert ("exits" in expected) == (budget is not None)
    for runtime, document in found.items():
        assert document["model"].pop("runtime") == runtime
        assert document["model"] == expected["model"]
        assert document["gflops"] == expected["gflops"]
        assert document.get("exits") == expected.get("exits")
        assert [row["frame"] for row in document["frames"]] == [row["frame"] for row in expected["frames"]]
        for mine, theirs in zip(document["top"], expected["top"], strict=True):
            assert mine["class"] == theirs["class"]
            assert mine["probability"] == pytest.approx(theirs["probability"], abs=1e-4)
