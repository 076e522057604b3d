"""The recorded outputs of released architectures, and the parameters and inputs behind them (golden/README.md)."""

import json
import runpy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

GOLDEN = Path(__file__).parents[1] / "golden"
RULE = runpy.run_path(str(GOLDEN / "rule.py"))


def recorded_shapes(name: str) -> dict[str, list[int]]:
    """Return tensor name -> shape of a released file."""
    shapes: dict[str, list[int]] = json.loads((GOLDEN / f"{name}.keys.json").read_text())
    return shapes


def recorded_state(name: str, prefix: str = "") -> dict[str, Tensor]:
    """Return the parameters that follow from their names."""
    return {
        f"{prefix}{key}": torch.from_numpy(RULE["parameter"](key, tuple(shape)))
        for key, shape in recorded_shapes(name).items()
    }


def recorded_frames(number: int, seed: int) -> Tensor:
    """Return two videos, [2, number, 3, 224, 224]."""
    coarse = torch.from_numpy(RULE["coarse_frames"](2, number, seed=seed))
    frames = F.interpolate(coarse.flatten(0, 1), size=(224, 224), mode="bilinear", align_corners=False)
    return frames.view(2, number, 3, 224, 224)


def recorded_arrays(name: str) -> dict[str, Tensor]:
    """Return the recorded outputs."""
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays}


def relative_error(seen: Tensor, expected: Tensor) -> float:
    """Return the largest difference as a share of the largest magnitude."""
    assert seen.shape == expected.shape
    return float((seen - expected).abs().max() / expected.abs().max())
