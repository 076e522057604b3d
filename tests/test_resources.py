"""Shipped YAML: through the installed packages, or beside the package in a bare checkout."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import neurofocus
from neurofocus.resources import list_resources, read_resource, resource_path
from neurofocus.schema.load import load_cohort_spec, load_run_config

ROOT = Path(neurofocus.__file__).resolve().parent.parent


@pytest.mark.parametrize("kind", ["cohorts", "configs"])
def test_installed_names_are_those_of_the_checkout(kind: str) -> None:
    assert list_resources(kind) == sorted(path.stem for path in (ROOT / kind).glob("*.yaml"))
    for name in list_resources(kind):
        assert read_resource(kind, name) == (ROOT / kind / f"{name}.yaml").read_text(encoding="utf-8")


def test_every_shipped_file_loads() -> None:
    for name in list_resources("configs"):
        load_run_config(name)
    for name in list_resources("cohorts"):
        spec = load_cohort_spec(name)
        assert spec.name == name
        load_run_config(spec.config)
        assert spec.synthetic == (spec.simulation is not None)
        assert spec.synthetic == ("SYNTHETIC" in spec.title)


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="unknown resource kind 'recipes'"):
        list_resources("recipes")
    with pytest.raises(FileNotFoundError):
        read_resource("cohorts", "no-such-cohort")


def test_bundles_lie_in_the_package() -> None:
    assert resource_path("bundles", "demo") == Path(neurofocus.__file__).parent / "bundles" / "demo"


def test_a_bare_checkout_finds_its_own_files(tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "bundles")
    for folder in ("neurofocus", "cohorts", "configs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    (tmp_path / "cohorts" / "only-here.yaml").write_text("name: x\n", encoding="utf-8")
    # -S: no site-packages, so nothing is installed.
    script = "from neurofocus.resources import list_resources as r; print(*r('cohorts'), *r('configs'))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == sorted([*list_resources("cohorts"), "only-here"]) + list_resources(
        "configs"
    )
