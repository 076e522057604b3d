"""Uneven brightness of a scan: a quick flattening to register by, and the bias field by N4.

N4 (Tustison 2010, IEEE TMI 29:1310) runs inside the brain in template space, so it needs a registration first.
Estimating it on a 6 mm grid over the template makes it independent of how the head lay in the scanner, keeps neck
and scalp out, and costs seconds. The field is applied where the frames are, so the scan is interpolated once.
"""

import numpy as np
from scipy import ndimage

from neurofocus.data.geometry import Affine, Array, inverse, voxel_sizes
from neurofocus.data.itk import one_thread, to_image
from neurofocus.data.resample import resample
from neurofocus.data.template import load_template

__all__ = ["BiasField", "estimate_bias", "flatten", "sample_bias"]

# At 6 mm the field differs from that at 4 mm by 0.5 % (its own standard deviation is 8 %) at a third of the time.
_STRIDE = 6
_ITERATIONS = (20, 20, 20)
_MIN_VOXELS = 600
_FLATTEN_MM = 25.0
_FLATTEN_STRIDE = 3
_FOREGROUND = 0.1

BiasField = tuple[Array, Affine]


def flatten(array: Array, affine: Affine) -> Array:
    """Divide a scan by the local mean of its foreground; crude, but no registration is needed for it.

    Args:
        array: Scan [X, Y, Z] within 0..1, voxels of about 2 mm.
        affine: Its voxels to mm.

    Returns:
        The scan [X, Y, Z] within 0..1.
    """
    part = (slice(None, None, _FLATTEN_STRIDE),) * 3
    sigma = _FLATTEN_MM / voxel_sizes(affine) / _FLATTEN_STRIDE
    thin = array[part]
    weight = (thin > _FOREGROUND).astype(np.float32)
    local = ndimage.gaussian_filter(thin * weight, sigma, truncate=3.0)
    local /= ndimage.gaussian_filter(weight, sigma, truncate=3.0) + 1e-3
    if local.max() <= 0.0:  # hardly any foreground: nothing to flatten
        return array
    local = np.maximum(local, 0.05 * local.max())
    flat = array / resample(local, np.diag([*[1 / _FLATTEN_STRIDE] * 3, 1.0]), array.shape, "nearest")
    bright = max(float(np.percentile(flat[part], 99.5)), 1e-6)
    return np.asarray(np.clip(flat / bright, 0.0, 1.0), dtype=np.float32)


def estimate_bias(array: Array, affine: Affine, world_to_template: Affine) -> BiasField | None:
    """Return the log bias field and its affine (voxel to template mm), or None where too little brain is seen.

    Args:
        array: Scan [X, Y, Z], smoothed to about 4 mm.
        affine: Its voxels to scan world mm.
        world_to_template: Scan world mm to template mm.
    """
    import SimpleITK as sitk

    template = load_template()
    part = (slice(None, None, _STRIDE),) * 3
    grid = template.affine @ np.diag([_STRIDE, _STRIDE, _STRIDE, 1.0])
    brain = template.mask[part]
    values = resample(array, inverse(world_to_template @ affine) @ grid, brain.shape)
    bright = brain & (values > 0.05 * np.percentile(values[brain], 95))
    if np.count_nonzero(bright) < _MIN_VOXELS:
        return None
    image = to_image(np.maximum(values, 1e-6), grid)
    mask = sitk.Cast(to_image(bright.astype(np.float32), grid) > 0.5, sitk.sitkUInt8)
    with one_thread():
        n4 = sitk.N4BiasFieldCorrectionImageFilter()
        n4.SetMaximumNumberOfIterations(list(_ITERATIONS))
        n4.Execute(image, mask)
        field: Array = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image)).T
    return np.asfortranarray(field, dtype=np.float32), grid


def sample_bias(field: BiasField, to_template: Affine, shape: tuple[int, ...]) -> Array:
    """Return the multiplicative bias on any grid; beyond the field its edge goes on.

    Args:
        field: From ``estimate_bias``.
        to_template: Index of the wanted grid to template mm [4, 4].
        shape: Its size.
    """
    log_bias = resample(field[0], inverse(field[1]) @ to_template, shape, "nearest")
    return np.asarray(np.exp(log_bias), dtype=np.float32)
