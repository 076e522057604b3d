"""The simulated disease: a warp that shrinks the medial temporal lobe and widens the ventricles.

The warp is exp(a·v_temporal + b·v_ventricles). At severity a = b = 1 the regions change by the mean differences
between patients and healthy controls that the literature reports (docs/simulation.md). Severities act on the
logarithm of volumes: at severity s a region whose change is c at severity 1 has about (1 + c)^s of its volume.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from neurofocus.simulate.anatomy import REGIONS, Anatomy
from neurofocus.simulate.deformation import exponentiate, jacobian, poisson_velocity
from neurofocus.simulate.grid import Floats, Grid, sample

__all__ = ["MEAN_CHANGE", "Atrophy", "build_atrophy"]

MEAN_CHANGE = {
    "hippocampus": -0.22,
    "amygdala": -0.18,
    "parahippocampal": -0.12,
    "lateral_ventricle": 0.40,
    "temporal_horn": 0.60,
}
_VENTRICULAR = ("lateral_ventricle", "temporal_horn")
_WINDOW_MM = (6.0, 16.0)
_CORRECTIONS = 8


@dataclass(frozen=True)
class Atrophy:
    """The disease as two velocity fields on one grid.

    Attributes:
        grid: the grid of the fields.
        regions: shares of the regions [5, X, Y, Z] on ``grid``, in the order of ``REGIONS``.
        temporal: velocity of severity 1 of the medial temporal lobe, mm [3, X, Y, Z].
        ventricular: velocity of severity 1 of the ventricles, mm [3, X, Y, Z].
    """

    grid: Grid
    regions: Floats
    temporal: Floats
    ventricular: Floats

    def inverse_displacement(self, temporal: float, ventricular: float) -> Floats:
        """Return u with y + u(y) = where the changed brain's point y lies in the template, mm [3, X, Y, Z]."""
        velocity = np.float32(-temporal) * self.temporal + np.float32(-ventricular) * self.ventricular
        return exponentiate(velocity, self.grid)

    def region_changes(self, inverse: Floats) -> dict[str, float]:
        """Return each region's volume change as a share of its template volume (-0.22: 22 % smaller)."""
        pulled = sample(self.regions, self.grid, self.grid.points() + inverse)
        ratio = pulled.sum(axis=(1, 2, 3), dtype=np.float64) / self.regions.sum(
            axis=(1, 2, 3), dtype=np.float64
        )
        return {name: float(value) - 1 for name, value in zip(REGIONS, ratio, strict=True)}

    def smallest_jacobian(self, inverse: Floats) -> float:
        """Return the smallest local volume ratio, changed brain to template.

        Raises:
            ArithmeticError: if the warp folds, which would make it no anatomy at all.
        """
        determinant = jacobian(inverse, self.grid)
        if determinant.min() <= 0:
            raise ArithmeticError("the simulated disease folds space; lower the severity")
        return float(1.0 / determinant.max())


def build_atrophy(anatomy: Anatomy) -> Atrophy:
    """Return the disease fields, corrected until the measured changes at severity 1 are ``MEAN_CHANGE``.

    Target log Jacobians are set a region, a Poisson equation gives the potential whose gradient is the velocity,
    and a window keeps it near the regions. As window and blur take some of the effect away, the targets are
    corrected by the measured changes.
    """
    wanted = np.array([np.log1p(MEAN_CHANGE[name]) for name in REGIONS])
    window = _window(anatomy)
    parts = np.stack([poisson_velocity(region, anatomy.field_grid) * window for region in anatomy.regions])
    ventricular = np.array([name in _VENTRICULAR for name in REGIONS])
    gains = wanted.copy()
    for _ in range(_CORRECTIONS + 1):
        model = Atrophy(
            anatomy.field_grid,
            anatomy.regions,
            temporal=_weighted(parts, np.where(ventricular, 0.0, gains)),
            ventricular=_weighted(parts, np.where(ventricular, gains, 0.0)),
        )
        changes = model.region_changes(model.inverse_displacement(1.0, 1.0))
        gains = gains + wanted - np.array([np.log1p(changes[name]) for name in REGIONS])
    return model


def _weighted(parts: Floats, gains: NDArray[np.float64]) -> Floats:
    return np.tensordot(gains.astype(np.float32), parts, axes=1)


def _window(anatomy: Anatomy) -> Floats:
    """Return 1 within 6 mm of the regions, falling smoothly to 0 at 16 mm."""
    outside = anatomy.regions.max(axis=0) < 0.5
    distance = ndimage.distance_transform_edt(outside, sampling=anatomy.field_grid.spacing)
    near, far = _WINDOW_MM
    share = np.clip((distance - near) / (far - near), 0.0, 1.0)
    return (0.5 + 0.5 * np.cos(np.pi * share)).astype(np.float32)
