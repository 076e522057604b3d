"""``neurofocus cohort``: what ships, and what each cohort means."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from neurofocus.resources import list_resources

Command = Callable[..., int]
Shown = pytest.CaptureFixture[str]


def test_list(command: Command, capsys: Shown) -> None:
    assert command("cohort", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list_resources("cohorts")
    assert len({line.index(line.split(maxsplit=1)[1]) for line in lines}) == 1  # titles in one column
    assert all(("SYNTHETIC" in line) == line.startswith("demo") for line in lines)


def test_list_as_json(command: Command, capsys: Shown) -> None:
    assert command("cohort", "list", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in found] == list_resources("cohorts")
    assert all(entry.keys() == {"name", "title", "classes"} for entry in found)
    assert {"CN", "AD"} == set(next(entry for entry in found if entry["name"] == "demo")["classes"])


@pytest.mark.parametrize("name", list_resources("cohorts"))
def test_show(command: Command, capsys: Shown, name: str) -> None:
    assert command("cohort", "show", name) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{name}: ")
    for label in ("layout", "label column", "class CN", "class AD", "configuration"):
        assert label in text


def test_show_as_json(command: Command, capsys: Shown) -> None:
    assert command("cohort", "show", "demo-null", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["simulation"]["labels"] == "null"
    assert found["synthetic"] is True


def test_a_file_of_ones_own(command: Command, capsys: Shown, tiny_cohort: Path) -> None:
    assert command("cohort", "show", tiny_cohort) == 0
    assert "tiny: SYNTHETIC tiny: for tests" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "dem"], "cohort 'dem' is not shipped; did you mean 'demo'?; known: "),
        (["show", "absent.yaml"], "absent.yaml: cannot be read (No such file or directory)"),
        (["show"], "Missing argument 'name'"),
        (["show", "demo", "more"], "unexpected extra argument"),
        (["list", "--jsn"], "No such option: --jsn"),
    ],
)
def test_mistakes_are_one_line(command: Command, capsys: Shown, arguments: list[str], words: str) -> None:
    assert command("cohort", *arguments) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert shown.err.count("\n") == 1
    assert not shown.out
