"""From a brain's tissue to what a scanner would store: contrast, blur, bias field, noise, clipping.

Every subject, diseased or not, passes through the same steps with parameters from the same distribution; only
in a confounded cohort do the sites differ much, and there the site follows the label on purpose.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from neurofocus.simulate.anatomy import Anatomy
from neurofocus.simulate.grid import Floats, Grid, sample

__all__ = ["Scanner", "draw_scanner", "noise_free", "scan", "tissue_signal"]

_WHITE = 0.87  # T1 intensity of white matter in the template
_LARGEST_VALUE = 4095  # 12 bits


@dataclass(frozen=True)
class _SiteRange:
    """What varies within one site: uniform ranges, and a shift of gray against white matter."""

    snr: tuple[float, float]
    blur_mm: tuple[float, float]
    bias: tuple[float, float]
    gray_shift: float


_SITES = {
    "SITE-A": _SiteRange(snr=(20.0, 40.0), blur_mm=(0.6, 1.0), bias=(0.10, 0.35), gray_shift=0.010),
    "SITE-B": _SiteRange(snr=(15.0, 35.0), blur_mm=(0.7, 1.1), bias=(0.15, 0.40), gray_shift=-0.010),
}
_CONFOUNDED_SITES = {
    "SITE-A": _SiteRange(snr=(32.0, 40.0), blur_mm=(0.6, 0.8), bias=(0.10, 0.20), gray_shift=0.030),
    "SITE-B": _SiteRange(snr=(10.0, 16.0), blur_mm=(1.0, 1.2), bias=(0.30, 0.40), gray_shift=-0.030),
}


@dataclass(frozen=True)
class Scanner:
    """One acquisition.

    Attributes:
        gain: stored value of white matter.
        snr: white-matter signal over the noise's standard deviation in one channel.
        blur_mm: standard deviation of the point spread.
        bias: largest minus smallest logarithm of the bias field in the field of view.
        gamma: exponent of the contrast curve.
        shifts: additions to the signal of gray matter, white matter and fluid, in units of the template's T1.
        texture: relative standard deviation of small-scale tissue differences.
    """

    gain: float
    snr: float
    blur_mm: float
    bias: float
    gamma: float
    shifts: tuple[float, float, float]
    texture: float


def draw_scanner(site: str, rng: np.random.Generator, *, confounded: bool) -> Scanner:
    """Return one acquisition at ``site``."""
    ranges = (_CONFOUNDED_SITES if confounded else _SITES)[site]
    gray, white, fluid = rng.normal(0.0, (0.02, 0.01, 0.03))
    return Scanner(
        gain=float(rng.uniform(700.0, 1300.0)),
        snr=float(rng.uniform(*ranges.snr)),
        blur_mm=float(rng.uniform(*ranges.blur_mm)),
        bias=float(rng.uniform(*ranges.bias)),
        gamma=float(rng.uniform(0.9, 1.25)),
        shifts=(float(gray) + ranges.gray_shift, float(white), float(fluid)),
        texture=float(rng.uniform(0.01, 0.03)),
    )


def tissue_signal(anatomy: Anatomy, scanner: Scanner) -> Floats:
    """Return the template with this scanner's contrast, white matter near 1 [X, Y, Z]."""
    gray, white, fluid = scanner.shifts
    signal = anatomy.t1 + np.float32(gray - fluid) * anatomy.gray + np.float32(white - fluid) * anatomy.white
    signal += np.float32(fluid) * anatomy.brain
    signal = np.maximum(signal / np.float32(_WHITE), np.float32(0.0))
    curved: Floats = signal ** np.float32(scanner.gamma)
    return curved


def noise_free(signal: Floats, scanner: Scanner, spacing: float) -> Floats:
    """Return the signal on the scan's grid after the point spread."""
    blurred: Floats = ndimage.gaussian_filter(signal, scanner.blur_mm / spacing, truncate=3.0)
    return blurred


def scan(
    signal: Floats, inside: Floats, scanner: Scanner, grid: Grid, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Return stored values [X, Y, Z] of a noise-free signal; exactly 0 outside the brain.

    Args:
        signal: output of ``noise_free``, white matter near 1.
        inside: share of brain at each voxel; below 5 % a voxel is background.
        scanner: the acquisition.
        grid: the scan's grid.
        rng: draws texture, bias field and noise.
    """
    texture = ndimage.gaussian_filter(rng.standard_normal(grid.shape, dtype=np.float32), 2.0 / grid.spacing)
    texture *= np.float32(scanner.texture / texture.std())
    clean = signal * (1 + texture) * _bias_field(scanner, grid, rng)
    noise = rng.standard_normal((2, *grid.shape), dtype=np.float32) / np.float32(scanner.snr)
    magnitude = np.hypot(clean + noise[0], noise[1])  # Rician: the magnitude of a complex signal
    stored = np.clip(np.rint(magnitude * np.float32(scanner.gain)), 0, _LARGEST_VALUE)
    return np.where(inside > 0.05, stored, 0).astype(np.int16)


def _bias_field(scanner: Scanner, grid: Grid, rng: np.random.Generator) -> Floats:
    """Return a smooth positive factor whose logarithm spans ``scanner.bias``."""
    extent = (np.asarray(grid.shape) - 1) * grid.spacing
    low = np.asarray(grid.origin)
    coarse = Grid.covering(low - 20.0, low + extent + 20.0, 20.0)
    noise = rng.standard_normal(coarse.shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, 2.5, mode="wrap")
    fine = sample(smooth, coarse, grid.points())
    fine = ndimage.gaussian_filter(fine, 10.0 / grid.spacing, truncate=2.0)
    centred = (fine - fine.min()) / (fine.max() - fine.min()) - 0.5
    factor: Floats = np.exp(np.float32(scanner.bias) * centred)
    return factor
