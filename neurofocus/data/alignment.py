"""What is expensive about preparing a scan: where its head lies in MNI152 and how unevenly it shines.

It depends on the scan and on two settings only, so it is kept apart from the frames: another axis, spacing or
pixel size needs no second registration.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from neurofocus.data.bias import BiasField, estimate_bias, flatten, sample_bias
from neurofocus.data.geometry import Affine, Array, voxel_sizes
from neurofocus.data.registration import refine_affine, register_coarse, shrink
from neurofocus.data.volume import Volume
from neurofocus.errors import VolumeError
from neurofocus.schema.run import PrepareConfig

__all__ = ["ALIGN_SETTINGS", "ALIGN_VERSION", "Alignment", "align", "timed"]

# Part of the key of every stored alignment and of every prepared case: raise it whenever the same scan would be
# aligned otherwise. 1: with PREPARE_VERSION 2, before alignments had a version of their own.
ALIGN_VERSION = 2
# The settings (of PrepareConfig) that decide an alignment.
ALIGN_SETTINGS = ("registration", "bias_correction")

_MAX_EXTENT_MM = 600.0


@dataclass(frozen=True)
class Alignment:
    """Where a scan lies and how it is shaded.

    Attributes:
        world_to_template: Scan world mm to template world mm [4, 4].
        field: Log bias field on a coarse template grid with its affine; None: not corrected.
        seconds: What each stage took (coarse, n4, fine) when it was computed.
    """

    world_to_template: Affine
    field: BiasField | None
    seconds: dict[str, float]


def align(scan: Volume, prepare: PrepareConfig) -> Alignment:
    """Register a native scan and estimate its bias field: coarse, then N4, then fine on the corrected scan.

    Args:
        scan: In canonical orientation (``to_canonical``).
        prepare: Its ``registration`` and ``bias_correction`` say what to do.

    Raises:
        VolumeError: if it is no head by its size, or cannot be registered.
    """
    _refuse_no_head(scan)
    try:
        return _align(scan, prepare)
    except RuntimeError as error:  # SimpleITK: too few voxels, or none of them meets the template
        raise VolumeError(
            f"{scan.stem}: cannot be aligned with the brain template; give a T1 scan of a whole head, "
            "or check the voxel size in its header"
        ) from error


def _align(scan: Volume, prepare: PrepareConfig) -> Alignment:
    seconds: dict[str, float] = {}
    with timed(seconds, "coarse"):
        # Headers store affines as float32: rounding makes the 48 ways to store one scan give one registration.
        array, affine = shrink(_clip_bright(scan.array), np.round(scan.affine, 4), 2.0)
        world_to_template = np.eye(4)
        if prepare.registration == "affine":
            world_to_template = register_coarse(flatten(array, affine), affine)
    field = None
    if prepare.bias_correction:
        with timed(seconds, "n4"):
            field = estimate_bias(*shrink(array, affine, 4.0), world_to_template)
    if prepare.registration == "affine":
        with timed(seconds, "fine"):
            if field is not None:
                array = array / sample_bias(field, world_to_template @ affine, array.shape)
            world_to_template = refine_affine(array, affine, world_to_template)
    return Alignment(world_to_template, field, seconds)


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Note under the stage's name how many seconds the block took."""
    started = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - started, 3)


def _refuse_no_head(scan: Volume) -> None:
    """Refuse a field of view that no head needs: searching it for a brain takes gigabytes and minutes."""
    extents = voxel_sizes(scan.affine) * np.array(scan.array.shape)
    if extents.max() > _MAX_EXTENT_MM:
        text = " x ".join(f"{extent:.0f}" for extent in extents)
        raise VolumeError(
            f"{scan.stem}: a field of view of {text} mm; at most {_MAX_EXTENT_MM:g} mm are searched for a head: "
            "cut the head out, or mend the voxel size in the header"
        )


def _clip_bright(array: Array) -> Array:
    """Clip a scan to 0..1 between its smallest value and the 99.5th percentile (fat and vessels outshine brain)."""
    low, high = np.percentile(array[::3, ::3, ::3], (0.0, 99.5))
    scaled = array - np.float32(low)
    scaled /= np.float32(max(high - low, 1e-30))
    return np.asarray(np.clip(scaled, 0.0, 1.0, out=scaled), dtype=np.float32)
