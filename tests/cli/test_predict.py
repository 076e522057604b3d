"""``neurofocus predict``: what it prints, where, and with which exit code."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from neurofocus.workflows import runtime as workflow

Command = Callable[..., int]
Shown = pytest.CaptureFixture[str]


@pytest.fixture
def scan(tiny_scan: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_scan, tmp_path / "a_space-MNI152_T1w.nii.gz"))


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.nii.gz"
    path.write_bytes(b"")
    return path


def test_a_person_reads(
    command: Command, capsys: Shown, scan: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    assert command("predict", scan, "--model", tiny_bundle, "--out", tmp_path / "out", "--device", "cpu") == 0
    shown = capsys.readouterr()
    assert not shown.err
    lines = shown.out.splitlines()
    assert lines[0].startswith("a_space-MNI152_T1w: ")
    assert any("SYNTHETIC" in line for line in lines)
    for path in (tmp_path / "out").iterdir():
        assert str(path) in shown.out
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_a_bad_scan_does_not_stop_the_others(
    command: Command, capsys: Shown, scan: Path, bad: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    absent = tmp_path / "absent.nii"
    code = command("predict", bad, scan, absent, "--model", tiny_bundle, "--out", tmp_path / "out", "--json")
    assert code == 2
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        "neurofocus: error: bad.nii.gz: an empty file; copy it again",
        "neurofocus: error: absent.nii: no such file; check the path",
    ]
    (document,) = json.loads(shown.out)
    assert document["scan"] == scan.name
    written = json.loads(
        (tmp_path / "out" / "a_space-MNI152_T1w_prediction.json").read_text(encoding="utf-8")
    )
    assert document == {"scan": scan.name} | written
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_json_is_all_that_standard_output_holds(
    command: Command, capsys: Shown, scan: Path, tiny_scan: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert command("predict", scan, tiny_scan, "--model", tiny_bundle, "--out", out, "--json") == 0
    shown = capsys.readouterr()
    documents = json.loads(shown.out)
    assert [document["scan"] for document in documents] == [scan.name, tiny_scan.name]
    assert documents[0]["probabilities"] == documents[1]["probabilities"]
    assert all(document["synthetic"] for document in documents)


def test_an_error_after_reading_does_not_stop_the_others(
    command: Command, capsys: Shown, scan: Path, tiny_scan: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    outside = Path(shutil.copy(tiny_scan, tmp_path / "far_space-MNI152_T1w.nii.gz"))
    import nibabel as nib

    image = nib.load(outside)
    affine = image.affine.copy()
    affine[:3, 3] += 1000
    nib.Nifti1Image(image.get_fdata(), affine).to_filename(outside)
    out = tmp_path / "out"
    assert command("predict", outside, scan, "--model", tiny_bundle, "--out", out) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("neurofocus: error: far_space-MNI152_T1w: only 0 pixels")
    assert shown.err.count("\n") == 1
    assert len(list(out.iterdir())) == 4


def test_nothing_good(command: Command, capsys: Shown, bad: Path, tmp_path: Path) -> None:
    assert command("predict", bad, "--out", tmp_path / "out", "--json") == 2
    assert json.loads(capsys.readouterr().out) == []
    assert not (tmp_path / "out").exists()


def test_scans_with_the_same_results_are_refused(
    command: Command, capsys: Shown, tiny_scan: Path, tmp_path: Path
) -> None:
    names = [tmp_path / "1" / "T1.nii.gz", tmp_path / "2" / "T1.mgz"]
    assert command("predict", *names, "--out", tmp_path / "out") == 2
    shown = capsys.readouterr()
    assert f"{names[1]}: would write the same files (T1_…) as {names[0]}; predict them apart" in shown.err
    assert shown.err.count("\n") == 1
    assert command("predict", tiny_scan, tiny_scan) == 2
    assert "would write the same files" in capsys.readouterr().err


def test_no_default_bundle(
    command: Command, capsys: Shown, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "default_bundle", lambda: tmp_path / "bundles" / "demo")
    assert command("predict", scan, "--out", tmp_path / "out") == 2
    shown = capsys.readouterr()
    assert "not a bundle (no readable bundle.json)" in shown.err
    assert shown.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_damaged_bundle(
    command: Command, capsys: Shown, scan: Path, tiny_scan: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    data = bytearray((bundle / "fold-2.safetensors").read_bytes())
    data[-1] ^= 1
    (bundle / "fold-2.safetensors").write_bytes(bytes(data))
    assert command("predict", scan, tiny_scan, "--model", bundle, "--out", tmp_path / "out") == 2
    shown = capsys.readouterr()
    assert "fold-2.safetensors: damaged" in shown.err
    assert shown.err.count("\n") == 1  # said once, not once a scan
    assert not (tmp_path / "out").exists()


def test_a_budget_that_cannot_be_kept_is_told_once(
    command: Command, capsys: Shown, scan: Path, tiny_scan: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for budget, words in (("1e-9", "below the cheapest exit"), ("nan", "not a number of GFLOPs")):
        assert (
            command("predict", scan, tiny_scan, "--model", tiny_bundle, "--budget", budget, "--out", out) == 2
        )
        shown = capsys.readouterr()
        assert f"--budget {budget.replace('1e-9', '1e-09')}: {words}" in shown.err
        assert shown.err.count("\n") == 1
        assert not out.exists()


def test_an_unknown_device(command: Command, capsys: Shown, scan: Path, tiny_bundle: Path) -> None:
    assert command("predict", scan, "--model", tiny_bundle, "--device", "gpu") == 2
    assert "--device 'gpu': accepted are auto, cpu, cuda and cuda:N" in capsys.readouterr().err


def test_usage(command: Command, capsys: Shown) -> None:
    assert command("predict") == 2
    assert capsys.readouterr().err.count("\n") == 1


_SCRIPT = """
import sys
from importlib.metadata import entry_points
(point,) = entry_points(group="console_scripts", name="neurofocus")
code = point.load()(["predict", *sys.argv[1:]])
print(code, "torch" in sys.modules, "monai" in sys.modules, "nilearn" in sys.modules)
"""


def test_bad_scans_are_answered_without_loading_the_network(bad: Path, tmp_path: Path) -> None:
    arguments = [str(bad), str(tmp_path / "absent.nii.gz"), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *arguments], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "2 False False False\n"
    assert done.stderr.count("\n") == 2
