"""``cv --time`` on a finished run of the tiny SYNTHETIC cohort: one time a point of the curves, kept while they are valid."""

import html
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from neurofocus.errors import ConfigError
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.cross_validate import cross_validate, run_config, time_run
from neurofocus.workflows.exit_seconds import read_exit_seconds
from neurofocus.workflows.report.exits import clock_points, clock_sentence


@pytest.fixture(scope="module")
def config(tiny_cohort: Path, tiny_config: Path) -> RunConfig:
    return run_config(str(tiny_cohort), tiny_config)


@pytest.fixture(scope="module")
def timed(tiny_run: Path, config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("timed") / "run"))
    time_run(config, out=out, device="cpu")
    return out


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_every_point_of_the_curves_has_its_seconds(timed: Path, tiny_run: Path) -> None:
    exits, seconds = read(timed / "metrics.json")["exits"], read(timed / "exit_seconds.json")
    for kind in ("conditional", "fixed"):
        assert len(seconds[kind]) == len(exits[kind]) > 2
        assert all(0 < value < 60 for value in seconds[kind])
    assert (seconds["device"], seconds["threads"]) == ("cpu", 1)
    for name in ("metrics.json", "predictions.tsv"):  # what was computed before stays as it was
        assert (timed / name).read_bytes() == (tiny_run / name).read_bytes()


def test_points_are_the_curves_values_at_their_seconds(timed: Path) -> None:
    exits, seconds = read(timed / "metrics.json")["exits"], read(timed / "exit_seconds.json")
    points = clock_points(exits, seconds)
    assert {point.series for point in points} == {"conditional exit", "fixed length"}
    assert [point.gflops for point in points] == [*seconds["conditional"], *seconds["fixed"]]
    values = [
        entry["balanced_accuracy"]["value"] for kind in ("conditional", "fixed") for entry in exits[kind]
    ]
    assert [point.value for point in points] == values


def test_the_sentence() -> None:
    exits = {
        "conditional": [{"gflops": cost} for cost in (1.0, 2.0, 4.0)],
        "fixed": [{"gflops": cost} for cost in (1.0, 4.0)],
    }
    seconds = {"conditional": [0.1, 0.3, 0.4], "fixed": [0.1, 0.4], "batch_size": 4}
    assert clock_sentence(exits, seconds).startswith(
        "300 ms a scan and model instead of 400 (75 %) at 50 % of the GFLOPs: the model only"
    )


def test_the_report_shows_them(timed: Path, tiny_run: Path) -> None:
    page = html.unescape((timed / "report.html").read_text(encoding="utf-8"))
    exits, seconds = read(timed / "metrics.json")["exits"], read(timed / "exit_seconds.json")
    assert f"SYNTHETIC: {clock_sentence(exits, seconds)}" in page
    assert "ms a scan and model" not in (tiny_run / "report.html").read_text(encoding="utf-8")


def test_they_stay_until_answers_or_exits_change(timed: Path, config: RunConfig, tmp_path: Path) -> None:
    out = Path(shutil.copytree(timed, tmp_path / "run"))
    before = (out / "report.html").read_bytes()
    cross_validate(config, out=out, device="cpu")  # gathers again, and times nothing
    assert (out / "report.html").read_bytes() == before
    assert read_exit_seconds(out, config) == read(out / "exit_seconds.json")
    other = config.model_copy(update={"exit": config.exit.model_copy(update={"num_budgets": 3})})
    assert read_exit_seconds(out, other) is None
    (out / "predictions.tsv").write_text("other", encoding="utf-8")
    assert read_exit_seconds(out, config) is None


def test_folds_that_are_missing(tiny_run: Path, config: RunConfig, tmp_path: Path) -> None:
    out = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    (out / "fold-2" / "DONE").unlink()
    with pytest.raises(ConfigError, match=r"--time: fold 2 of .*run is still to be run; leave --time out"):
        time_run(config, out=out, device="cpu")


def test_fresh_removes_them(timed: Path, config: RunConfig, tmp_path: Path) -> None:
    out = Path(shutil.copytree(timed, tmp_path / "run"))
    result = cross_validate(config, out=out, fold=1, fresh=True, device="cpu")
    assert not result.complete
    assert not (out / "exit_seconds.json").exists()
