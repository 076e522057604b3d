"""What a cohort is: where its files are, what its labels mean, what results to expect."""

from itertools import permutations, product
from typing import Literal

from pydantic import Field, field_validator, model_validator

from neurofocus.schema.base import Settings

__all__ = [
    "ORIENTATIONS",
    "AgeLimits",
    "CohortSpec",
    "Expectation",
    "SeriesRule",
    "SimulationConfig",
    "TableSpec",
]

# The 48 ways to store a volume along the body's axes: where the first, second and third voxel axis run to.
ORIENTATIONS = frozenset(
    "".join(letters) for pairs in permutations(("RL", "AP", "SI")) for letters in product(*pairs)
)
Layout = Literal["bids", "caps", "ida", "oasis1", "oasis2", "oasis3", "table"]
LabelRule = Literal["column", "visit", "progression", "status", "cdr", "stable_cdr"]


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


class TableSpec(Settings):
    """One kind of table that an archive delivers beside its images, recognised by name and by header."""

    files: tuple[str, ...] = Field(description="patterns of file names, such as ADNIMERGE*.csv; case aside")
    columns: dict[str, tuple[str, ...]] = Field(
        description="our name -> names met, in order of preference; case, spaces and signs aside"
    )
    required: tuple[str, ...] = Field((), description="our names without which a file is not this table")
    many: bool = Field(False, description="several files are one table; otherwise the newest is used")

    @model_validator(mode="after")
    def _required_known(self) -> "TableSpec":
        if unknown := sorted(set(self.required) - set(self.columns)):
            raise ValueError(f"required names {', '.join(unknown)} are not among columns")
        return self


class SeriesRule(Settings):
    """Which series of a visit to use; patterns have * and ?, case and signs are aside."""

    accept: tuple[str, ...] = Field((), description="descriptions that may be used; none given: all")
    exclude: tuple[str, ...] = Field((), description="descriptions never used, also if accepted")
    prefer: tuple[str, ...] = Field((), description="earlier patterns win over later ones and over none")
    min_slices: int = Field(0, ge=0, description="fewest slices along the coarsest axis")
    max_voxel_mm: float | None = Field(None, gt=0, description="longest voxel edge")
    min_extent_mm: float = Field(0.0, ge=0, description="shortest edge of the field of view")


class AgeLimits(Settings):
    """Ages in years at the scan; a scan of unknown age stays, with a warning."""

    min: float = Field(0.0, ge=0)
    max: float = Field(150.0, gt=0)


class Expectation(Settings):
    """An honest range to print beside a result, with its source."""

    metric: str
    low: float
    high: float
    source: str
    alarm: float | None = Field(
        None, description="a better result than this calls for a search for leaks first"
    )


class CohortSpec(Settings):
    """One cohort; readable by a neuroscientist who knows no Python."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="names folders: letters, digits, . _ -"
    )
    title: str
    description: str
    layout: Layout
    participant_prefix: str = Field(
        "", pattern=r"^[A-Za-z0-9]*$", description="goes between sub- and the archive's own identifier"
    )
    tables: dict[str, TableSpec] = Field({}, description="role -> how to find the archive's table")
    label_rule: LabelRule = "column"
    label_column: str = "diagnosis"
    classes: dict[str, list[str]] = Field(description="class name -> values of label_column, in class order")
    horizon_months: int = Field(36, ge=1, description="progression: how long a case is followed")
    match_days: int = Field(365, ge=0, description="longest time between a scan and its diagnosis")
    series: SeriesRule = SeriesRule()
    orientations: dict[str, tuple[str, ...]] = Field(
        {},
        description="how series descriptions begin -> how their files are stored where the header does not say: "
        "three letters, where each voxel axis runs to (ASL: front, top, left); the first that fits a head is used",
    )
    ages: AgeLimits = AgeLimits()
    session_rule: Literal["first", "first_scored", "all"] = Field(
        "first", description="first_scored: later sessions of a person train, only the first is scored"
    )
    suffix: str = Field("T1w", description="BIDS suffix of the scans to use")
    shares_people_with: tuple[str, ...] = Field(
        (), description="cohorts in which the same people may be, under other identifiers"
    )
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

    @field_validator("orientations")
    @classmethod
    def _orientation_letters(cls, orientations: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for start, choices in orientations.items():
            for letters in choices:
                if letters not in ORIENTATIONS:
                    raise ValueError(
                        f"{letters!r} (for {start!r}) is no orientation; give three letters, one each of R or L, "
                        "A or P, S or I, such as LAS or ASL"
                    )
            if not choices:
                raise ValueError(f"{start!r} has no orientation; give at least one, such as [ASL]")
        return orientations

    @model_validator(mode="after")
    def _classes_disjoint(self) -> "CohortSpec":
        values = [value for group in self.classes.values() for value in group]
        if len(self.classes) < 2 or len(values) != len(set(values)):
            raise ValueError(f"classes {self.classes} need at least two names and no shared value")
        return self
