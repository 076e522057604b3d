"""One scan becomes normalised frames in template space: the same steps for every scan and for prediction.

RAS order, N4, rigid and affine to MNI152, template brain mask, one interpolation onto the frame grid, robust
clip and z-score inside the mask. Deviations from the paper (which gives no MRI recipe): docs/decisions.md.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.bias import BiasField, estimate_bias, flatten, sample_bias
from neurofocus.data.frames import FrameGrid
from neurofocus.data.geometry import Affine, Array, voxel_sizes
from neurofocus.data.quality import measure, warn
from neurofocus.data.registration import refine_affine, register_coarse, shrink
from neurofocus.data.resample import frames_to_voxels, inside, on_frames, resample
from neurofocus.data.skull_strip import skull_strip
from neurofocus.data.template import template_on_frames
from neurofocus.data.volume import Volume, to_canonical
from neurofocus.errors import VolumeError
from neurofocus.schema.run import PrepareConfig

__all__ = ["PREPARE_VERSION", "PreparedCase", "prepare_case"]

# Part of every cache key: raise it whenever the same scan would give other frames.
PREPARE_VERSION = 2

_MIN_MASK_PIXELS = 1000
_MAX_EXTENT_MM = 600.0


@dataclass(frozen=True)
class PreparedCase:
    """One scan, ready for the model.

    Attributes:
        frames: [T, H, W] float32, z-scored inside the brain mask, exactly 0 outside it.
        world_to_template: Scan world mm to template world mm [4, 4].
        quality: Named measures of the scan and its registration (see ``quality.measure``).
        warnings: What the user should know, one line each.
    """

    frames: Array
    world_to_template: Affine
    quality: dict[str, float]
    warnings: tuple[str, ...]


def prepare_case(
    volume: Volume, prepare: PrepareConfig, grid: FrameGrid, *, in_template: bool = False
) -> PreparedCase:
    """Bring a scan into template space and onto the frame grid.

    Args:
        volume: The scan on its own grid, in any orientation.
        prepare: What to do.
        grid: Where the frames lie, from ``frame_grid``.
        in_template: The scan is already in MNI152 space: neither N4 nor registration is run.

    Raises:
        VolumeError: if it is no head by its size, cannot be registered, hardly any brain lies in the frames,
            or the brain is constant.
        ConfigError: if the brain mask needs an extra that is not installed.
    """
    scan = to_canonical(volume)
    world_to_template, field = np.eye(4), None
    if not in_template:
        _refuse_no_head(scan)
        try:
            world_to_template, field = _align(scan, prepare)
        except RuntimeError as error:  # SimpleITK: too few voxels, or none of them meets the template
            raise VolumeError(
                f"{scan.stem}: cannot be aligned with the brain template; give a T1 scan of a whole head, "
                "or check the voxel size in its header"
            ) from error
    to_voxels = frames_to_voxels(grid, scan.affine, world_to_template)
    raw = resample(scan.array, to_voxels, grid.shape)
    if field is not None:
        raw /= sample_bias(field, grid.affine, raw.shape)
    mask = _brain_mask(scan, prepare, grid, world_to_template) & inside(to_voxels, scan.array.shape, grid)
    frames = _normalise(raw, mask, prepare.clip_percentiles, scan.stem)
    quality = measure(scan, frames, mask, grid, world_to_template)
    return PreparedCase(frames, world_to_template, quality, (*volume.warnings, *warn(quality)))


def _refuse_no_head(scan: Volume) -> None:
    """Refuse a field of view that no head needs: searching it for a brain takes gigabytes and minutes."""
    extents = voxel_sizes(scan.affine) * np.array(scan.array.shape)
    if extents.max() > _MAX_EXTENT_MM:
        text = " x ".join(f"{extent:.0f}" for extent in extents)
        raise VolumeError(
            f"{scan.stem}: a field of view of {text} mm; at most {_MAX_EXTENT_MM:g} mm are searched for a head: "
            "cut the head out, or mend the voxel size in the header"
        )


def _align(scan: Volume, prepare: PrepareConfig) -> tuple[Affine, BiasField | None]:
    """Register a native scan and estimate its bias field: coarse, then N4, then fine on the corrected scan."""
    # Headers store affines as float32: rounding makes the 48 ways to store one scan give one registration.
    array, affine = shrink(_clip_bright(scan.array), np.round(scan.affine, 4), 2.0)
    world_to_template = np.eye(4)
    if prepare.registration == "affine":
        world_to_template = register_coarse(flatten(array, affine), affine)
    field = None
    if prepare.bias_correction:
        field = estimate_bias(*shrink(array, affine, 4.0), world_to_template)
    if prepare.registration == "affine":
        if field is not None:
            array = array / sample_bias(field, world_to_template @ affine, array.shape)
        world_to_template = refine_affine(array, affine, world_to_template)
    return world_to_template, field


def _clip_bright(array: Array) -> Array:
    """Clip a scan to 0..1 between its smallest value and the 99.5th percentile (fat and vessels outshine brain)."""
    low, high = np.percentile(array[::3, ::3, ::3], (0.0, 99.5))
    return np.asarray(np.clip((array - low) / max(high - low, 1e-30), 0.0, 1.0), dtype=np.float32)


def _brain_mask(
    scan: Volume, prepare: PrepareConfig, grid: FrameGrid, world_to_template: Affine
) -> NDArray[np.bool_]:
    """Return which pixels [T, H, W] are brain."""
    if prepare.brain_mask == "none":
        return np.ones(grid.shape, dtype=np.bool_)
    if prepare.brain_mask == "template":
        return template_on_frames(grid)[1]
    return on_frames(skull_strip(scan.array, scan.affine), world_to_template @ scan.affine, grid) > 0.5


def _normalise(raw: Array, mask: NDArray[np.bool_], percentiles: tuple[float, float], name: str) -> Array:
    """Clip at percentiles and z-score inside the mask; 0 outside."""
    values = raw[mask].astype(np.float64)
    if values.size < _MIN_MASK_PIXELS:
        raise VolumeError(
            f"{name}: only {values.size} pixels of the frames lie in the brain and the scan; "
            "check its orientation, or that it is a head scan, or prepare.range_mm"
        )
    low, high = np.percentile(values, percentiles)
    clipped = np.clip(values, low, high)
    deviation = float(clipped.std())
    if deviation <= 1e-6 * max(abs(low), abs(high)):
        raise VolumeError(f"{name}: the brain region is constant ({low:g}); give a scan with anatomy in it")
    frames = np.zeros(raw.shape, dtype=np.float32)
    frames[mask] = (clipped - clipped.mean()) / deviation
    return frames
