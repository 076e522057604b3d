"""``neurofocus profile`` prints what ``measure_cost`` measured."""

import json
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points

import pytest

from neurofocus.model.cost import CONVENTIONS, Convention, measure_cost
from neurofocus.schema.load import load_run_config

Main = Callable[[Sequence[str]], int]


@pytest.fixture(scope="module")
def main() -> Main:
    (point,) = entry_points(group="console_scripts", name="neurofocus")
    loaded: Main = point.load()
    return loaded


def test_table(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "--config", "activitynet"]) == 0
    shown = capsys.readouterr()
    assert not shown.err
    assert "GFLOPs = 1e9 multiply-adds" in shown.out
    rows = {line.split()[0]: line.split() for line in shown.out.splitlines() if line}
    assert rows["total"] == ["total", "80,970,968", "27.2292"]
    assert rows["local_encoder"] == ["local_encoder", "23,508,032", "1.334575", "16", "21.3532"]
    assert float(rows["executed"][1]) <= 1.01 * 27.2292
    assert "glance 1-16           4.8889" in shown.out
    assert "focus 1               7.0601" in shown.out
    assert "focus 16              27.2292" in shown.out
    assert not any(line != line.rstrip() for line in shown.out.splitlines())


def test_json_and_overrides(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["--set", "model.patch_size=96", "--set", "model.num_classes=4"]
    assert main(["profile", "--config", "activitynet", *changes, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    cost = measure_cost(load_run_config("activitynet", ["model.patch_size=96", "model.num_classes=4"]).model)
    assert document["config"] == "activitynet"
    assert document["unit"] == "GFLOPs = 1e9 multiply-adds"
    assert document["convention"] == "mac"
    assert document["gflops"] == cost.gflops
    assert document["executed_gflops"] == cost.executed_gflops
    assert document["crop_gflops"] == cost.crop_gflops
    assert document["parameters"] == cost.parameters
    assert document["training_parameters"] == cost.training_parameters
    assert document["exit_gflops"] == list(cost.exit_gflops)
    assert [part["name"] for part in document["parts"]] == [part.name for part in cost.parts]
    assert sum(part["gflops_each"] * part["count"] for part in document["parts"]) == pytest.approx(
        cost.gflops
    )


@pytest.mark.parametrize("convention", ["mac", "paper", "fvcore", "flop2x"])
def test_conventions(main: Main, capsys: pytest.CaptureFixture[str], convention: Convention) -> None:
    assert main(["profile", "--config", "jester", "--convention", convention, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["convention"] == convention
    assert document["unit"] == CONVENTIONS[convention]
    cost = measure_cost(load_run_config("jester").model, convention=convention)
    assert document["gflops"] == cost.gflops
    assert document["exit_gflops"] == list(cost.exit_gflops)


def test_an_unknown_convention_is_refused(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "--convention", "flops"]) == 2
    assert "'paper'" in capsys.readouterr().err


def test_exits_of_clips(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "--config", "sthv1", "--convention", "paper"]) == 0
    shown = capsys.readouterr().out
    assert "one operation a batch-normalised channel" in shown
    assert "\nglance                2.3979\n" in shown
    assert "\nglance and focus      18.8325\n" in shown
    assert main(["profile", "--config", "tsm-plus"]) == 0
    shown = capsys.readouterr().out
    assert "\nglance and focus      35.0977\n" in shown
    assert "-0.0" not in shown


def test_without_glance_exits(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "--config", "demo", "--set", "model.classifier.reuse_global=false"]) == 0
    shown = capsys.readouterr().out
    assert "glance 1-" not in shown
    assert "\nfocus 8 " in shown


def test_default_configuration_is_mri(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["config"] == "mri"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "activitynett"], "did you mean 'activitynet'?"),
        (["--set", "model.patch_sise=3"], "did you mean 'patch_size'?"),
        (["--set", "nonsense"], "write it as a.b=VALUE"),
        (
            ["--config", "sthv1", "--set", "model.classifier.kind=max_pooling"],
            "set classifier.kind to average",
        ),
        (["--config", "absent.yaml"], "absent.yaml: cannot be read"),
        (
            ["--set", "model.global_encoder={name: efficientnet_lite0, width: 0.5}"],
            "width 0.5 of encoder 'efficientnet_lite0'",
        ),
    ],
)
def test_a_mistake_is_one_line(
    main: Main, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["profile", *arguments]) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err.startswith("neurofocus: error: ")
    assert message in shown.err
    assert shown.err.count("\n") == 1
