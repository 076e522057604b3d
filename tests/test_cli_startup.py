"""``--help`` stays quick because it loads nothing heavy."""

import json
import subprocess
import sys

import pytest

# pydantic is missing on purpose: typer itself loads it where it is installed.
_HEAVY = {
    "torch",
    "av",
    "monai",
    "ignite",
    "pandas",
    "numpy",
    "scipy",
    "sklearn",
    "nibabel",
    "SimpleITK",
    "nilearn",
    "matplotlib",
    "omegaconf",
    "onnx",
    "onnxruntime",
    "openvino",
}
_SCRIPT = """
import json, sys
from importlib.metadata import entry_points
(point,) = entry_points(group="console_scripts", name="neurofocus")
code = point.load()(json.loads(sys.argv[1]))
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["cv", "--help"],
        ["predict", "--help"],
        ["profile", "--help"],
        ["export", "--help"],
        ["cohort", "--help"],
        ["video", "--help"],
        ["video", "train", "--help"],
        ["video", "predict", "--help"],
    ],
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps(arguments)], capture_output=True, text=True, check=True
    )
    code, modules = json.loads(done.stderr)
    assert code == 0
    assert done.stdout
    assert not _HEAVY & set(modules)


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = "import neurofocus, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not _HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("module", ["cli", "neurofocus.cli"])
def test_module_runs_as_the_command(module: str) -> None:
    command = [sys.executable, "-m", module, "cohort", "shwo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("neurofocus: error: No such command 'shwo'")
    assert done.stderr.count("\n") == 1
