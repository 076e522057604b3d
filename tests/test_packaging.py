"""What the wheel will contain is what the checkout contains."""

import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from neurofocus.resources import list_resources, read_resource
from neurofocus.schema.load import load_cohort_spec, load_run_config

_ROOT = Path(__file__).parents[1]
# Folders that install under another name, so that no generic name leaks into an environment.
_MOVED = {"cli": "neurofocus.cli", "cohorts": "neurofocus.cohorts", "configs": "neurofocus.configs"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def packages_on_disk() -> set[str]:
    folders = {path.parent for path in (_ROOT / "neurofocus").rglob("*.py")}
    own = {".".join(folder.relative_to(_ROOT).parts) for folder in folders}
    return own | set(_MOVED.values())


def test_every_package_is_listed(project: dict[str, Any]) -> None:
    listed = project["tool"]["setuptools"]["packages"]
    assert len(listed) == len(set(listed))
    assert set(listed) == packages_on_disk()


def test_moved_folders_are_mapped(project: dict[str, Any]) -> None:
    mapping = project["tool"]["setuptools"]["package-dir"]
    assert mapping == {"neurofocus": "neurofocus"} | {name: folder for folder, name in _MOVED.items()}


@pytest.mark.parametrize("package", sorted(packages_on_disk()))
def test_every_package_has_an_init_and_imports(package: str) -> None:
    moved = {name: folder for folder, name in _MOVED.items()}
    folder = _ROOT / moved.get(package, package.replace(".", "/"))
    assert (folder / "__init__.py").is_file()
    assert import_module(package).__name__ == package


def test_inner_inits_are_empty() -> None:
    for path in (_ROOT / "neurofocus").glob("*/**/__init__.py"):
        assert path.read_text(encoding="utf-8") == "", path


def test_every_kind_of_file_in_the_package_is_shipped(project: dict[str, Any]) -> None:
    patterns = project["tool"]["setuptools"]["package-data"]["neurofocus"]
    shipped = {path for pattern in patterns for path in (_ROOT / "neurofocus").glob(pattern)}
    files = {path for path in (_ROOT / "neurofocus").rglob("*") if path.is_file()}
    code = {path for path in files if path.suffix in (".py", ".pyc")}
    assert files - code <= shipped


@pytest.mark.parametrize("name", list_resources("configs"))
def test_shipped_run_configurations_are_valid(name: str) -> None:
    assert (_ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8") == read_resource("configs", name)
    load_run_config(name)


@pytest.mark.parametrize("name", list_resources("cohorts"))
def test_shipped_cohorts_are_valid_and_name_a_shipped_configuration(name: str) -> None:
    assert (_ROOT / "cohorts" / f"{name}.yaml").read_text(encoding="utf-8") == read_resource("cohorts", name)
    assert load_cohort_spec(name).config in list_resources("configs")


def test_shipped_files_are_there() -> None:
    assert {"activitynet", "demo", "mri"} <= set(list_resources("configs"))
    assert "demo" in list_resources("cohorts")
    assert (_ROOT / "neurofocus" / "py.typed").is_file()


def test_unknown_kinds_and_names_of_resources() -> None:
    with pytest.raises(ValueError, match="unknown resource kind"):
        list_resources("recipes")
    with pytest.raises(FileNotFoundError):
        read_resource("configs", "absent")
