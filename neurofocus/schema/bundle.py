"""What ``bundle.json`` holds: everything that prediction needs besides the weights."""

from typing import Any, Literal

from pydantic import Field

from neurofocus.schema.base import Settings
from neurofocus.schema.run import RunConfig

__all__ = ["BundleManifest", "FoldEntry"]


class FoldEntry(Settings):
    """One fold's model inside a bundle."""

    file: str = Field(pattern=r"^fold-[0-9]+\.safetensors$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    threshold: float | None = Field(
        None, ge=0, le=1, description="on the positive class; chosen on validation"
    )


class BundleManifest(Settings):
    """The text half of a bundle; ``predict`` needs nothing else but the files it names."""

    format: Literal["neurofocus-bundle"] = "neurofocus-bundle"
    format_version: Literal[1] = 1
    name: str
    created: str
    synthetic: bool
    intended_use: str
    classes: tuple[str, ...]
    config: RunConfig
    folds: tuple[FoldEntry, ...] = Field(min_length=1)
    gflops_per_model: float
    metrics: dict[str, Any]
    provenance: dict[str, Any]
