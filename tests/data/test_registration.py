"""Registration to MNI152: known poses are found, real heads end in the same place however they lay."""

import importlib.util
import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from neurofocus.data.frames import frame_grid
from neurofocus.data.geometry import apply_affine, canonical, corners, inverse
from neurofocus.data.pose import BRAIN_CENTRE_MM, find_poses
from neurofocus.data.preprocess import PreparedCase, prepare_case
from neurofocus.data.registration import refine_affine, register_coarse, shrink
from neurofocus.data.template import load_template, template_on_frames
from neurofocus.data.volume import Volume, read_volume, to_canonical
from neurofocus.schema.run import PrepareConfig

PREPARE = PrepareConfig()
GRID = frame_grid(PREPARE, 192)


def turn(
    angles: tuple[float, float, float], shift: tuple[float, float, float] = (0, 0, 0)
) -> NDArray[np.float64]:
    """A rigid motion of the world: degrees about x, y, z, then mm."""
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    motion[:3, 3] = shift
    return motion


def landmarks() -> NDArray[np.float64]:
    """Template mm of brain points every 8 mm."""
    template = load_template()
    return apply_affine(template.affine, np.argwhere(template.mask[::8, ::8, ::8]) * 8.0)


def errors(found: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance in template mm between where two scan-to-template affines put each landmark."""
    points = landmarks()
    return np.asarray(np.linalg.norm(apply_affine(found @ inverse(true), points) - points, axis=1))


def template_head(angles: tuple[float, float, float], scale: float) -> tuple[Volume, NDArray[np.float64]]:
    """The template's brain as a smaller head in another pose, on a 2 mm grid, and the truth."""
    template = load_template()
    template_to_scan = turn(angles, (14, -22, 9)) @ np.diag([scale, scale, scale * 0.97, 1.0])
    array, affine = shrink(template.array, template_to_scan @ template.affine, 2.0 * scale)
    return Volume(np.asfortranarray(array), affine, "head"), inverse(template_to_scan)


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (22.0, -12.0, 15.0)])
def test_pose_search_finds_place_turn_and_size(angles: tuple[float, float, float]) -> None:
    head, truth = template_head(angles, 0.86)
    best = find_poses(head.array, head.affine, 1)[0]
    centre = apply_affine(inverse(truth), np.array(BRAIN_CENTRE_MM))
    assert np.linalg.norm(best.centre - centre) < 10
    missed = best.rotation @ Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    assert np.degrees(Rotation.from_matrix(missed).magnitude()) < 20
    assert 0.8 < best.scale < 0.92
    assert best.score > 0.8


def test_pose_search_doubts_a_header_that_lies_by_a_quarter_turn() -> None:
    head, truth = template_head((90.0, 0.0, 0.0), 0.86)
    best = find_poses(head.array, head.affine, 1)[0]
    assert np.linalg.norm(best.centre - apply_affine(inverse(truth), np.array(BRAIN_CENTRE_MM))) < 10
    missed = best.rotation @ turn((90.0, 0.0, 0.0))[:3, :3]
    assert np.degrees(Rotation.from_matrix(missed).magnitude()) < 20


@pytest.mark.slow
def test_known_affine_is_recovered_and_repeatable() -> None:
    head, truth = template_head((18.0, 9.0, -14.0), 0.88)
    found = register_coarse(head.array, head.affine)
    assert errors(found, truth).max() < 2
    fine = refine_affine(head.array, head.affine, found)
    assert errors(fine, truth).max() < 0.7
    assert refine_affine(head.array, head.affine, found).tobytes() == fine.tobytes(), "bit-identical"


def test_shrink_keeps_the_world_in_place() -> None:
    ramp = np.add.outer(np.add.outer(np.arange(40.0), 2 * np.arange(30.0)), 0 * np.arange(24.0)).astype(
        np.float32
    )
    small, affine = shrink(ramp, np.diag([1.0, 1, 2, 1]), 2.0)
    assert small.shape == (20, 15, 24)
    np.testing.assert_allclose(affine, np.diag([2.0, 2, 2, 1]))
    np.testing.assert_allclose(small[5:15, 4:10, 5], ramp[10:30:2, 8:20:2, 5], atol=1e-3)


# The average whole head that pydeface ships: scalp, skull, neck; an oblique header.


@pytest.fixture(scope="module")
def head() -> Volume:
    spec = importlib.util.find_spec("pydeface")
    assert spec is not None
    assert spec.origin is not None
    return to_canonical(read_volume(Path(spec.origin).parent / "data" / "mean_reg2mean.nii.gz"))


@pytest.fixture(scope="module")
def native(head: Volume) -> PreparedCase:
    return prepare_case(head, PREPARE, GRID)


def rotated_on_a_new_grid(head: Volume, motion: NDArray[np.float64]) -> Volume:
    """The head turned and interpolated onto an axis-aligned 1 mm grid."""
    affine = motion @ head.affine
    ends = apply_affine(affine, corners(head.array.shape))
    grid = np.eye(4)
    grid[:3, 3] = ends.min(axis=0)
    shape = tuple(int(size) for size in np.ceil(np.ptp(ends, axis=0)) + 1)
    matrix = inverse(affine) @ grid
    array = ndimage.affine_transform(head.array, matrix[:3, :3], matrix[:3, 3], shape, np.float32, order=1)
    return Volume(np.asfortranarray(array), grid, "turned")


def likeness(one: PreparedCase, two: PreparedCase) -> float:
    mask = template_on_frames(GRID)[1]
    return float(np.corrcoef(one.frames[mask], two.frames[mask])[0, 1])


def test_all_48_ways_to_store_the_head_give_one_registration_input(head: Volume) -> None:
    """The array is bit-identical (test_volume), so the affine as float32 header must round to one value."""
    seen = set()
    for order, signs in itertools.product(
        itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)
    ):
        affine = head.affine.copy()
        affine[:, :3] = head.affine[:, list(order)]
        shape = [head.array.shape[axis] for axis in order]
        for axis, sign in enumerate(signs):
            if sign < 0:
                affine[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
                affine[:3, axis] *= -1
        empty = np.broadcast_to(np.float32(0), shape)
        seen.add(np.round(canonical(empty, affine.astype(np.float32).astype(np.float64))[1], 4).tobytes())
    assert len(seen) == 1


@pytest.mark.slow
def test_whole_head_is_registered_plausibly(native: PreparedCase) -> None:
    assert native.warnings == ()
    assert 1.3 < native.quality["affine_determinant"] < 1.9
    assert native.quality["template_ncc"] > 0.7
    assert native.quality["brain_coverage"] == 1
    target, mask = template_on_frames(GRID)
    assert np.corrcoef(native.frames[mask], target[mask])[0, 1] > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("angles", [(15.0, 0.0, 0.0), (0.0, 15.0, 0.0), (0.0, 0.0, 15.0)])
def test_head_turned_by_15_degrees_gives_the_same_frames(
    head: Volume, native: PreparedCase, angles: tuple[float, float, float]
) -> None:
    motion = turn(angles, (5, -8, 12))
    case = prepare_case(rotated_on_a_new_grid(head, motion), PREPARE, GRID)
    assert likeness(case, native) > 0.98
    assert errors(case.world_to_template @ motion, native.world_to_template).max() < 2
    template = load_template()
    index = inverse(native.world_to_template @ inverse(case.world_to_template @ motion) @ template.affine)
    moved = ndimage.affine_transform(
        template.mask.astype(np.float32), *_parts(index @ template.affine), order=1, output=np.float32
    )
    dice = 2 * (template.mask & (moved > 0.5)).sum() / (template.mask.sum() + (moved > 0.5).sum())
    assert dice > 0.95


def _parts(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return matrix[:3, :3], matrix[:3, 3]


@pytest.mark.slow
def test_head_with_an_oblique_header_of_30_degrees(head: Volume, native: PreparedCase) -> None:
    motion = turn((-30.0, 5.0, 10.0), (20, 10, -30))
    case = prepare_case(Volume(head.array, motion @ head.affine, "oblique"), PREPARE, GRID)
    assert likeness(case, native) > 0.98
    assert errors(case.world_to_template @ motion, native.world_to_template).max() < 2


@pytest.mark.slow
def test_head_in_another_axis_order_gives_the_same_frames(
    head: Volume, native: PreparedCase, tmp_path: Path
) -> None:
    array = np.flip(head.array.transpose(2, 0, 1), (0, 2))
    affine = head.affine[:, [2, 0, 1, 3]]
    for axis in (0, 2):
        affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
        affine[:3, axis] *= -1
    nib.save(nib.Nifti1Image(np.ascontiguousarray(array), affine), tmp_path / "a.nii")
    case = prepare_case(read_volume(tmp_path / "a.nii"), PREPARE, GRID)
    np.testing.assert_allclose(case.frames, native.frames, atol=1e-3)


@pytest.mark.slow
def test_stripped_and_thick_sliced_heads(head: Volume, native: PreparedCase) -> None:
    template = load_template()
    index = inverse(template.affine) @ native.world_to_template @ head.affine
    brain = ndimage.affine_transform(
        template.mask.astype(np.float32), *_parts(index), head.array.shape, np.float32, order=1
    )
    stripped = Volume(np.asfortranarray(head.array * (brain > 0.5)), head.affine, "stripped")
    assert errors(prepare_case(stripped, PREPARE, GRID).world_to_template, native.world_to_template).max() < 2
    thick = Volume(np.asfortranarray(head.array[:, :, ::3]), head.affine @ np.diag([1, 1, 3, 1.0]), "thick")
    assert errors(prepare_case(thick, PREPARE, GRID).world_to_template, native.world_to_template).mean() < 2


@pytest.mark.slow
def test_a_quarter_turn_in_the_header_is_undone_and_said(head: Volume, native: PreparedCase) -> None:
    motion = turn((90.0, 0.0, 0.0))
    case = prepare_case(Volume(head.array, motion @ head.affine, "lying"), PREPARE, GRID)
    assert errors(case.world_to_template @ motion, native.world_to_template).max() < 2
    assert any("degrees from where the header says" in line for line in case.warnings)
