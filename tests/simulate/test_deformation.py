import numpy as np
import pytest
from scipy import ndimage
from scipy.linalg import expm

from neurofocus.simulate.deformation import (
    exponentiate,
    jacobian,
    poisson_velocity,
    random_affine,
    random_velocity,
)
from neurofocus.simulate.grid import Floats, Grid, sample

GRID = Grid(shape=(32, 36, 28), origin=(-62.0, -70.0, -54.0), spacing=4.0)


def _smooth_velocity(peak_mm: float) -> Floats:
    velocity = random_velocity(GRID, 16.0, peak_mm, np.random.default_rng(3))
    window = np.ones(GRID.shape, np.float32)
    for axis, n in enumerate(GRID.shape):
        shape = [1, 1, 1]
        shape[axis] = n
        window = window * np.hanning(n).astype(np.float32).reshape(shape)
    return velocity * window


def test_exponential_of_a_linear_field_is_the_matrix_exponential() -> None:
    matrix = np.array([[0.05, 0.1, 0.0], [-0.1, 0.02, 0.03], [0.0, 0.0, -0.08]])
    velocity = np.einsum("ij,j...->i...", matrix, GRID.points()).astype(np.float32)
    displacement = exponentiate(velocity, GRID)
    centre = np.array([16, 17, 13])  # far from the border, which the zero outside reaches
    point = GRID.points()[:, *centre]
    expected = expm(matrix) @ point - point
    np.testing.assert_allclose(displacement[:, *centre], expected, atol=0.05)


def test_inverse_undoes_the_deformation() -> None:
    velocity = _smooth_velocity(6.0)
    forward, backward = exponentiate(velocity, GRID), exponentiate(-velocity, GRID)
    points = GRID.points() + forward
    returned = points + sample(backward, GRID, points)
    inner = (slice(None), *(slice(4, -4),) * 3)
    error = np.abs(returned - GRID.points())[inner]
    assert np.sqrt((forward[inner] ** 2).sum(axis=0)).max() > 2.0
    assert error.max() < 0.15


def test_jacobian_of_a_scaling_and_positivity() -> None:
    displacement = (GRID.points() * np.array([0.1, -0.2, 0.0]).reshape(3, 1, 1, 1)).astype(np.float32)
    np.testing.assert_allclose(jacobian(displacement, GRID), 1.1 * 0.8, rtol=1e-4)
    assert jacobian(exponentiate(_smooth_velocity(6.0), GRID), GRID).min() > 0.2


def test_poisson_velocity_has_the_asked_divergence_and_no_curl() -> None:
    noise = np.random.default_rng(0).standard_normal(GRID.shape).astype(np.float32)
    target = ndimage.gaussian_filter(noise, 2.0, mode="wrap")
    velocity = poisson_velocity(target, GRID)
    gradients = [np.gradient(component, GRID.spacing) for component in velocity]
    divergence = gradients[0][0] + gradients[1][1] + gradients[2][2]
    inner = (slice(3, -3),) * 3
    assert np.corrcoef(divergence[inner].ravel(), target[inner].ravel())[0, 1] > 0.98
    curl = gradients[0][1] - gradients[1][0]
    assert np.abs(curl[inner]).max() < 0.1 * np.abs(divergence[inner]).max()


def test_random_velocity_has_its_peak_and_follows_its_generator() -> None:
    first = random_velocity(GRID, 20.0, 5.0, np.random.default_rng(1))
    again = random_velocity(GRID, 20.0, 5.0, np.random.default_rng(1))
    np.testing.assert_array_equal(first, again)
    assert np.sqrt((first**2).sum(axis=0)).max() == pytest.approx(5.0, rel=1e-5)


def test_random_affine_stays_within_its_limits() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        matrix = random_affine(rng, degrees=2.0, shift_mm=2.0, scale=0.03)
        assert np.abs(matrix[:3, 3]).max() <= 2.0
        scales = np.linalg.svd(matrix[:3, :3], compute_uv=False)
        assert np.exp(-0.03) - 1e-9 <= scales.min() <= scales.max() <= np.exp(0.03) + 1e-9
        rotation = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=1, keepdims=True)
        assert np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)) <= np.deg2rad(2.0 * 3**0.5) + 1e-6
