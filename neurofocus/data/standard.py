"""One scan on the template's own 1 mm grid: what ``neurofocus prepare`` writes and looks at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.alignment import Alignment
from neurofocus.data.bias import sample_bias
from neurofocus.data.geometry import Affine, Array, inverse
from neurofocus.data.resample import inside, resample
from neurofocus.data.skull_strip import skull_strip
from neurofocus.data.template import load_template
from neurofocus.data.volume import Volume
from neurofocus.errors import VolumeError
from neurofocus.schema.run import PrepareConfig

__all__ = ["STANDARD_SETTINGS", "STANDARD_VERSION", "StandardScan", "to_standard"]

# Raise it whenever the same scan would give another volume, mask or measure.
STANDARD_VERSION = 1
# The settings (of PrepareConfig) that decide them.
STANDARD_SETTINGS = ("registration", "bias_correction", "brain_mask")
_MIN_BRAIN_VOXELS = 10_000


@dataclass(frozen=True)
class StandardScan:
    """A scan in MNI152NLin2009aSym at 1 mm.

    Attributes:
        array: Bias-corrected intensity [X, Y, Z] on the template's grid, in the scan's own units, with everything
            that the scan shows (scalp too); 0 outside its field of view.
        view: Which voxels its field of view holds.
        brain: The brain inside the field of view; None if no mask is wanted.
        world_to_template: Scan world mm to template world mm [4, 4].
    """

    array: Array
    view: NDArray[np.bool_]
    brain: NDArray[np.bool_] | None
    world_to_template: Affine


def to_standard(scan: Volume, prepare: PrepareConfig, alignment: Alignment | None) -> StandardScan:
    """Bring a scan onto the template's grid in one linear interpolation.

    Args:
        scan: In canonical orientation.
        prepare: Its ``brain_mask`` says which mask.
        alignment: Of this scan; None if it is in template space.

    Raises:
        VolumeError: if hardly any of the template's brain lies in the scan.
        ConfigError: if the brain mask needs an extra that is not installed.
    """
    template = load_template()
    world_to_template = np.eye(4) if alignment is None else alignment.world_to_template
    to_voxels = inverse(world_to_template @ scan.affine) @ template.affine
    view = inside(to_voxels, scan.array.shape, template.array.shape)
    if np.count_nonzero(view & template.mask) < _MIN_BRAIN_VOXELS:
        raise VolumeError(
            f"{scan.stem}: hardly any brain lies in the scan; check its orientation, or that it is a head scan"
        )
    array = resample(scan.array, to_voxels, template.array.shape)
    if alignment is not None and alignment.field is not None:
        array /= sample_bias(alignment.field, template.affine, array.shape)
    brain = None
    if prepare.brain_mask == "template":
        brain = template.mask & view
    elif prepare.brain_mask == "deepbet":
        native = skull_strip(scan.array, scan.affine)
        brain = (resample(native, to_voxels, template.array.shape) > 0.5) & view
    return StandardScan(array, view, brain, world_to_template)
