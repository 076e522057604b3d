"""Measures of one scan and its registration, for comparison inside a cohort (no fixed thresholds).

Names and formulas follow MRIQC (Esteban 2017, PLoS ONE 12:e0184661) where it has them, except that the noise is
estimated inside white matter: archives deliver scans whose air was set to 0 by masking or defacing. Tissues are the
template's sure grey and white matter, so a failed registration shows in every measure.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from neurofocus.data.geometry import Affine, Array, apply_affine, inverse, voxel_sizes
from neurofocus.data.quality import correlation, rotation_degrees
from neurofocus.data.resample import resample
from neurofocus.data.standard import StandardScan
from neurofocus.data.template import load_template, load_tissues
from neurofocus.data.volume import Volume

__all__ = ["MEASURES", "measure_scan"]

# Name -> (which side is suspicious, meaning and unit).
MEASURES: dict[str, tuple[str, str]] = {
    "affine_determinant": ("both", "volume change from scan to template; the template is an enlarged brain"),
    "shear": ("high", "largest shear of the affine (upper triangular factor of its QR decomposition)"),
    "scale_ratio": ("high", "largest over smallest scale of the affine"),
    "rotation_degrees": ("high", "how far registration turned the head"),
    "template_ncc": ("low", "Pearson correlation with the template inside its brain"),
    "mask_dice": (
        "low",
        "Dice of the scan's own brain with the template's; n/a for whole heads without deepbet",
    ),
    "brain_volume_ml": (
        "both",
        "template brain brought to the scan's size (Buckner 2004, NeuroImage 23:724)",
    ),
    "centroid_offset_mm": ("high", "between the brightness centroids of scan and template inside the brain"),
    "brain_coverage": ("low", "share of the template's brain inside the field of view"),
    "edge_margin_mm": (
        "low",
        "least distance from brain to the end of the field of view, in template mm; below 0: cut",
    ),
    "noise_percent": ("high", "noise in white matter as a share of its brightness (pseudo-residuals)"),
    "snr_white": ("low", "mean over standard deviation in white matter (MRIQC snr_wm)"),
    "cnr": ("low", "white minus grey mean over the root of their variances and the noise's (MRIQC cnr)"),
    "cjv": ("high", "sum of both standard deviations over the difference of the means (MRIQC cjv)"),
    "spacing_max_mm": ("high", "longest voxel edge of the scan"),
}
_STRIPPED_SHARE = 0.98
_NOTHING = 1e-3
_STRIDE = 4


def measure_scan(scan: Volume, standard: StandardScan) -> dict[str, float | None]:
    """Return every measure of ``MEASURES``; None where a measure has no meaning for this scan.

    Args:
        scan: In canonical orientation.
        standard: The same scan on the template's grid.
    """
    template = load_template()
    brain = template.mask & standard.view
    to_template = standard.world_to_template @ scan.affine
    linear = standard.world_to_template[:3, :3]
    scales, shear = _scales_and_shear(linear)
    determinant = float(np.linalg.det(linear))
    noise = _noise_share(scan, to_template)
    found: dict[str, float | None] = {
        "affine_determinant": determinant,
        "shear": shear,
        "scale_ratio": float(scales.max() / scales.min()),
        "rotation_degrees": rotation_degrees(standard.world_to_template),
        "template_ncc": correlation(standard.array[brain], template.array[brain]),
        "mask_dice": _mask_dice(standard),
        "brain_volume_ml": float(np.count_nonzero(template.mask) / 1000.0 / determinant),
        "centroid_offset_mm": _centroid_offset(standard, brain),
        **_field_of_view(to_template, scan.array.shape),
        "noise_percent": None if noise is None else 100.0 * noise,
        **_contrast(standard, noise),
        "spacing_max_mm": float(voxel_sizes(scan.affine).max()),
    }
    return {name: found[name] for name in MEASURES}


def _scales_and_shear(linear: Affine) -> tuple[Affine, float]:
    """Split a linear map into rotation, scales and shears (QR); return scales [3] and the largest shear."""
    upper = np.linalg.qr(linear)[1]
    scales = np.abs(np.diag(upper))
    shears = [upper[0, 1] / upper[0, 0], upper[0, 2] / upper[0, 0], upper[1, 2] / upper[1, 1]]
    return scales, float(np.abs(shears).max())


def _mask_dice(standard: StandardScan) -> float | None:
    """Return the Dice overlap of the scan's own brain with the template's, if the scan knows its brain."""
    template = load_template()
    own = standard.array > _NOTHING * float(standard.array.max())
    if standard.brain is not None and not np.array_equal(standard.brain, template.mask & standard.view):
        own = standard.brain
    else:
        rim = ndimage.binary_dilation(template.mask[::_STRIDE, ::_STRIDE, ::_STRIDE], iterations=3)
        part = (slice(None, None, _STRIDE),) * 3
        outside = standard.view[part] & ~rim
        if not outside.any() or float((~own[part][outside]).mean()) < _STRIPPED_SHARE:
            return None  # a whole head: nothing but the template says where its brain ends
    both = np.count_nonzero(own & template.mask)
    return float(2.0 * both / (np.count_nonzero(own) + np.count_nonzero(template.mask)))


def _centroid_offset(standard: StandardScan, brain: NDArray[np.bool_]) -> float:
    """Return the distance in mm between the brightness centroids of scan and template inside the brain."""
    template = load_template()
    points = np.argwhere(brain).astype(np.float64)
    centres = []
    for array in (standard.array, template.array):
        weight = np.maximum(array[brain].astype(np.float64), 0.0)
        centres.append((points * weight[:, None]).sum(axis=0) / max(float(weight.sum()), 1e-30))
    return float(np.linalg.norm(centres[0] - centres[1]) * voxel_sizes(template.affine)[0])


def _field_of_view(to_template: Affine, shape: tuple[int, ...]) -> dict[str, float | None]:
    """Return how much of the template's brain the scan holds, and how far its ends are from the brain."""
    template = load_template()
    points = np.argwhere(template.mask[::_STRIDE, ::_STRIDE, ::_STRIDE]).astype(np.float64) * _STRIDE
    voxels = apply_affine(inverse(to_template) @ template.affine, points)
    margin = np.minimum(voxels + 0.5, np.array(shape) - 0.5 - voxels)
    return {
        "brain_coverage": float((margin >= 0).all(axis=1).mean()),
        "edge_margin_mm": float((margin * voxel_sizes(to_template)).min()),
    }


def _noise_share(scan: Volume, to_template: Affine) -> float | None:
    """Return the noise's standard deviation over the brightness of white matter; None if it is not seen.

    Pseudo-residuals (Gasser 1986, Biometrika 73:625; in three dimensions Coupe 2010, Med Image Anal 14:483):
    ``sqrt(6/7) * (x - mean of its 6 neighbours)`` at every second voxel of the scan's own grid; their standard
    deviation is taken as 1.4826 times the median of the absolute values, so that edges matter little.
    """
    array = scan.array
    centre = array[1:-1:2, 1:-1:2, 1:-1:2]
    around = np.zeros_like(centre)
    for axis in range(3):
        for start in (0, 2):
            part = [slice(1, -1, 2)] * 3
            part[axis] = slice(start, array.shape[axis] - 2 + start, 2)
            around += array[tuple(part)] / 6.0
    lattice = np.diag([2.0, 2.0, 2.0, 1.0])
    lattice[:3, 3] = 1.0
    matrix = inverse(load_template().affine) @ to_template @ lattice
    white = resample(_white_core(), matrix, centre.shape) > 0.9
    if np.count_nonzero(white) < 500:
        return None
    residual = np.sqrt(6.0 / 7.0) * np.abs((centre - around)[white])
    level = float(np.median(centre[white]))
    return float(1.4826 * np.median(residual)) / level if level > 0 else None


@lru_cache(maxsize=1)
def _white_core() -> Array:
    """Return white matter whose neighbours are white matter too, so that no border counts as noise."""
    return np.asarray(ndimage.binary_erosion(load_tissues()[1]), dtype=np.float32)


def _contrast(standard: StandardScan, noise: float | None) -> dict[str, float | None]:
    """Return snr_white, cnr and cjv of the bias-corrected scan."""
    grey, white = (standard.array[mask & standard.view].astype(np.float64) for mask in load_tissues())
    nothing: dict[str, float | None] = {"snr_white": None, "cnr": None, "cjv": None}
    if min(grey.size, white.size) < 500 or white.std() == 0:
        return nothing
    step = abs(float(white.mean() - grey.mean()))
    spread = float(np.sqrt(grey.var() + white.var() + ((noise or 0.0) * white.mean()) ** 2))
    return {
        "snr_white": float(white.mean() / white.std()),
        "cnr": step / spread,
        "cjv": float((grey.std() + white.std()) / step) if step > 0 else None,
    }
