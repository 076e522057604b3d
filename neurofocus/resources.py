"""Finds the YAML files that ship with the package: cohorts, video data sets and run configurations."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

__all__ = ["list_resources", "read_resource", "resource_path"]

_KINDS = ("cohorts", "configs", "videos", "searches", "bundles")


def _folder(kind: str) -> Traversable:
    """Return the folder of a kind, installed or, in a bare checkout, beside the package."""
    if kind not in _KINDS:
        raise ValueError(f"unknown resource kind {kind!r}; known: {_KINDS}")
    if kind == "videos":
        return _folder("cohorts") / "video"
    if kind == "searches":
        return _folder("configs") / "search"
    if kind == "bundles":
        return resources.files("neurofocus") / "bundles"
    try:
        return resources.files(f"neurofocus.{kind}")
    except ModuleNotFoundError:
        return Path(__file__).resolve().parent.parent / kind


def list_resources(kind: str) -> list[str]:
    """Return the names (without ``.yaml``) of the shipped files of one kind, sorted."""
    return sorted(
        entry.name.removesuffix(".yaml") for entry in _folder(kind).iterdir() if entry.name.endswith(".yaml")
    )


def read_resource(kind: str, name: str) -> str:
    """Return the text of a shipped YAML file.

    Raises:
        FileNotFoundError: if no file of that name ships.
    """
    return (_folder(kind) / f"{name}.yaml").read_text(encoding="utf-8")


def resource_path(kind: str, name: str) -> Path:
    """Return the path of a shipped folder or file on disk (the package is never run from a zip)."""
    return Path(str(_folder(kind) / name))
