"""Files of named tensors from elsewhere: read without running code, compared with what a module expects."""

import pickle
import struct
import tarfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from neurofocus.errors import BundleError

__all__ = ["describe_misfit", "first_sentence", "read_tensors"]

_LISTED = 3
_STATE_KEYS = ("state_dict", "model_state")  # the latter: SlowFast and pytorchvideo

# What torch's and safetensors' readers raise on damaged, foreign or hostile bytes.
_READ_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    SafetensorError,
    pickle.PickleError,
    struct.error,
    tarfile.TarError,
)

# Training scripts keep metrics beside the state, as numpy scalars (under their old module name, too).
_SCALAR = cast(Callable[..., Any], np.float64(0).__reduce__()[0])
_NUMPY_SCALARS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)),
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),
]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a .safetensors file or of a file that ``torch.save`` wrote.

    Pickled code is never run. A state nested under ``state_dict`` or ``model_state`` is unwrapped, as is the ``module.``
    that distributed training puts before every name.

    Raises:
        BundleError: if the file is damaged, or holds anything but named tensors.
    """
    try:
        if path.suffix == ".safetensors":
            content: object = load_file(path)
        else:
            with warnings.catch_warnings():  # torch comments on foreign pickles that it then refuses
                warnings.simplefilter("ignore")
                with torch.serialization.safe_globals(_NUMPY_SCALARS):
                    content = torch.load(path, map_location="cpu", weights_only=True)
    except _READ_ERRORS as error:
        reason = type(error).__name__ if isinstance(error, (KeyError, EOFError)) else first_sentence(error)
        raise BundleError(
            f"{path}: not a readable weight file ({reason}); give an undamaged .safetensors file or a "
            "state dict saved by torch.save, without pickled objects"
        ) from None
    for key in _STATE_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise BundleError(f"{path}: holds a {type(content).__name__}, not named tensors; give a state dict")
    state = {str(name).removeprefix("module."): value for name, value in content.items()}
    strangers = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if strangers:
        raise BundleError(f"{path}: {_some(strangers)} not tensors; give a state dict of tensors")
    return state


def describe_misfit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Return in one line how a state differs from the expected names and shapes; empty if it fits."""
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    misshaped = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    groups = (("missing", missing), ("unexpected", unexpected), ("other shape", misshaped))
    return "; ".join(f"{len(names)} {what}: {_some(names)}" for what, names in groups if names)


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + rest


def first_sentence(error: Exception) -> str:
    """Return the beginning of an error's message on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(". ")[0][:160]
