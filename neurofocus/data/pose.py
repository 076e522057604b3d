"""Where is the brain in this head, roughly? A global search that needs no starting guess.

The template brain, turned by each of a grid of rotations, is correlated with the whole scan by FFT; masked
normalised correlation (Padfield 2012, IEEE TIP 21:2706, with a mask on the template side only) tells a brain
from shoulders, neck and air at every translation at once. Whole heads and stripped brains work alike.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from neurofocus.data.geometry import Affine, Array, apply_affine, corners, inverse, voxel_sizes
from neurofocus.data.resample import resample
from neurofocus.data.template import load_template

__all__ = ["BRAIN_CENTRE_MM", "Pose", "find_poses"]

BRAIN_CENTRE_MM = (0.0, -18.0, 4.0)
_STEP_MM = 8.0
_HALF = 12
_TEMPLATE_STRIDE = 4
# Template to scan: the template's brain is larger than nearly every living one.
_SCALES = (0.74, 0.82, 0.9, 0.98, 1.06)
# Every turn is tried at these scales; the best ones at the others too.
_FIRST_SCALES = (0.82, 0.98)
_KEPT_TURNS = 8
_TILTS = tuple(product((-30.0, -15.0, 0.0, 15.0, 30.0), (-20.0, 0.0, 20.0), (-20.0, 0.0, 20.0)))
_NODS = tuple(product((-15.0, 0.0, 15.0), (0.0,), (0.0,)))
# Right poses of whole heads score 0.75 to 0.85, wrong ones up to 0.65.
_GOOD_SCORE = 0.7


@dataclass(frozen=True)
class Pose:
    """One guess of a pose with one scale.

    Attributes:
        score: Masked normalised correlation; higher is better.
        rotation: Scan directions to template directions [3, 3].
        scale: Template to scan lengths.
        centre: Scan world mm [3] of the template's brain centre.
    """

    score: float
    rotation: NDArray[np.float64]
    scale: float
    centre: NDArray[np.float64]


def find_poses(array: Array, affine: Affine, count: int) -> list[Pose]:
    """Return the best poses of a scan, best first.

    Heads up to about 30 degrees from upright are expected. If none fits, the header's axes are doubted and all
    24 ways to turn a cube are tried too (never a mirror image).

    Args:
        array: Scan [X, Y, Z] with non-negative, roughly T1-like intensity.
        affine: Voxel to world mm.
        count: How many to keep.
    """
    search = _Search(array, affine)
    upright = [Rotation.from_euler("xyz", angles, degrees=True) for angles in _TILTS]
    poses = search.scores(upright)
    if max(pose.score for pose in poses) < _GOOD_SCORE:
        nods = [Rotation.from_euler("xyz", angles, degrees=True) for angles in _NODS]
        turned = [cube * nod for cube in Rotation.create_group("O") for nod in nods]
        poses += search.scores(turned)
    return sorted(poses, key=lambda pose: -pose.score)[:count]


class _Search:
    """The spectra of one coarse scan, against which turned templates are scored."""

    def __init__(self, array: Array, affine: Affine) -> None:
        image, self.origin = _coarse(array, affine)
        self.size = image.shape
        self.shape = [fft.next_fast_len(size + 2 * _HALF, real=True) for size in image.shape]
        self.spectrum = fft.rfftn(image, self.shape)
        self.squared = fft.rfftn(image**2, self.shape)
        self.template = _coarse_template()

    def scores(self, turns: list[Rotation]) -> list[Pose]:
        """Return poses of all turns at some scales, and of the best turns at every scale."""
        first = [(self.score(turn, scale), turn) for turn in turns for scale in _FIRST_SCALES]
        ranked = [turn for _, turn in sorted(first, key=lambda pair: -pair[0].score)]
        kept = list({id(turn): turn for turn in ranked}.values())[:_KEPT_TURNS]
        others = [scale for scale in _SCALES if scale not in _FIRST_SCALES]
        return [pose for pose, _ in first] + [self.score(turn, scale) for turn in kept for scale in others]

    def score(self, rotation: Rotation, scale: float) -> Pose:
        """Return the best translation of the template under one rotation and scale."""
        matrix = rotation.as_matrix()
        kernel, weight, affine = self.template
        turned = _turn(kernel, affine, matrix / scale)
        rim = (_turn(weight, affine, matrix / scale) > 0.5).astype(np.float32)
        score, shift = self._best_shift(turned, rim)
        return Pose(score, matrix, scale, self.origin + _STEP_MM * (shift + _HALF))

    def _best_shift(self, kernel: Array, weight: Array) -> tuple[float, NDArray[np.float64]]:
        """Return the best masked normalised correlation and its shift [3] in coarse voxels."""
        total = float(weight.sum())
        centred = (kernel - float((kernel * weight).sum()) / total) * weight
        weight_spectrum = np.conj(fft.rfftn(weight, self.shape))
        cross = fft.irfftn(self.spectrum * np.conj(fft.rfftn(centred, self.shape)), self.shape)
        sums = fft.irfftn(self.spectrum * weight_spectrum, self.shape)
        squares = fft.irfftn(self.squared * weight_spectrum, self.shape)
        spread = np.maximum(squares - sums**2 / total, 1e-6 * float(squares.max()))
        score = cross / np.sqrt(spread * float((centred**2).sum()))
        best = np.unravel_index(int(np.argmax(score)), score.shape)
        # Negative shifts wrap around to the end of the transform.
        ends = zip(best, self.size, self.shape, strict=True)
        shift = [at if at < size else at - length for at, size, length in ends]
        return float(score[best]), np.array(shift, dtype=np.float64)


def _coarse(array: Array, affine: Affine) -> tuple[Array, NDArray[np.float64]]:
    """Resample a scan onto a coarse grid along world axes; return it and its origin in mm."""
    smooth = ndimage.gaussian_filter(array, 0.4 * _STEP_MM / voxel_sizes(affine), truncate=3.0)
    ends = apply_affine(affine, corners(array.shape))
    low, high = ends.min(axis=0), ends.max(axis=0)
    grid = np.diag([_STEP_MM, _STEP_MM, _STEP_MM, 1.0])
    grid[:3, 3] = low
    shape = tuple(int(size) for size in np.ceil((high - low) / _STEP_MM) + 1)
    return resample(smooth, inverse(affine) @ grid, shape), low


def _coarse_template() -> tuple[Array, Array, Affine]:
    """Return the smoothed template, its brain with a rim of dark skull as weight, and their affine."""
    template = load_template()
    smooth = ndimage.gaussian_filter(template.array, 0.4 * _STEP_MM, truncate=3.0)
    rim = ndimage.gaussian_filter(template.mask.astype(np.float32), 5.0, truncate=2.0) > 0.02
    part = (slice(None, None, _TEMPLATE_STRIDE),) * 3
    stride = np.diag([_TEMPLATE_STRIDE, _TEMPLATE_STRIDE, _TEMPLATE_STRIDE, 1.0])
    return smooth[part], rim[part].astype(np.float32), template.affine @ stride


def _turn(array: Array, affine: Affine, matrix: NDArray[np.float64]) -> Array:
    """Resample the template onto a cube of coarse voxels along scan axes; ``matrix`` acts about the brain's centre."""
    grid = np.eye(4)
    grid[:3, :3] = matrix * _STEP_MM
    grid[:3, 3] = np.array(BRAIN_CENTRE_MM) - matrix @ np.full(3, _HALF * _STEP_MM)
    return resample(array, inverse(affine) @ grid, (2 * _HALF + 1,) * 3)
