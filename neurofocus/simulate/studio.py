"""What all simulated subjects share, computed once and handed to the worker processes through a file."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurofocus.files import atomic_write
from neurofocus.simulate.anatomy import Anatomy, load_anatomy
from neurofocus.simulate.atrophy import Atrophy, build_atrophy
from neurofocus.simulate.grid import Grid

__all__ = ["Studio", "build_studio", "load_studio", "save_studio"]


@dataclass(frozen=True)
class Studio:
    """The template and the disease; the same for every cohort and seed."""

    anatomy: Anatomy
    atrophy: Atrophy


def build_studio() -> Studio:
    """Return the template with the disease fields (about four seconds)."""
    anatomy = load_anatomy()
    return Studio(anatomy, build_atrophy(anatomy))


def save_studio(studio: Studio, path: Path) -> None:
    """Write a studio as arrays."""
    anatomy, atrophy = studio.anatomy, studio.atrophy
    arrays = {
        "t1": anatomy.t1,
        "gray": anatomy.gray,
        "white": anatomy.white,
        "brain": anatomy.brain,
        "regions": anatomy.regions,
        "temporal": atrophy.temporal,
        "ventricular": atrophy.ventricular,
        "grids": np.array(
            [[*grid.shape, *grid.origin, grid.spacing] for grid in (anatomy.grid, atrophy.grid)]
        ),
    }
    with atomic_write(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


@functools.lru_cache(maxsize=1)
def load_studio(path: Path) -> Studio:
    """Return the studio at ``path``; a process reads it once."""
    with np.load(path, allow_pickle=False) as arrays:
        fields: dict[str, Any] = {name: arrays[name] for name in arrays.files}
    template, region = (_grid(row) for row in fields["grids"])
    anatomy = Anatomy(
        grid=template,
        t1=fields["t1"],
        gray=fields["gray"],
        white=fields["white"],
        brain=fields["brain"],
        field_grid=region,
        regions=fields["regions"],
    )
    return Studio(anatomy, Atrophy(region, fields["regions"], fields["temporal"], fields["ventricular"]))


def _grid(row: NDArray[np.float64]) -> Grid:
    a, b, c = (int(n) for n in row[:3])
    x, y, z = (float(v) for v in row[3:6])
    return Grid(shape=(a, b, c), origin=(x, y, z), spacing=float(row[6]))
