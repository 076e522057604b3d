"""What ``bundle.json`` holds: everything that prediction needs besides the weights."""

from typing import Any, Literal

from pydantic import Field, model_validator

from neurofocus.schema.base import Settings
from neurofocus.schema.early_exit import ExitPlan
from neurofocus.schema.run import RunConfig

__all__ = ["BundleManifest", "FoldEntry"]


class FoldEntry(Settings):
    """One fold's model inside a bundle."""

    file: str = Field(pattern=r"^fold-[0-9]+\.safetensors$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    threshold: float | None = Field(
        None, ge=0, le=1, description="on the positive class; chosen on validation"
    )
    exits: ExitPlan | None = Field(
        None, description="when a case may stop early; bundles of older versions have none"
    )


class BundleManifest(Settings):
    """The text half of a bundle; ``predict`` needs nothing else but the files it names."""

    format: Literal["neurofocus-bundle"] = "neurofocus-bundle"
    format_version: Literal[1] = 1
    sha256: str = Field(
        "0" * 64, pattern="^[0-9a-f]{64}$", description="of this text with zeros in its place"
    )
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

    @model_validator(mode="after")
    def _fits(self) -> "BundleManifest":
        if len(self.classes) != self.config.model.num_classes:
            raise ValueError(
                f"{len(self.classes)} classes, but model.num_classes is {self.config.model.num_classes}"
            )
        return self
