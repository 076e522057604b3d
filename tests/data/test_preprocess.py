"""A prepared case: normalised inside the brain, zero outside, blind to storage, scale and bias field."""

import itertools
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from neurofocus.data.bias import estimate_bias, flatten, sample_bias
from neurofocus.data.frames import frame_grid
from neurofocus.data.preprocess import PreparedCase, prepare_case
from neurofocus.data.resample import frames_to_voxels, inside
from neurofocus.data.template import load_template, template_on_frames
from neurofocus.data.volume import Volume
from neurofocus.errors import ConfigError, VolumeError
from neurofocus.schema.run import PrepareConfig

PREPARE = PrepareConfig(pixel_mm=2.0, slice_spacing_mm=4.0)
GRID = frame_grid(PREPARE, 96)


def template_scan(stride: int = 2, noise: float = 0.02) -> Volume:
    template = load_template()
    array = template.array[(slice(None, None, stride),) * 3]
    noisy = 0.1 + array + noise * np.random.default_rng(0).standard_normal(array.shape)
    affine = template.affine @ np.diag([stride, stride, stride, 1.0])
    return Volume(np.asfortranarray(noisy, dtype=np.float32), affine, "scan")


@pytest.fixture(scope="module")
def scan() -> Volume:
    return template_scan()


@pytest.fixture(scope="module")
def case(scan: Volume) -> PreparedCase:
    return prepare_case(scan, PREPARE, GRID, in_template=True)


def test_frames_are_normalised_inside_and_zero_outside(case: PreparedCase) -> None:
    mask = template_on_frames(GRID)[1]
    assert case.frames.dtype == np.float32
    assert case.frames.shape == GRID.shape
    assert (case.frames[~mask] == 0).all()
    inside = case.frames[mask].astype(np.float64)
    assert inside.mean() == pytest.approx(0, abs=1e-5)
    assert inside.std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(case.world_to_template, np.eye(4))
    assert case.warnings == ()


def test_a_scan_on_the_template_grid_is_not_interpolated(scan: Volume, case: PreparedCase) -> None:
    """Frame 5 is y = -50 mm: row 48 is z = 4, column 48 is x = 0; by hand from the voxels."""
    mask = template_on_frames(GRID)[1]
    y = round((-50 - scan.affine[1, 3]) / 2)
    z = round((4 - scan.affine[2, 3]) / 2)
    x = round((0 - scan.affine[0, 3]) / 2)
    plane = scan.array[:, y, :]
    frame, inside = case.frames[5], mask[5]
    by_hand = plane[x - 10 : x + 11, z - 5 : z + 6].T[::-1]
    part = (slice(48 - 5, 48 + 6), slice(48 - 10, 48 + 11))
    kept = inside[part]
    slope, shift = np.polyfit(by_hand[kept], frame[part][kept], 1)
    middle = np.abs(frame[part]) < frame.max() * 0.99
    np.testing.assert_allclose(
        frame[part][kept & middle], (slope * by_hand + shift)[kept & middle], atol=0.02
    )


def test_clip_and_z_score_by_hand(scan: Volume) -> None:
    prepare = PREPARE.model_copy(update={"clip_percentiles": (5.0, 90.0)})
    frames = prepare_case(scan, prepare, GRID, in_template=True).frames
    wide = prepare_case(
        scan, PREPARE.model_copy(update={"clip_percentiles": (0.0, 100.0)}), GRID, in_template=True
    ).frames
    mask = template_on_frames(GRID)[1]
    values = wide[mask].astype(np.float64)
    clipped = np.clip(values, *np.percentile(values, (5.0, 90.0)))
    np.testing.assert_allclose(frames[mask], (clipped - clipped.mean()) / clipped.std(), atol=1e-4)


def test_intensity_scale_and_offset_do_not_matter(scan: Volume, case: PreparedCase) -> None:
    other = prepare_case(replace(scan, array=scan.array * 37 + 400), PREPARE, GRID, in_template=True)
    np.testing.assert_allclose(other.frames, case.frames, atol=1e-3)


def test_storage_order_does_not_matter_at_all(scan: Volume, case: PreparedCase) -> None:
    for order, signs in itertools.product(
        itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)
    ):
        array, affine = scan.array.transpose(order), scan.affine.copy()
        affine[:, :3] = scan.affine[:, list(order)]
        for axis, sign in enumerate(signs):
            if sign < 0:
                affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
                affine[:3, axis] *= -1
                array = np.flip(array, axis)
        stored = Volume(np.ascontiguousarray(array), affine, "scan")
        assert prepare_case(stored, PREPARE, GRID, in_template=True).frames.tobytes() == case.frames.tobytes()


def test_quality_of_the_template_itself(case: PreparedCase) -> None:
    assert case.quality["affine_determinant"] == 1
    assert case.quality["rotation_degrees"] == 0
    assert case.quality["template_ncc"] > 0.9
    assert case.quality["brain_coverage"] == 1
    assert case.quality["spacing_min_mm"] == case.quality["spacing_max_mm"] == 2
    assert 0.1 < case.quality["mask_share"] < 0.6


def test_cut_field_of_view_is_zero_and_warned_about(scan: Volume) -> None:
    half = Volume(scan.array[:, :, : scan.array.shape[2] // 2], scan.affine, "half")
    case = prepare_case(half, PREPARE, GRID, in_template=True)
    top = round((4 - (scan.affine[2, 3] + 2 * half.array.shape[2])) / 2) + 48
    assert (case.frames[:, : top - 1] == 0).all()
    assert any("field of view holds only" in line for line in case.warnings)


def test_another_contrast_is_warned_about(scan: Volume) -> None:
    rng = np.random.default_rng(1)
    noise = Volume(rng.random(scan.array.shape, dtype=np.float32), scan.affine, "noise")
    assert any(
        "may not be a T1" in line for line in prepare_case(noise, PREPARE, GRID, in_template=True).warnings
    )


def test_warnings_of_the_file_are_kept(scan: Volume) -> None:
    case = prepare_case(replace(scan, warnings=("left from right",)), PREPARE, GRID, in_template=True)
    assert case.warnings == ("left from right",)


def test_scan_elsewhere_or_without_anatomy_is_refused(scan: Volume) -> None:
    away = scan.affine.copy()
    away[0, 3] += 1000
    with pytest.raises(VolumeError, match=r"^scan: only 0 pixels .*; check"):
        prepare_case(replace(scan, affine=away), PREPARE, GRID, in_template=True)
    flat = np.zeros_like(scan.array)
    flat[0, 0, 0] = 1
    with pytest.raises(VolumeError, match=r"^scan: the brain region is constant"):
        prepare_case(replace(scan, array=flat), PREPARE, GRID, in_template=True)


def test_without_a_brain_mask_everything_in_view_is_kept(scan: Volume) -> None:
    case = prepare_case(scan, PREPARE.model_copy(update={"brain_mask": "none"}), GRID, in_template=True)
    view = inside(frames_to_voxels(GRID, scan.affine, np.eye(4)), scan.array.shape, GRID.shape)
    np.testing.assert_array_equal(case.frames != 0, view)


def test_deepbet_is_named_when_it_is_missing(scan: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepbet", None)
    monkeypatch.setitem(sys.modules, "deepbet.bet", None)
    with pytest.raises(ConfigError, match=r'prepare\.brain_mask.*pip install "neurofocus\[deepbet\]"'):
        prepare_case(scan, PREPARE.model_copy(update={"brain_mask": "deepbet"}), GRID, in_template=True)


def test_deepbet_mask_is_used_where_it_is_installed(scan: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(image: Any) -> tuple[None, Any, None]:
        mask = np.zeros(image.shape, dtype=np.uint8)
        mask[: image.shape[0] // 2] = 1  # everything left of the middle
        return None, nib.Nifti1Image(mask, image.affine), None

    fake = ModuleType("deepbet.bet")
    fake.BrainExtraction = lambda no_gpu: SimpleNamespace(run=run)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "deepbet", ModuleType("deepbet"))
    monkeypatch.setitem(sys.modules, "deepbet.bet", fake)
    case = prepare_case(scan, PREPARE.model_copy(update={"brain_mask": "deepbet"}), GRID, in_template=True)
    assert (case.frames[:, :, :46] != 0).mean() > 0.9
    assert (case.frames[:, :, 50:] == 0).all()


@pytest.fixture(scope="module")
def shaded(scan: Volume) -> tuple[Volume, np.ndarray]:
    """The scan under a smooth bias field of factor 0.6 to 1.7."""
    axes = [np.linspace(-1, 1, size) for size in scan.array.shape]
    log_bias = 0.3 * axes[0][:, None, None] + 0.25 * axes[1][None, :, None] * axes[2][None, None, :]
    return replace(scan, array=(scan.array * np.exp(log_bias)).astype(np.float32)), log_bias.astype(
        np.float32
    )


def test_n4_finds_a_planted_bias_field(scan: Volume, shaded: tuple[Volume, np.ndarray]) -> None:
    volume, log_bias = shaded
    field = estimate_bias(volume.array, volume.affine, np.eye(4))
    clean = estimate_bias(scan.array, scan.affine, np.eye(4))
    assert field is not None
    assert clean is not None
    shape = volume.array.shape
    found = np.log(sample_bias(field, volume.affine, shape) / sample_bias(clean, volume.affine, shape))
    brain = load_template().mask[::2, ::2, ::2]
    assert np.corrcoef(found[brain], log_bias[brain])[0, 1] > 0.95


def test_bias_correction_brings_frames_back(
    scan: Volume, shaded: tuple[Volume, np.ndarray], case: PreparedCase
) -> None:
    volume, _ = shaded
    mask = template_on_frames(GRID)[1]

    def likeness(correct: bool, given: Volume) -> float:
        prepare = PREPARE.model_copy(update={"registration": "none", "bias_correction": correct})
        frames = prepare_case(given, prepare, GRID).frames
        return float(np.corrcoef(frames[mask], case.frames[mask])[0, 1])

    assert likeness(False, scan) == pytest.approx(1, abs=1e-5)
    corrected = likeness(True, volume)
    assert corrected > likeness(False, volume) + 0.05
    assert corrected > 0.95


def test_bias_needs_some_brain(scan: Volume) -> None:
    away = scan.affine.copy()
    away[0, 3] += 500
    assert estimate_bias(scan.array, away, np.eye(4)) is None


def test_flatten_evens_out_brightness(shaded: tuple[Volume, np.ndarray]) -> None:
    volume, log_bias = shaded
    template = load_template()
    brain = template.mask[::2, ::2, ::2]
    array = template.array[::2, ::2, ::2] * np.exp(log_bias)
    array /= array.max()
    flat = flatten(array, volume.affine)
    assert 0 <= flat.min() <= flat.max() <= 1
    before = abs(np.corrcoef(array[brain], log_bias[brain])[0, 1])
    after = abs(np.corrcoef(flat[brain], log_bias[brain])[0, 1])
    assert after < before / 2
