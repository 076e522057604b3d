import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from neurofocus.data.frames import FrameGrid, frame_grid
from neurofocus.explain.projection import (
    axis_aligned,
    frame_to_world,
    sample_plane,
    to_scan_grid,
    world_bounds,
)
from neurofocus.schema.run import PrepareConfig

_PEAK_MM = np.array([27.0, -18.0, -17.0])


def _grid(size: int = 64, axis: str = "coronal") -> FrameGrid:
    return frame_grid(PrepareConfig.model_validate({"axis": axis, "pixel_mm": 2.8}), size)


def _spot(grid: FrameGrid, center_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    shape = (grid.num_frames, grid.frame_size, grid.frame_size)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    world = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    return np.exp(-((world - center_mm) ** 2).sum(-1) / (2 * 6.0**2)).astype(np.float32)


def _stored(order: tuple[int, ...], flips: tuple[bool, ...]) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Shape and affine of one 2 x 2.5 x 3 mm grid around the head, stored in another axis order and direction."""
    shape, spacing, origin = (90, 80, 66), (2.0, 2.5, 3.0), (-90.0, -120.0, -80.0)
    affine = np.eye(4)
    affine[:3, :3] = 0
    affine[:3, 3] = origin
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        affine[old, new] = -spacing[old] if flip else spacing[old]
        if flip:
            affine[old, 3] += spacing[old] * (shape[old] - 1)
    return tuple(shape[old] for old in order), affine


def _peak_world(volume: NDArray[np.float32], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    index = np.array(np.unravel_index(int(np.argmax(volume)), volume.shape))
    return affine[:3, :3] @ index + affine[:3, 3]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_peak_stays_in_place_in_all_48_storage_orders(order: tuple[int, ...]) -> None:
    grid = _grid(48)
    saliency = _spot(grid, _PEAK_MM)
    for flips in itertools.product((False, True), repeat=3):
        shape, affine = _stored(order, flips)
        volume = to_scan_grid(saliency, grid, np.eye(4), shape, affine)
        assert volume.shape == shape
        assert volume.dtype == np.float32
        assert np.all(np.abs(_peak_world(volume, affine) - _PEAK_MM) <= 1.5 * np.array([2.0, 2.5, 3.0]))


@pytest.mark.parametrize("axis", ["coronal", "axial", "sagittal"])
def test_the_peak_stays_in_place_in_an_oblique_scan_with_a_registration(axis: str) -> None:
    grid = _grid(axis=axis)
    to_template = np.eye(4)
    to_template[:3, :3] = Rotation.from_euler("xyz", [15, -10, 7], degrees=True).as_matrix() * 1.05
    to_template[:3, 3] = [5, -12, 9]
    shape, affine = _stored((2, 0, 1), (True, False, True))
    affine = np.linalg.inv(to_template) @ affine
    volume = to_scan_grid(_spot(grid, _PEAK_MM), grid, to_template, shape, affine)
    found = to_template @ np.append(_peak_world(volume, affine), 1.0)
    assert np.linalg.norm(found[:3] - _PEAK_MM) <= 1.5 * 3.0


def test_resampling_is_trilinear() -> None:
    grid = FrameGrid(num_frames=6, frame_size=8, affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    index = np.stack(np.meshgrid(np.arange(6), np.arange(8), np.arange(8), indexing="ij"), axis=-1)
    linear = (1 + index @ np.array([1.0, 0.5, 0.25])).astype(np.float32)
    fine = to_scan_grid(linear, grid, np.eye(4), (11, 15, 15), np.eye(4))
    ticks = np.stack(np.meshgrid(np.arange(11), np.arange(15), np.arange(15), indexing="ij"), axis=-1)
    np.testing.assert_allclose(fine, 1 + ticks / 2 @ np.array([1.0, 0.5, 0.25]), rtol=1e-6)


def test_nothing_lies_outside_the_frames() -> None:
    grid = _grid()
    shape, affine = _stored((0, 1, 2), (False, False, False))
    volume = to_scan_grid(
        np.ones((grid.num_frames, 64, 64), dtype=np.float32), grid, np.eye(4), shape, affine
    )
    y = affine[1, 3] + affine[1, 1] * np.arange(shape[1])
    assert np.all(volume[:, (y < -72) | (y > 42)] == 0)
    assert np.all(volume[45, (y >= -70) & (y <= 40), 30] > 0.999)


def test_empty_saliency_gives_an_empty_volume_and_a_far_scan_too() -> None:
    grid = _grid()
    shape, affine = _stored((0, 1, 2), (False, False, False))
    zero = np.zeros((grid.num_frames, 64, 64), dtype=np.float32)
    assert not to_scan_grid(zero, grid, np.eye(4), shape, affine).any()
    affine[:3, 3] += 1000
    assert not to_scan_grid(zero + 1, grid, np.eye(4), shape, affine).any()


def test_memory_is_little_more_than_the_result() -> None:
    grid = _grid()
    saliency = np.ones((grid.num_frames, 64, 64), dtype=np.float32)
    affine = np.diag([0.9, 0.9, 0.9, 1.0])
    affine[:3, 3] = [-90, -120, -80]
    tracemalloc.start()
    volume = to_scan_grid(saliency, grid, np.eye(4), (200, 240, 200), affine)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.2 * volume.nbytes + 4 * saliency.nbytes


def test_boxes_in_world_millimetres_by_hand() -> None:
    # Coronal: frames run along +y in 2 mm steps from -70, rows along -z, columns along +x, pixels of 1 mm.
    grid = frame_grid(PrepareConfig(), 128)
    top_left = grid.affine @ np.array([10, 0, 0, 1.0])
    (box,) = frame_to_world(np.array([10]), np.array([[32.0, 20.0, 40.0, 64.0]]), grid)
    assert box.center[1] == pytest.approx(-50.0)
    assert box.center[0] == pytest.approx(top_left[0] + 31.5)
    assert box.center[2] == pytest.approx(top_left[2] - 19.5)
    # The box starts at the outer edge of the first pixel: half a pixel before its centre.
    np.testing.assert_allclose(box.corners[0], top_left[:3] + np.array([-0.5, 0, 0.5]))
    np.testing.assert_allclose(box.corners[2], top_left[:3] + np.array([63.5, 0, -39.5]))


@settings(max_examples=25)
@given(st.lists(st.floats(-20, 20), min_size=6, max_size=6))
def test_boxes_go_through_the_registration_and_back(numbers: list[float]) -> None:
    grid = _grid()
    to_template = np.eye(4)
    to_template[:3, :3] = Rotation.from_euler("xyz", numbers[:3], degrees=True).as_matrix()
    to_template[:3, 3] = numbers[3:]
    frames, boxes = np.array([3, 40]), np.array([[30.0, 20, 28, 40], [32, 32, 64, 64]])
    for scan, template in zip(
        frame_to_world(frames, boxes, grid, to_template), frame_to_world(frames, boxes, grid), strict=True
    ):
        back = scan.corners @ to_template[:3, :3].T + to_template[:3, 3]
        np.testing.assert_allclose(back, template.corners, atol=1e-9)
        np.testing.assert_allclose(scan.corners.mean(axis=0), scan.center, atol=1e-9)


def test_axis_aligned_keeps_the_world() -> None:
    shape, affine = _stored((1, 2, 0), (True, False, True))
    rotated = np.eye(4)
    rotated[:3, :3] = Rotation.from_euler("z", 20, degrees=True).as_matrix()
    affine = rotated @ affine
    grid = _grid()
    volume = to_scan_grid(_spot(grid, _PEAK_MM), grid, np.eye(4), shape, affine)
    straight, new_affine = axis_aligned(volume, affine, 2.0)
    np.testing.assert_array_equal(new_affine[:3, :3], np.diag([2.0, 2.0, 2.0]))
    assert np.linalg.norm(_peak_world(straight, new_affine) - _PEAK_MM) <= 3.5
    low, high = world_bounds(shape, affine)
    np.testing.assert_allclose(new_affine[:3, 3], low)
    assert np.all(new_affine[:3, 3] + 2.0 * (np.array(straight.shape) - 1) >= high - 1e-6)


def test_a_plane_of_a_linear_volume_is_linear() -> None:
    shape, affine = _stored((2, 1, 0), (True, True, False))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    volume = (world @ np.array([1.0, 2.0, 3.0])).astype(np.float32)
    bounds = (np.array([-20.0, -30.0, -10.0]), np.array([20.0, 30.0, 10.0]))
    plane = sample_plane(volume, affine, (1, 5.0, 1.0), bounds)
    x, z = np.meshgrid(np.arange(-20, 21), np.arange(-10, 11), indexing="ij")
    np.testing.assert_allclose(plane, x + 10 + 3 * z, atol=1e-3)
