"""One scan becomes normalised frames in template space: the same steps for every scan and for prediction.

RAS order, N4, rigid and affine to MNI152, template brain mask, one interpolation onto the frame grid, robust
clip and z-score inside the mask. Deviations from the paper (which gives no MRI recipe): docs/decisions.md.
"""

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.alignment import Alignment, align, timed
from neurofocus.data.bias import sample_bias
from neurofocus.data.frames import FrameGrid
from neurofocus.data.geometry import Affine, Array
from neurofocus.data.quality import measure, warn
from neurofocus.data.resample import frames_to_voxels, inside, on_frames, resample
from neurofocus.data.skull_strip import skull_strip
from neurofocus.data.template import template_on_frames
from neurofocus.data.volume import Volume, to_canonical
from neurofocus.errors import VolumeError
from neurofocus.schema.run import PrepareConfig

__all__ = ["PREPARE_VERSION", "PreparedCase", "named_in_template", "prepare_case"]

# Part of every cache key: raise it whenever the same scan would give other frames.
PREPARE_VERSION = 2

_MIN_MASK_PIXELS = 1000
_IN_TEMPLATE = re.compile(r"_space-MNI152[A-Za-z0-9]*(_|$)")


@dataclass(frozen=True)
class PreparedCase:
    """One scan, ready for the model.

    Attributes:
        frames: [T, H, W] float32, z-scored inside the brain mask, exactly 0 outside it.
        world_to_template: Scan world mm to template world mm [4, 4].
        quality: Named measures of the scan and its registration (see ``quality.measure``).
        warnings: What the user should know, one line each.
        seconds: What each stage took: coarse, n4, fine where they were run, frames; empty where frames were stored.
    """

    frames: Array
    world_to_template: Affine
    quality: dict[str, float]
    warnings: tuple[str, ...]
    seconds: dict[str, float] = field(default_factory=dict)


def named_in_template(stem: str) -> bool:
    """Say whether a scan's name tells (as BIDS does) that it is in MNI152 space already."""
    return _IN_TEMPLATE.search(stem) is not None


def prepare_case(
    volume: Volume,
    prepare: PrepareConfig,
    grid: FrameGrid,
    *,
    in_template: bool = False,
    alignment: Alignment | None = None,
) -> PreparedCase:
    """Bring a scan into template space and onto the frame grid.

    Args:
        volume: The scan on its own grid, in any orientation.
        prepare: What to do.
        grid: Where the frames lie, from ``frame_grid``.
        in_template: The scan is already in MNI152 space: neither N4 nor registration is run.
        alignment: Of this scan under these settings, if it is known; else it is computed.

    Raises:
        VolumeError: if it is no head by its size, cannot be registered, hardly any brain lies in the frames,
            or the brain is constant.
        ConfigError: if the brain mask needs an extra that is not installed.
    """
    scan = to_canonical(volume)
    world_to_template, bias = np.eye(4), None
    seconds: dict[str, float] = {}
    if not in_template:
        found = alignment or align(scan, prepare)
        world_to_template, bias = found.world_to_template, found.field
        seconds |= found.seconds
    with timed(seconds, "frames"):
        to_voxels = frames_to_voxels(grid, scan.affine, world_to_template)
        raw = resample(scan.array, to_voxels, grid.shape)
        if bias is not None:
            raw /= sample_bias(bias, grid.affine, raw.shape)
        mask = _brain_mask(scan, prepare, grid, world_to_template) & inside(
            to_voxels, scan.array.shape, grid.shape
        )
        frames = _normalise(raw, mask, prepare.clip_percentiles, scan.stem)
        quality = measure(scan, frames, mask, grid, world_to_template)
    return PreparedCase(frames, world_to_template, quality, (*volume.warnings, *warn(quality)), seconds)


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
