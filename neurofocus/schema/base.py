"""The base of every configuration class: frozen, typed, finite, and strict about unknown keys."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Settings"]


class Settings(BaseModel):
    """A frozen group of settings; an unknown key is an error with its dotted path."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)
