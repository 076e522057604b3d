"""Which device a command computes on."""

import re

import torch

from neurofocus.errors import ConfigError

__all__ = ["choose_device"]


def choose_device(name: str) -> torch.device:
    """Return the torch device of ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ConfigError: an unknown name, or no such GPU here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    match = re.fullmatch("cuda(?::([0-9]+))?", name)
    if match is None:
        raise ConfigError(f"--device {name!r}: accepted are auto, cpu, cuda and cuda:N")
    if int(match[1] or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"--device {name!r}: {torch.cuda.device_count()} GPUs are visible here; use cpu or auto"
        )
    return torch.device(name)
