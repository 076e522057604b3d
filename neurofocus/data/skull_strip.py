"""Brain extraction by deepbet (Fisch et al. 2024), an optional extra; the default mask is the template's."""

import numpy as np

from neurofocus.data.geometry import Affine, Array
from neurofocus.errors import ConfigError

__all__ = ["skull_strip"]


def skull_strip(array: Array, affine: Affine) -> Array:
    """Return the brain mask [X, Y, Z] (0 or 1) of a scan in RAS order.

    Raises:
        ConfigError: if deepbet is not installed.
    """
    try:
        from deepbet.bet import BrainExtraction
    except ImportError as error:
        raise ConfigError(
            'prepare.brain_mask: "deepbet" is not installed; accepted without it: template, none; '
            'run pip install "neurofocus[deepbet]"'
        ) from error
    import nibabel as nib

    mask = BrainExtraction(no_gpu=True).run(nib.Nifti1Image(array, affine))[1]
    return np.asarray(mask.get_fdata(dtype=np.float32) > 0.5, dtype=np.float32)
