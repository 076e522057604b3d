"""What ``neurofocus tune`` may change, and how far."""

from typing import Any

from pydantic import Field, field_validator, model_validator

from neurofocus.schema.base import Settings

__all__ = ["SearchRange", "SearchSpace"]

# The model and the prepared scans stay as they are: a bundle holds one of each for all folds.
_GROUPS = ("train.", "augment.")


class SearchRange(Settings):
    """The values of one setting: a range of numbers, or a list."""

    low: float | None = None
    high: float | None = None
    log: bool = Field(False, description="draw evenly on a logarithmic scale")
    whole: bool = Field(False, description="whole numbers only")
    choices: tuple[bool | int | float | str, ...] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> "SearchRange":
        if self.choices and (self.low is not None or self.high is not None):
            raise ValueError("give either choices or low and high")
        if not self.choices and (self.low is None or self.high is None or self.low >= self.high):
            raise ValueError("needs low below high, or a list of choices")
        if self.log and (self.low or 0) <= 0:
            raise ValueError("a logarithmic range starts above 0")
        return self


class SearchSpace(Settings):
    """The settings to search, by dotted name."""

    space: dict[str, SearchRange] = Field(min_length=1)

    @field_validator("space")
    @classmethod
    def _only_training(cls, space: dict[str, Any]) -> dict[str, Any]:
        for name in space:
            if not name.startswith(_GROUPS):
                raise ValueError(
                    f"{name!r} cannot be searched; accepted are settings of train and augment: the model and the "
                    "prepared scans are the same in all folds"
                )
        return space
