"""``neurofocus cohort``: what ships, and what each cohort means."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from neurofocus.resources import list_resources
from neurofocus.schema.load import load_cohort_spec
from neurofocus.tables import read_tsv

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
    classes = [f"class {label}" for label in load_cohort_spec(name).classes]
    for label in ("layout", "label column", *classes, "configuration"):
        assert label in text


def test_show_names_tables_and_rules(command: Command, capsys: Shown) -> None:
    assert command("cohort", "show", "oasis1") == 0
    text = capsys.readouterr().out
    for words in ("oasis_cross-sectional*.csv", "cdr: CDR", "60 to 150 years", "RAW mpr-1", "oasis2, oasis3"):
        assert words in text
    assert command("cohort", "show", "ppmi") == 0
    text = capsys.readouterr().out
    for words in ("Participant_Status*.csv", "*localizer*", "at least 100 slices", "at most 1.6 mm"):
        assert words in text


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
        (["show", "dem"], "cohort 'dem' is not shipped; did you mean 'demo'?; known: adni, "),
        (["show", "absent.yaml"], "absent.yaml: cannot be read (No such file or directory)"),
        (["show"], "Missing argument 'name'"),
        (["show", "demo", "more"], "unexpected extra argument"),
        (["list", "--jsn"], "No such option: --jsn"),
        (["scan", "bids", "--out", "x.tsv"], "cohort 'bids': no data folder; give it with --data DIR"),
        (["scan", "bids", "--data", ".", "--out", "x.csv"], "--out x.csv: the table is tab-separated"),
    ],
)
def test_mistakes_are_one_line(command: Command, capsys: Shown, arguments: list[str], words: str) -> None:
    assert command("cohort", *arguments) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert shown.err.count("\n") == 1
    assert not shown.out


def test_scan_writes_the_table_and_prints_the_flow(
    command: Command, capsys: Shown, tiny_cohort: Path, tiny_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "scans.tsv"
    assert command("cohort", "scan", tiny_cohort, "--data", tiny_data, "--out", out) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["16", "participants", "listed", "(AD", "8,", "CN", "8)"]
    assert lines[-1].startswith(f"{out}: 16 scans; check it with")
    table = read_tsv(out, numbers=["age"])
    assert set(table["label"]) == {"AD", "CN"}
    assert all(Path(path).is_file() for path in table["path"])
    assert all(source.startswith("participants.tsv") for source in table["diagnosis_source"])


def test_scan_as_json(
    command: Command, capsys: Shown, tiny_cohort: Path, tiny_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scans.tsv"
    assert command("cohort", "scan", tiny_cohort, "--data", tiny_data, "--out", out, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["scans"], found["warnings"]) == (16, [])
    assert found["flow"][-1] == {
        "step": "scans used",
        "count": 16,
        "by_label": {"AD": 8, "CN": 8},
        "kind": "kept",
        "unit": "scans",
    }


def test_scan_replaces_its_own_table_and_nobody_elses(
    command: Command, capsys: Shown, tiny_cohort: Path, tiny_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scans.tsv"
    arguments = ["cohort", "scan", tiny_cohort, "--data", tiny_data, "--out", out]
    assert command(*arguments) == 0
    assert command(*arguments) == 0
    out.write_text("participant_id\tdiagnosis\nsub-1\tAD\n", encoding="utf-8")
    capsys.readouterr()
    assert command(*arguments) == 2
    assert "scans.tsv: is there already and was not written by" in capsys.readouterr().err
    assert read_tsv(out)["participant_id"].tolist() == ["sub-1"]
