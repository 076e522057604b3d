"""What commands print. The module is reached through the console entry point, as everything in ``cli``."""

import json
import logging
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from neurofocus.workflows.cross_validate import CrossValidationResult

Command = Callable[..., int]
Shown = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def output() -> ModuleType:
    (point,) = entry_points(group="console_scripts", name="neurofocus")
    return sys.modules[f"{point.load().__module__.rpartition('.')[0]}.output"]


def metrics(**changes: Any) -> dict[str, Any]:
    entry = {"value": 0.75, "low": 0.5, "high": 1.0}
    return {
        "synthetic": False,
        "pooled": {"balanced_accuracy": entry, "roc_auc": entry, "brier": entry},
        "baseline": {"majority_class": "CN", "accuracy": 0.6, "balanced_accuracy": 0.5, "rule": "words"},
        "bayes_ceiling": None,
        "mean_gflops": 0.12345,
        **changes,
    }


def lines(output: ModuleType, **changes: Any) -> list[str]:
    found: list[str] = output.summary_lines(
        CrossValidationResult(Path("runs/x"), complete=True, metrics=metrics(**changes), message="")
    )
    return found


def test_summary(output: ModuleType) -> None:
    assert lines(output) == [
        "balanced_accuracy  0.750  (95 % interval 0.500 to 1.000)",
        "roc_auc            0.750  (95 % interval 0.500 to 1.000)",
        "baseline           always CN: accuracy 0.600, balanced accuracy 0.500",
        "mean GFLOPs a case 0.1235  (1e9 multiply-adds)",
        "report             runs/x/report.html",
        "bundle             runs/x/bundle",
    ]


def test_summary_of_a_simulation(output: ModuleType) -> None:
    found = lines(output, synthetic=True, bayes_ceiling={"auc": 0.98, "balanced_accuracy": 0.9})
    assert found[0] == "SYNTHETIC cohort: these numbers say nothing about patients."
    assert "Bayes ceiling      ROC-AUC 0.980, balanced accuracy 0.900" in found


def test_expected_ranges_stand_beside_the_result(output: ModuleType) -> None:
    item = {"metric": "roc_auc", "low": 0.6, "high": 0.7, "source": "S", "value": 0.75, "alarm": 0.74}
    plain = lines(output, expectations=[item | {"verdict": "above"}])
    assert "expected           roc_auc 0.6 to 0.7  (S)" in plain
    assert not any(line.startswith("ALARM") for line in plain)
    loud = lines(output, expectations=[item | {"verdict": "alarm"}])
    assert any(
        line.startswith("ALARM              roc_auc 0.750 is above 0.74: look for a leak") for line in loud
    )


def test_exits_half_way(output: ModuleType) -> None:
    def curve(*values: float | None) -> list[dict[str, object]]:
        return [
            {"gflops": 0.5 * (place + 1), "balanced_accuracy": {"value": value}}
            for place, value in enumerate(values)
        ]

    exits = {"conditional": curve(0.6, 0.8125, 0.9), "random": curve(0.6, 0.75, 0.9)}
    expected = "conditional exit   balanced accuracy 0.812 at 1.0000 GFLOPs a case; random exit 0.750"
    assert expected in lines(output, exits=exits)
    unknown = {kind: curve(None, None, None) for kind in exits}
    assert "conditional exit   nothing to measure: the scored scans are of one class" in lines(
        output, exits=unknown
    )


@pytest.mark.parametrize("unknown", ["value", "low", "high"])
def test_a_figure_that_nothing_measures_is_left_out(output: ModuleType, unknown: str) -> None:
    pooled = metrics()["pooled"]
    pooled["roc_auc"] = pooled["roc_auc"] | {unknown: None}
    assert not any(line.startswith("roc_auc") for line in lines(output, pooled=pooled))


def test_an_unfinished_run(output: ModuleType) -> None:
    result = CrossValidationResult(Path("runs/x"), complete=False, metrics=None, message="fold 2 is missing")
    assert output.summary_lines(result) == ["runs/x: fold 2 is missing"]


def test_errors_are_one_line(output: ModuleType, capsys: Shown) -> None:
    output.print_error("a\n  b\tc\r\n")
    assert capsys.readouterr().err == "neurofocus: error: a b c\n"


def test_json_is_strict(output: ModuleType, capsys: Shown) -> None:
    output.print_json({"ä": [1.5, None]})
    assert json.loads(capsys.readouterr().out) == {"ä": [1.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        output.print_json({"x": float("nan")})


@pytest.mark.usefixtures("command")  # it puts logging back
@pytest.mark.parametrize("verbose", [False, True])
def test_log_lines_go_to_standard_error(output: ModuleType, capsys: Shown, verbose: bool) -> None:
    for _ in range(2):  # a second call does not double the lines
        output.set_up_logging(verbose)
    logging.getLogger("neurofocus.somewhere").info("seen")
    logging.getLogger("neurofocus.somewhere").debug("detail")
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err == ("seen\ndetail\n" if verbose else "seen\n")
