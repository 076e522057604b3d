"""One simulated scan: anatomy, disease and personal shape in one warp and one interpolation.

A point of the scan is moved by the residual affine, then by the personal shape warp, then by the inverse of the
disease and aging warp, and the template is read there once. Healthy subjects go exactly the same way: their
disease warp has the severities of their healthy deviation and aging, so blur cannot tell the label.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from neurofocus.schema.cohort import SimulationConfig
from neurofocus.simulate.acquisition import Scanner, draw_scanner, noise_free, scan, tissue_signal
from neurofocus.simulate.anatomy import Anatomy
from neurofocus.simulate.deformation import exponentiate, random_affine, random_velocity
from neurofocus.simulate.grid import Floats, Grid, sample
from neurofocus.simulate.severity import Stream, Subject, generator
from neurofocus.simulate.studio import Studio

__all__ = ["Rendering", "render", "scan_grid"]

_SHAPE_MM = 6.0
_SHAPE_SIGMA_MM = (15.0, 25.0)
_SHAPE_PEAK_MM = (3.0, 6.0)
_AFFINE_DEGREES, _AFFINE_MM, _AFFINE_SCALE = 2.0, 2.0, 0.03
_MEAN_TIV_ML = 1470.0


@dataclass(frozen=True)
class Rendering:
    """One simulated scan with its truth.

    Attributes:
        stored: what the scanner stores [X, Y, Z].
        change: |difference| to the counterfactual healthy twin, noise-free, as a share of the white-matter
            signal [X, Y, Z]; none for the healthy.
        region_changes: volume change a region against the template.
        smallest_jacobian: smallest local volume ratio of the disease and aging warp.
    """

    stored: NDArray[np.int16]
    change: Floats | None
    region_changes: dict[str, float]
    smallest_jacobian: float


def scan_grid(anatomy: Anatomy, voxel_mm: float) -> Grid:
    """Return the grid of every scan of a cohort: the template's box, with room for larger heads."""
    low = np.asarray(anatomy.grid.origin) - 4.0
    extent = (np.asarray(anatomy.grid.shape) - 1) * anatomy.grid.spacing
    return Grid.covering(low, low + extent + 8.0, voxel_mm)


def render(config: SimulationConfig, subject: Subject, studio: Studio) -> Rendering:
    """Return the simulated scan of ``subject`` on ``scan_grid``; a function of the arguments alone."""
    anatomy, atrophy = studio.anatomy, studio.atrophy
    grid = scan_grid(anatomy, config.voxel_mm)
    rng = generator(config.seed, Stream.SCANNER, subject.index)
    scanner = draw_scanner(subject.site, rng, confounded=config.confounded)
    signal = tissue_signal(anatomy, scanner)
    voxels, template_points = _shaped_points(config, subject, anatomy, grid)

    inverse = atrophy.inverse_displacement(*subject.severity.total)
    points = template_points + sample(inverse, atrophy.grid, template_points)
    clean = _read(signal, anatomy, points, voxels, grid, scanner)
    inside = _scatter(sample(anatomy.brain, anatomy.grid, points), voxels, grid)
    change = None
    if subject.diseased:
        healthy = atrophy.inverse_displacement(*subject.severity.without_disease)
        twin = template_points + sample(healthy, atrophy.grid, template_points)
        change = np.abs(clean - _read(signal, anatomy, twin, voxels, grid, scanner))
    return Rendering(
        stored=scan(clean, inside, scanner, grid, rng),
        change=change,
        region_changes=atrophy.region_changes(inverse),
        smallest_jacobian=atrophy.smallest_jacobian(inverse),
    )


def _shaped_points(
    config: SimulationConfig, subject: Subject, anatomy: Anatomy, grid: Grid
) -> tuple[NDArray[np.bool_], Floats]:
    """Return which voxels can hold brain [X, Y, Z] and where each reads the undiseased template, mm [3, N]."""
    points = grid.points()
    near = ndimage.maximum_filter(
        sample(anatomy.brain, anatomy.grid, points), size=int(2 * 12 / grid.spacing) + 1
    )
    voxels = near > 0
    flat = points[:, voxels]
    rng = generator(config.seed, Stream.SHAPE, subject.index)
    much = config.shape_variability
    affine = random_affine(
        rng, degrees=much * _AFFINE_DEGREES, shift_mm=much * _AFFINE_MM, scale=much * _AFFINE_SCALE
    )
    # Registration takes most of head size away, not all of it.
    affine[:3, :3] *= (_MEAN_TIV_ML / subject.tiv_ml) ** (much * 0.15 / 3)
    moved = (affine[:3, :3] @ flat + affine[:3, 3:]).astype(np.float32)
    extent = (np.asarray(grid.shape) - 1) * grid.spacing
    low = np.asarray(grid.origin)
    coarse = Grid.covering(low - 12.0, low + extent + 12.0, _SHAPE_MM)
    velocity = random_velocity(
        coarse, rng.uniform(*_SHAPE_SIGMA_MM), much * rng.uniform(*_SHAPE_PEAK_MM), rng
    )
    shape = exponentiate(velocity + _torque(coarse), coarse)
    return voxels, moved + sample(shape, coarse, moved)


def _torque(grid: Grid) -> Floats:
    """Return the brain's usual asymmetry: right frontal and left occipital poles reach further, by about 1.5 mm.

    The template is exactly symmetric, and no brain is.
    """
    x, y, _ = grid.points()
    poles = np.exp(-(((y - 50.0) / 30.0) ** 2)) + np.exp(-(((y + 90.0) / 30.0) ** 2))
    field = np.zeros((3, *grid.shape), np.float32)
    field[1] = -1.5 * np.tanh(x / 25.0) * poles  # pulls back: reading further behind moves tissue forward
    return field


def _read(
    signal: Floats, anatomy: Anatomy, points: Floats, voxels: NDArray[np.bool_], grid: Grid, scanner: Scanner
) -> Floats:
    return noise_free(_scatter(sample(signal, anatomy.grid, points), voxels, grid), scanner, grid.spacing)


def _scatter(values: Floats, voxels: NDArray[np.bool_], grid: Grid) -> Floats:
    full = np.zeros(grid.shape, np.float32)
    full[voxels] = values
    return full
