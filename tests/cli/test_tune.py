"""``neurofocus tune`` and ``cv --tuned``: settings chosen inside each training part, used fold by fold."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from neurofocus.tables import read_tsv

Command = Callable[..., int]
Shown = pytest.CaptureFixture[str]


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text("space: {train.weight_decay: {low: 1.0e-4, high: 1.0e-1, log: true}}\n", encoding="utf-8")
    return path


@pytest.mark.slow
def test_each_fold_trains_with_its_own_settings(
    command: Command, capsys: Shown, tiny_cohort: Path, tiny_config: Path, tmp_path: Path, space: Path
) -> None:
    common = ["--cohort", tiny_cohort, "--config", tiny_config, "--device", "cpu"]
    search = ["--out", tmp_path / "search", "--space", space, "--trials", "2"]
    assert command("tune", *common, *search, "--json") == 0
    best = json.loads(capsys.readouterr().out)["best"]
    assert [entry["fold"] for entry in best] == [1, 2]
    out = tmp_path / "run"
    assert command("cv", *common, "--tuned", tmp_path / "search", "--out", out) == 0
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert record["config"]["tuned"].startswith("sha256:")
    settings = [json.loads((out / f"fold-{fold}" / "DONE").read_text())["settings"] for fold in (1, 2)]
    assert settings[0] != settings[1]
    assert len(read_tsv(out / "predictions.tsv")) == 16
    capsys.readouterr()
    # A search over other folds may have seen the people who are tested here.
    other = ["--seed", "7", "--tuned", tmp_path / "search", "--out", tmp_path / "other"]
    assert command("cv", *common, *other) == 2
    assert "leak (no independent test set)" in capsys.readouterr().err
    # An unfinished search is told before anything is trained.
    (tmp_path / "search" / "fold-2" / "best.json").unlink()
    assert command("cv", *common, "--tuned", tmp_path / "search", "--out", tmp_path / "half") == 2
    assert "has no best settings of fold 2; finish the search" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trials", "0"], "--trials"),
        (["--fold", "9"], "--fold 9: accepted are 1 to 2"),
        (["--space", "defalt"], "did you mean 'default'"),
    ],
)
def test_mistakes(
    command: Command, capsys: Shown, tiny_cohort: Path, tiny_config: Path, arguments: list[str], words: str
) -> None:
    assert command("tune", "--cohort", tiny_cohort, "--config", tiny_config, *arguments) == 2
    assert words in capsys.readouterr().err


def test_a_folder_without_a_search(
    command: Command, capsys: Shown, tiny_cohort: Path, tiny_config: Path, tmp_path: Path
) -> None:
    common = ["--cohort", tiny_cohort, "--config", tiny_config, "--out", tmp_path / "run"]
    assert command("cv", *common, "--tuned", tmp_path) == 2
    assert "holds no finished search; give the --out of neurofocus tune" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
