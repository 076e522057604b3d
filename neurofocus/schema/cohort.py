"""What a cohort is: where its files are, what its labels mean, what results to expect."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from neurofocus.schema.base import Settings

__all__ = ["CohortSpec", "Expectation", "SimulationConfig"]


class SimulationConfig(Settings):
    """How an embedded cohort is drawn; see docs/simulation.md for the recipe."""

    labels: Literal["disease", "null"] = Field("disease", description="null: labels carry nothing")
    subjects: int = Field(96, ge=8)
    seed: int = Field(0, ge=0)
    severity: float = Field(1.0, ge=0, description="multiplies the literature's mean changes")
    confounded: bool = Field(False, description="ties the label to site and noise")
    shape_variability: float = Field(
        1.0, ge=0, le=1.5, description="multiplies personal shape warps and residual misregistration"
    )
    voxel_mm: float = Field(2.0, ge=1, le=6)


class Expectation(Settings):
    """An honest range to print beside a result, with its source."""

    metric: str
    low: float
    high: float
    source: str


class CohortSpec(Settings):
    """One cohort; readable by a neuroscientist who knows no Python."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="names folders: letters, digits, . _ -"
    )
    title: str
    description: str
    layout: Literal["bids"]
    label_column: str = "diagnosis"
    classes: dict[str, list[str]] = Field(description="class name -> values of label_column, in class order")
    session_rule: Literal["first"] = "first"
    suffix: str = Field("T1w", description="BIDS suffix of the scans to use")
    config: str = Field("mri", description="the run configuration used when none is named")
    synthetic: bool = False
    simulation: SimulationConfig | None = None
    expectations: tuple[Expectation, ...] = ()

    @field_validator("classes")
    @classmethod
    def _class_names(cls, classes: dict[str, list[str]]) -> dict[str, list[str]]:
        for name, values in classes.items():
            if not name.isprintable() or name != name.strip() or name in ("", "n/a"):
                raise ValueError(
                    f"{name!r} cannot name a class (and a column of tables); use plain words such as AD"
                )
            if not values:
                raise ValueError(
                    f"class {name!r} has no values; list the values of label_column that mean it"
                )
        return classes

    @model_validator(mode="after")
    def _classes_disjoint(self) -> "CohortSpec":
        values = [value for group in self.classes.values() for value in group]
        if len(self.classes) < 2 or len(values) != len(set(values)):
            raise ValueError(f"classes {self.classes} need at least two names and no shared value")
        return self
