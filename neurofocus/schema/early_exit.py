"""When a case may stop early (section 4.3): the settings, and the thresholds that a bundle carries."""

from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from neurofocus.schema.base import Settings

__all__ = ["Criterion", "ExitConfig", "ExitLadder", "ExitPlan", "ExitRule"]

Criterion = Literal["entropy", "max_probability"]


class ExitConfig(Settings):
    """How thresholds are solved, and which steps a case may stop at."""

    criterion: Criterion = Field("entropy", description="what a threshold is on (Eq. 23 takes the entropy)")
    solver: Literal["accuracy", "geometric"] = Field(
        "accuracy",
        description="validation accuracy under the budget, or MSDNet's geometric exit distribution",
    )
    every: int = Field(
        4, ge=1, description="focus frames between two exits; one at a time is up to 4 times slower a frame"
    )
    order: Literal["time", "weight"] = Field(
        "time", description="which focus frames come first: the earliest, or those with the largest weight"
    )
    num_budgets: int = Field(17, ge=2, description="rules from the cheapest exit to the dearest")


class ExitLadder(Settings):
    """The steps at which a case may stop.

    Attributes:
        steps: indices into the model's exit steps, increasing; the last one is the model's answer.
        gflops: cost of a case that stops there, 1e9 multiply-adds, increasing.
    """

    steps: tuple[int, ...] = Field(min_length=1)
    gflops: tuple[float, ...]

    @model_validator(mode="after")
    def _increasing(self) -> "ExitLadder":
        if len(self.steps) != len(self.gflops):
            raise ValueError(f"{len(self.steps)} steps, but {len(self.gflops)} costs")
        for name, values in (("steps", self.steps), ("gflops", self.gflops)):
            if any(later <= earlier for earlier, later in pairwise(values)):
                raise ValueError(f"{name} {values} must be increasing")
        return self


class ExitRule(Settings):
    """Thresholds for one budget, and what they gave on the validation cases that they were solved on.

    Attributes:
        thresholds: of every step of the ladder but the last: a case stops where its uncertainty is at most that.
        gflops: mean cost of a case, 1e9 multiply-adds.
        accuracy: the measure that was maximised.
    """

    thresholds: tuple[float, ...]
    gflops: float
    accuracy: float


class ExitPlan(Settings):
    """Rules from the dearest to the cheapest budget, over one ladder."""

    criterion: Criterion
    order: Literal["time", "weight"]
    ladder: ExitLadder
    rules: tuple[ExitRule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> "ExitPlan":
        wanted = len(self.ladder.steps) - 1
        for rule in self.rules:
            if len(rule.thresholds) != wanted:
                raise ValueError(f"{len(rule.thresholds)} thresholds for {wanted + 1} steps")
        return self
