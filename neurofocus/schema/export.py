"""What ``export.json`` holds: everything that running an exported model needs besides its graphs."""

from typing import Any, Literal

from pydantic import Field, model_validator

from neurofocus.schema.base import Settings
from neurofocus.schema.bundle import BundleManifest

__all__ = ["Agreement", "ExportFile", "ExportManifest", "FoldGraphs"]


class ExportFile(Settings):
    """One file of an export besides ``export.json``."""

    file: str = Field(pattern=r"^fold-[0-9]+/((glance|decide|focus|classifier)\.onnx|answers\.npz)$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Agreement(Settings):
    """How near an exported model's answers are to the model's own, on random frames.

    Attributes:
        runtime: what ran the graphs.
        cases: how many.
        equal_frames: share of the cases with the same focus frames.
        box_difference: the largest one, pixels.
        probability_difference: the largest one, at any exit step.
    """

    runtime: Literal["onnx", "openvino"]
    cases: int = Field(ge=1)
    equal_frames: float = Field(ge=0, le=1)
    box_difference: float = Field(ge=0)
    probability_difference: float = Field(ge=0)


class FoldGraphs(Settings):
    """One fold's model, cut where cases may leave; see ``inference.onnx_graphs``.

    Attributes:
        answers: the model's own answers on random frames, to compare with; see ``inference.agreement``.
        agreement: of the comparison at export.
    """

    glance: ExportFile
    decide: ExportFile
    focus: ExportFile
    classifier: ExportFile
    answers: ExportFile
    agreement: Agreement


class ExportManifest(Settings):
    """The text half of an export.

    Attributes:
        bundle: what was exported: configuration, classes, thresholds of the folds and of their exits.
        folds: one entry a fold of the bundle.
    """

    format: Literal["neurofocus-export"] = "neurofocus-export"
    format_version: Literal[1] = 1
    created: str
    opset: int
    bundle: BundleManifest
    folds: tuple[FoldGraphs, ...] = Field(min_length=1)
    preprocessing: dict[str, Any] = Field(description="what the frames are made of, in words and numbers")
    versions: dict[str, str]

    @model_validator(mode="after")
    def _fits(self) -> "ExportManifest":
        if len(self.folds) != len(self.bundle.folds):
            raise ValueError(
                f"{len(self.folds)} exported models, but the bundle has {len(self.bundle.folds)}"
            )
        return self
