"""What ``export.json`` holds: everything that running an exported model needs besides its graphs."""

from typing import Any, Literal

from pydantic import Field, model_validator

from neurofocus.schema.base import Settings
from neurofocus.schema.early_exit import ExitPlan
from neurofocus.schema.run import RunConfig

__all__ = ["Agreement", "ExportManifest", "FoldGraphs", "GraphFile"]


class GraphFile(Settings):
    """One ONNX file of an export."""

    file: str = Field(pattern=r"^fold-[0-9]+/(glance|decide|focus|classifier)\.onnx$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Agreement(Settings):
    """How near an exported model's answers are to the model's own, on random frames.

    Attributes:
        runtime: what ran the graphs.
        cases: how many.
        seed: of the frames.
        equal_frames: share of the cases with the same focus frames.
        box_difference: the largest one, pixels.
        probability_difference: the largest one, at any exit step.
    """

    runtime: Literal["onnx", "openvino"]
    cases: int = Field(ge=1)
    seed: int
    equal_frames: float = Field(ge=0, le=1)
    box_difference: float = Field(ge=0)
    probability_difference: float = Field(ge=0)


class FoldGraphs(Settings):
    """One fold's model, cut where cases may leave; see ``inference.onnx_graphs``."""

    glance: GraphFile
    decide: GraphFile
    focus: GraphFile
    classifier: GraphFile
    threshold: float | None = Field(None, ge=0, le=1, description="on the positive class")
    exits: ExitPlan | None = None
    agreement: Agreement


class ExportManifest(Settings):
    """The text half of an export."""

    format: Literal["neurofocus-export"] = "neurofocus-export"
    format_version: Literal[1] = 1
    name: str
    created: str
    synthetic: bool
    intended_use: str
    classes: tuple[str, ...]
    config: RunConfig
    opset: int
    folds: tuple[FoldGraphs, ...] = Field(min_length=1)
    gflops_per_model: float
    preprocessing: dict[str, Any] = Field(description="what the frames are made of, in words and numbers")
    bundle_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    versions: dict[str, str]

    @model_validator(mode="after")
    def _fits(self) -> "ExportManifest":
        if len(self.classes) != self.config.model.num_classes:
            raise ValueError(
                f"{len(self.classes)} classes, but model.num_classes is {self.config.model.num_classes}"
            )
        return self
