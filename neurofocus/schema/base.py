"""The base of every configuration class: frozen, typed, finite, and strict about unknown keys."""

from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = ["Settings", "first_problem"]


class Settings(BaseModel):
    """A frozen group of settings; an unknown key is an error with its dotted path."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def first_problem(error: ValidationError) -> str:
    """Return where a file that we wrote ourselves is wrong first, as a dotted path, and why."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the whole"
    return f"{where}: {first['msg']}"
