"""neurofocus: classify 3-D medical volumes and videos with Uni-AdaFocus.

Importing the package is cheap: the public names below load what they need on first use (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurofocus.workflows.cross_validate import cross_validate as cross_validate
    from neurofocus.workflows.predict import predict as predict

__version__ = "0.1.0"
__all__ = ["__version__", "cross_validate", "predict"]

_HOMES = {
    "cross_validate": "neurofocus.workflows.cross_validate",
    "predict": "neurofocus.workflows.predict",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'neurofocus' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
