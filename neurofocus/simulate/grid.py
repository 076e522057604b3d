"""Axis-parallel sampling grids in template millimetres, and linear sampling on them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Floats", "Grid", "sample"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """A grid whose axes run along R, A and S.

    Attributes:
        shape: number of points along R, A and S.
        origin: world millimetres of the first point.
        spacing: millimetres between points, equal along all axes.
    """

    shape: tuple[int, int, int]
    origin: tuple[float, float, float]
    spacing: float

    @classmethod
    def covering(cls, low: NDArray[np.float64], high: NDArray[np.float64], spacing: float) -> "Grid":
        """Return the grid on the lattice of multiples of ``spacing`` that covers the box ``low``..``high`` (mm)."""
        first = np.floor(low / spacing).astype(int)
        last = np.ceil(high / spacing).astype(int)
        a, b, c = (int(n) for n in last - first + 1)
        x, y, z = (float(v) for v in first * spacing)
        return cls(shape=(a, b, c), origin=(x, y, z), spacing=spacing)

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel index to RAS+ world millimetres, [4, 4]."""
        matrix = np.diag([self.spacing, self.spacing, self.spacing, 1.0])
        matrix[:3, 3] = self.origin
        return matrix

    def points(self) -> Floats:
        """Return the world millimetres of every grid point, [3, X, Y, Z]."""
        axes = [
            np.arange(n, dtype=np.float32) * np.float32(self.spacing) + np.float32(start)
            for n, start in zip(self.shape, self.origin, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"))

    def index(self, points: Floats) -> Floats:
        """Return the fractional grid index of world points, [3, ...]."""
        origin = np.asarray(self.origin, np.float32).reshape(3, *(1,) * (points.ndim - 1))
        return (points - origin) / np.float32(self.spacing)


def sample(values: Floats, grid: Grid, points: Floats) -> Floats:
    """Return ``values`` (one map [X, Y, Z] or several [C, X, Y, Z]) at world points [3, ...], linearly, 0 outside."""
    index = grid.index(points)
    if values.ndim == 3:
        return ndimage.map_coordinates(values, index, output=np.float32, order=1, mode="constant")
    return np.stack(
        [ndimage.map_coordinates(v, index, output=np.float32, order=1, mode="constant") for v in values]
    )
