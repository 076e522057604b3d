"""``neurofocus prepare`` as a command: what it prints and where."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., int]


def test_prepare_the_tiny_cohort(
    command: Command,
    tiny_cohort: Path,
    tiny_config: Path,
    tiny_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import shutil

    data = Path(shutil.copytree(tiny_data, tmp_path / "data"))
    scans = sorted(data.glob("sub-*/anat/*_T1w.nii.gz"))
    for scan in scans[3:]:
        shutil.rmtree(scan.parents[1])
    scans[0].write_bytes(b"\x1f\x8bno")
    arguments = (
        "prepare",
        "--cohort",
        tiny_cohort,
        "--config",
        tiny_config,
        "--data",
        data,
        "--out",
        tmp_path / "out",
    )
    assert command(*arguments, "--jobs", "1") == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("prepared    2 of 3 scans (0 were done before)\nfailed      1 by label: ")
    assert "warning: 1 scans could not be prepared; see" in shown.err
    assert "SYNTHETIC" in (tmp_path / "out" / "contact_sheet.html").read_text(encoding="utf-8")
    assert command(*arguments, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["prepared"], document["kept"], len(document["failures"])) == (2, 2, 1)


def test_an_out_folder_is_needed(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("prepare", "--cohort", "demo") == 2
    assert "Missing option '--out'" in capsys.readouterr().err
