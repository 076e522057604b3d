"""Is this a plausible, well registered T1 brain scan? Measures and the warnings drawn from them."""

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.frames import FrameGrid
from neurofocus.data.geometry import Affine, Array, voxel_sizes
from neurofocus.data.resample import coverage
from neurofocus.data.template import load_template, template_on_frames
from neurofocus.data.volume import Volume

__all__ = ["correlation", "measure", "rotation_degrees", "warn"]

# The template is an enlarged brain: 1.2 to 1.8 is usual.
_DETERMINANT = (0.6, 2.2)
_COVERAGE = 0.95
_ROTATION = 45.0
# Failed registrations and other contrasts reach 0.2, an average head 0.75; one person's anatomy lies between.
_NCC = 0.4


def measure(
    scan: Volume, frames: Array, mask: NDArray[np.bool_], grid: FrameGrid, world_to_template: Affine
) -> dict[str, float]:
    """Measure one prepared scan.

    Returns:
        affine_determinant: volume change scan to template (1: same head size).
        template_ncc: correlation with the template inside the brain mask of the frames; higher is better.
        rotation_degrees: how far registration turned the head.
        brain_coverage: share of the template's brain inside the scan's field of view.
        mask_share: share of the frames' pixels that are brain.
        spacing_min_mm, spacing_max_mm: the scan's voxel edges.
    """
    template = load_template()
    target = template_on_frames(grid)[0]
    sizes = voxel_sizes(scan.affine)
    return {
        "affine_determinant": float(np.linalg.det(world_to_template[:3, :3])),
        "rotation_degrees": rotation_degrees(world_to_template),
        "template_ncc": correlation(frames[mask], target[mask]),
        "brain_coverage": coverage(
            template.mask, template.affine, world_to_template @ scan.affine, scan.array.shape
        ),
        "mask_share": float(mask.mean()),
        "spacing_min_mm": float(sizes.min()),
        "spacing_max_mm": float(sizes.max()),
    }


def warn(quality: dict[str, float]) -> tuple[str, ...]:
    """Turn implausible measures into lines for the user."""
    found = []
    low, high = _DETERMINANT
    if not low <= quality["affine_determinant"] <= high:
        found.append(
            f"registration changed the head's volume {quality['affine_determinant']:.2f}-fold "
            f"(plausible: {low} to {high}): it probably failed"
        )
    if quality["template_ncc"] < _NCC:
        found.append(
            f"low similarity to the T1 template (correlation {quality['template_ncc']:.2f} < {_NCC}): "
            "this may not be a T1 brain MRI, or registration failed"
        )
    if quality["rotation_degrees"] > _ROTATION:
        found.append(
            f"the head lies {quality['rotation_degrees']:.0f} degrees from where the header says: its axes are "
            "probably wrong, and then left and right may be swapped too"
        )
    if quality["brain_coverage"] < _COVERAGE:
        found.append(f"the field of view holds only {100 * quality['brain_coverage']:.0f} % of the brain")
    return tuple(found)


def rotation_degrees(affine: Affine) -> float:
    """Return the angle in degrees of the rotation nearest to an affine (polar decomposition)."""
    left, _, right = np.linalg.svd(affine[:3, :3])
    return float(np.degrees(np.arccos(np.clip((np.trace(left @ right) - 1) / 2, -1.0, 1.0))))


def correlation(first: Array, second: Array) -> float:
    """Return Pearson's correlation, 0 where one side is constant."""
    one = first.astype(np.float64) - first.mean(dtype=np.float64)
    two = second.astype(np.float64) - second.mean(dtype=np.float64)
    scale = float(np.sqrt((one**2).sum() * (two**2).sum()))
    return float((one * two).sum() / scale) if scale > 0 else 0.0
