"""``neurofocus cohort check``: exit codes and what is printed where."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurofocus.tables import read_tsv, write_tsv

Command = Callable[..., int]
Shown = pytest.CaptureFixture[str]


@pytest.fixture
def listed(command: Command, capsys: Shown, tiny_cohort: Path, tiny_data: Path, tmp_path: Path) -> Path:
    """What ``cohort scan`` writes."""
    assert command("cohort", "scan", tiny_cohort, "--data", tiny_data, "--out", tmp_path / "scans.tsv") == 0
    capsys.readouterr()
    return tmp_path / "scans.tsv"


def test_a_clean_cohort_is_one_line(command: Command, capsys: Shown, listed: Path, tiny_cohort: Path) -> None:
    assert command("cohort", "check", listed, "--cohort", tiny_cohort) == 0
    assert capsys.readouterr().out == "16 scans of 16 participants: no leak and no confound found\n"


def test_a_confound_is_told_and_no_error(command: Command, capsys: Shown, listed: Path) -> None:
    table = read_tsv(listed)
    table["site"] = np.where(table["label"] == "AD", "A", "B")
    write_tsv(listed, table)
    assert command("cohort", "check", listed) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("confound: site goes with the label (Cramér's V 1.00, Fisher p 0.0002)")
    assert lines[1] == "16 scans of 16 participants: leaks: 0, warnings: 1"
    assert command("cohort", "check", listed, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["warnings"][0]["figures"]["cramers_v"] == 1.0
    assert found["refusals"] == []


def test_a_leak_is_exit_code_2(command: Command, capsys: Shown, listed: Path) -> None:
    table = read_tsv(listed)
    table.loc[1, "participant_id"] = "SIM1"
    table.loc[3, "path"] = table["path"][2]
    write_tsv(listed, table)
    assert command("cohort", "check", listed) == 2
    shown = capsys.readouterr()
    assert [line.split(":")[0] for line in shown.out.splitlines()[:-1]] == ["leak (wrong split)"] * 2
    assert shown.out.splitlines()[-1] == "16 scans of 16 participants: leaks: 2, warnings: 0"
    assert shown.err.startswith("neurofocus: error: leak (wrong split): one file is listed twice")
    assert shown.err.count("\n") == 1
    assert command("cohort", "check", listed, "--json") == 2
    assert len(json.loads(capsys.readouterr().out)["refusals"]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.tsv"], "absent.tsv: cannot be read (No such file or directory)"),
        (["scans.tsv", "--cohort", "dem"], "cohort 'dem' is not shipped; did you mean 'demo'?"),
        (["scans.tsv", "--jobs", "0"], "--jobs"),
        ([], "Missing argument"),
    ],
)
def test_mistakes_are_one_line(
    command: Command,
    capsys: Shown,
    listed: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(listed.parent)
    assert command("cohort", "check", *arguments) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert shown.err.count("\n") == 1
    assert not shown.out
