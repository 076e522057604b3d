"""``neurofocus export`` and ``--runtime``: options that do not fit, what is printed, and the whole way by ONNX."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from data.video.clips import write_video
from workflows.test_export import put_bundle

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


@pytest.mark.slow
def test_a_clip_by_onnx(command: Command, capsys: Shown, bundle: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "exported"
    assert command("export", bundle, "--out", out, "--cases", 3) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("fold 1: 100.0% of 3 cases with equal frames")
    assert shown[1].startswith("SYNTHETIC")
    found = {}
    for runtime, model in (("torch", bundle), ("onnx", out), ("openvino", out)):
        options = ("--runtime", runtime, "--out", tmp_path / runtime, "--device", "cpu", "--json")
        assert command("video", "predict", clip, "--model", model, *options) == 0
        (found[runtime],) = json.loads(capsys.readouterr().out)
        assert (tmp_path / runtime / "clip_focus.mp4").stat().st_size
    for runtime in ("onnx", "openvino"):
        assert [row["frame"] for row in found[runtime]["frames"]] == [
            row["frame"] for row in found["torch"]["frames"]
        ]
        assert found[runtime]["model"]["runtime"] == runtime
        assert [row["class"] for row in found[runtime]["top"]] == [
            row["class"] for row in found["torch"]["top"]
        ]
        for mine, theirs in zip(found[runtime]["top"], found["torch"]["top"], strict=True):
            assert mine["probability"] == pytest.approx(theirs["probability"], abs=1e-4)
