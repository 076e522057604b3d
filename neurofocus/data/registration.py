"""Rigid and affine registration of a T1 scan to MNI152: Mattes mutual information, masked, coarse to fine.

Every step runs on one thread: ITK's sums depend on the number of threads, and a scan must give the same
frames on every machine. Parallel work is over scans.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Union

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from neurofocus.data.geometry import Affine, Array, flip_lps_ras, inverse, voxel_sizes
from neurofocus.data.itk import one_thread, to_image
from neurofocus.data.pose import BRAIN_CENTRE_MM, Pose, find_poses
from neurofocus.data.template import load_template

if TYPE_CHECKING:
    import SimpleITK as sitk

__all__ = ["refine_affine", "register_coarse", "shrink"]

_POSES = 3
_ITERATIONS = 60
# Shares of the template's voxels that are compared: 11,000 points at 4 mm, 30,000 at 2 mm.
_MIDDLE_SHARE = 0.3
_FINE_SHARE = 0.1
_LPS = np.diag([-1.0, -1.0, 1.0])
Matrix = Union["sitk.Similarity3DTransform", "sitk.AffineTransform"]


def register_coarse(array: Array, affine: Affine) -> Affine:
    """Register a scan from any pose to about 4 mm detail.

    Args:
        array: Scan [X, Y, Z], clipped to 0..1, with voxels of about 2 mm.
        affine: Voxel to world mm.

    Returns:
        Scan world mm to template world mm [4, 4].
    """
    import SimpleITK as sitk

    coarse = to_image(*shrink(array, affine, 8.0))
    tried = []
    for pose in find_poses(array, affine, _POSES):
        transform = _similarity(pose)
        tried.append((_optimise(8, coarse, transform, step_mm=4.0), transform))
    best = min(tried, key=lambda pair: pair[0])[1]
    full = sitk.AffineTransform(3)
    full.SetCenter(best.GetCenter())
    full.SetMatrix(best.GetMatrix())
    full.SetTranslation(best.GetTranslation())
    _optimise(4, to_image(*shrink(array, affine, 4.0)), full, step_mm=1.0, share=_MIDDLE_SHARE)
    return _world_to_template(full)


def refine_affine(array: Array, affine: Affine, world_to_template: Affine) -> Affine:
    """Improve an affine at 2 mm detail; same arguments and result as ``register_coarse``."""
    transform = _affine(world_to_template)
    _optimise(2, to_image(array, affine), transform, step_mm=0.5, share=_FINE_SHARE)
    return _world_to_template(transform)


def shrink(array: Array, affine: Affine, target_mm: float) -> tuple[Array, Affine]:
    """Smooth and take every n-th voxel so that voxels come near ``target_mm``; the first voxel stays."""
    factors = [max(1, round(target_mm / size)) for size in voxel_sizes(affine)]
    smooth = ndimage.gaussian_filter(array, [0.4 * n if n > 1 else 0.0 for n in factors], truncate=3.0)
    part = tuple(slice(None, None, n) for n in factors)
    return smooth[part], np.asarray(affine @ np.diag([*factors, 1.0]), dtype=np.float64)


def _optimise(
    level_mm: int, moving: "sitk.Image", transform: Matrix, *, step_mm: float, share: float = 1.0
) -> float:
    """Move ``transform`` (template to scan, in place) to larger mutual information; return the metric.

    Args:
        level_mm: Detail of the template.
        moving: The scan.
        transform: Start, and result.
        step_mm: Longest step of one iteration.
        share: Part of the template's voxels that is used, chosen regularly with a fixed seed.
    """
    import SimpleITK as sitk

    fixed, mask = _fixed(level_mm)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricFixedMask(mask)
    if share < 1.0:
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentage(share, 1)
    method.SetInterpolator(sitk.sitkLinear)
    # A line search, not regular steps: those count matrix elements and millimetres alike and run away.
    method.SetOptimizerAsConjugateGradientLineSearch(
        learningRate=1.0,
        numberOfIterations=_ITERATIONS,
        convergenceMinimumValue=1e-6,
        convergenceWindowSize=10,
        lineSearchLowerLimit=0,
        lineSearchUpperLimit=2,
        lineSearchEpsilon=0.2,
        lineSearchMaximumIterations=10,
        estimateLearningRate=method.EachIteration,
        maximumStepSizeInPhysicalUnits=step_mm,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    with one_thread():
        method.Execute(fixed, moving)
    return float(method.GetMetricValue())


@lru_cache(maxsize=3)
def _fixed(level_mm: int) -> tuple["sitk.Image", "sitk.Image"]:
    """Return the template at one detail, and the mask of brain and a rim where it is compared."""
    import SimpleITK as sitk

    template = load_template()
    image = to_image(*shrink(template.array, template.affine, float(level_mm)))
    rim = ndimage.gaussian_filter(template.mask.astype(np.float32), 4.0, truncate=2.0) > 0.05
    part = (slice(None, None, level_mm),) * 3
    stride = template.affine @ np.diag([level_mm, level_mm, level_mm, 1.0])
    mask = to_image(rim[part].astype(np.float32), stride)
    return image, sitk.Cast(mask > 0.5, sitk.sitkUInt8)


def _similarity(pose: Pose) -> "sitk.Similarity3DTransform":
    """Turn a pose into ITK's transform from template to scan points (LPS)."""
    import SimpleITK as sitk

    centre = np.array(BRAIN_CENTRE_MM)
    transform = sitk.Similarity3DTransform()
    transform.SetCenter((_LPS @ centre).tolist())
    transform.SetMatrix((pose.scale * (_LPS @ pose.rotation.T @ _LPS)).ravel().tolist(), 1e-6)
    transform.SetTranslation((_LPS @ (pose.centre - centre)).tolist())
    return transform


def _affine(world_to_template: Affine) -> "sitk.AffineTransform":
    """Turn an affine (RAS) into ITK's transform from template to scan points (LPS)."""
    import SimpleITK as sitk

    lps = _both_lps(inverse(world_to_template))
    centre = _LPS @ np.array(BRAIN_CENTRE_MM)
    transform = sitk.AffineTransform(3)
    transform.SetCenter(centre.tolist())
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation((lps[:3, :3] @ centre + lps[:3, 3] - centre).tolist())
    return transform


def _world_to_template(transform: Matrix) -> Affine:
    """Turn ITK's transform (template to scan, LPS) into scan to template, RAS."""
    linear: NDArray[np.float64] = np.array(transform.GetMatrix()).reshape(3, 3)
    centre = np.array(transform.GetCenter())
    lps = np.eye(4)
    lps[:3, :3] = linear
    lps[:3, 3] = np.array(transform.GetTranslation()) + centre - linear @ centre
    return inverse(_both_lps(lps))


def _both_lps(affine: Affine) -> Affine:
    """Change both sides of a world-to-world affine between RAS and LPS."""
    return flip_lps_ras(flip_lps_ras(affine).T).T
