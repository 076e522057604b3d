"""The HTML pages that workflows write: one file each, strict about missing values, everything escaped."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["page_template"]

_TEMPLATES = Path(__file__).resolve().parent / "templates"


def page_template(name: str) -> "Template":
    """Return a page of ``workflows/templates``; a value that it misses is an error, not a blank."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
