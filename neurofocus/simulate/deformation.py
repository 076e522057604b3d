"""Smooth invertible deformations: stationary velocity fields, their exponential and Jacobian.

All fields are in millimetres along R, A and S, channel first: [3, X, Y, Z] on a ``Grid``.
A stationary velocity field v has the diffeomorphism exp(v); exp(-v) is its inverse (Arsigny 2006).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from neurofocus.simulate.grid import Floats, Grid, sample

__all__ = ["exponentiate", "jacobian", "poisson_velocity", "random_affine", "random_velocity"]

_LARGEST_STEP_MM = 0.5


def exponentiate(velocity: Floats, grid: Grid) -> Floats:
    """Return the displacement u of exp(velocity), x -> x + u(x), by scaling and squaring.

    Outside the grid the field counts as zero.
    """
    largest = float(np.sqrt((velocity**2).sum(axis=0)).max())
    squarings = max(4, int(np.ceil(np.log2(max(largest, 1e-6) / _LARGEST_STEP_MM))))
    displacement = velocity / np.float32(2**squarings)
    points = grid.points()
    for _ in range(squarings):
        displacement = displacement + sample(displacement, grid, points + displacement)
    return displacement


def jacobian(displacement: Floats, grid: Grid) -> Floats:
    """Return the determinant of the derivative of x + u(x), [X, Y, Z]; positive where nothing folds."""
    rows = [np.gradient(component, grid.spacing) for component in displacement]
    matrix = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2) + np.eye(3, dtype=np.float32)
    determinant: Floats = np.linalg.det(matrix).astype(np.float32)
    return determinant


def poisson_velocity(divergence: Floats, grid: Grid) -> Floats:
    """Return the curl-free field [3, X, Y, Z] whose divergence is ``divergence`` less its mean, by FFT."""
    source = np.fft.rfftn(divergence - divergence.mean())
    frequencies = [2j * np.pi * np.fft.fftfreq(n, grid.spacing) for n in grid.shape[:2]]
    frequencies.append(2j * np.pi * np.fft.rfftfreq(grid.shape[2], grid.spacing))
    derivative = np.meshgrid(*frequencies, indexing="ij")
    laplacian = np.asarray(derivative[0] ** 2 + derivative[1] ** 2 + derivative[2] ** 2)
    laplacian[0, 0, 0] = 1.0
    potential = source / laplacian
    potential[0, 0, 0] = 0.0
    return np.stack(
        [np.fft.irfftn(d * potential, grid.shape, axes=(0, 1, 2)).astype(np.float32) for d in derivative]
    )


def random_velocity(grid: Grid, sigma_mm: float, peak_mm: float, rng: np.random.Generator) -> Floats:
    """Return a smooth random velocity with correlation length ``sigma_mm`` and largest length ``peak_mm``."""
    noise = rng.standard_normal((3, *grid.shape), dtype=np.float32)
    sigma = sigma_mm / grid.spacing
    smooth: Floats = ndimage.gaussian_filter(noise, (0, sigma, sigma, sigma), mode="wrap", truncate=3.0)
    length = np.sqrt((smooth**2).sum(axis=0)).max()
    return smooth * np.float32(peak_mm / length)


def random_affine(
    rng: np.random.Generator, *, degrees: float, shift_mm: float, scale: float
) -> NDArray[np.float64]:
    """Return a world affine [4, 4]: rotations, shifts and per-axis log scales, each uniform within ±its limit."""
    angles = np.deg2rad(rng.uniform(-degrees, degrees, 3))
    matrix = np.eye(4)
    for axis, angle in enumerate(angles):
        turn = np.eye(4)
        i, j = [k for k in range(3) if k != axis]
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    matrix = np.diag([*np.exp(rng.uniform(-scale, scale, 3)), 1.0]) @ matrix
    matrix[:3, 3] = rng.uniform(-shift_mm, shift_mm, 3)
    return matrix
