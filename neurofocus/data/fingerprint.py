"""What tells one scan from another: a hash of its voxels, a small image of its head, and how it is stored."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurofocus.data.geometry import Affine, Array, orientation_name, voxel_sizes
from neurofocus.data.stored_type import file_format, number_type
from neurofocus.data.volume import Volume, read_volume, to_canonical

__all__ = ["IMAGE_SIZE", "Fingerprint", "fingerprint_scan", "head_image", "voxel_hash"]

IMAGE_SIZE = 24  # blocks an axis: about 8 mm on a head
_COARSE_MM = 4.0
_SPAN = 2.6  # half the box in standard deviations: a uniform ellipsoid ends at the square root of 5
_THRESHOLD_STEPS = 20


@dataclass(frozen=True)
class Fingerprint:
    """One scan in 60 kB.

    Attributes:
        voxels: SHA-256 of the decoded voxels, see ``voxel_hash``.
        image: the head in blocks [24, 24, 24], see ``head_image``.
        matrix: voxels along right, front and top.
        voxel_mm: voxel edges along right, front and top.
        axes: where the stored axes point, such as ``LAS``.
        number_type: of the stored numbers, such as ``int16``.
        file_format: such as ``nii.gz``.
    """

    voxels: str
    image: Array
    matrix: tuple[int, int, int]
    voxel_mm: tuple[float, float, float]
    axes: str
    number_type: str
    file_format: str


def fingerprint_scan(path: Path, orientation: str = "header") -> Fingerprint:
    """Read a scan once and return its fingerprint.

    Args:
        path: of the scan.
        orientation: where its axes run to if the header does not know; see ``read_volume``.

    Raises:
        VolumeError: if ``read_volume`` refuses the scan.
    """
    stored = read_volume(path, orientation)
    scan = to_canonical(stored)
    sizes = voxel_sizes(scan.affine)
    return Fingerprint(
        voxels=voxel_hash(scan),
        image=head_image(scan.array, sizes),
        matrix=(scan.array.shape[0], scan.array.shape[1], scan.array.shape[2]),
        voxel_mm=(float(sizes[0]), float(sizes[1]), float(sizes[2])),
        axes=orientation_name(stored.affine),
        number_type=number_type(path),
        file_format=file_format(path),
    )


def voxel_hash(scan: Volume) -> str:
    """Return the SHA-256 of the voxel values of a scan in canonical axes.

    The same voxels give the same hash whatever the format, compression, number type, scaling or storage order.
    """
    digest = hashlib.sha256(repr(scan.array.shape).encode())
    # Adding zero turns -0.0 into 0.0: equal values must give equal bytes. Fortran order, so the transpose is C.
    digest.update(np.ascontiguousarray(scan.array.T + np.float32(0.0)).data)
    return digest.hexdigest()


def head_image(array: Array, sizes: Affine) -> Array:
    """Return the head as block means [24, 24, 24] of mean 0 and variance 1.

    The box is centred on the foreground and spans 2.6 of its standard deviations to both sides of every axis,
    so that field of view, voxel size and position in the scanner do not matter.

    Args:
        array: voxels [X, Y, Z] in canonical axes, not all equal.
        sizes: voxel edges in mm [3].
    """
    centers, spreads = _foreground(array, sizes)
    edges = [
        np.linspace(center - _SPAN * spread, center + _SPAN * spread, IMAGE_SIZE + 1)
        for center, spread in zip(centers, spreads, strict=True)
    ]
    values = _block_means(array, edges).astype(np.float64)
    return np.ascontiguousarray((values - values.mean()) / max(float(values.std()), 1e-12), dtype=np.float32)


def _foreground(array: Array, sizes: Affine) -> tuple[list[float], list[float]]:
    """Return centre and standard deviation of the foreground along every axis, in voxel edges from 0."""
    edges = []
    for size, count in zip(sizes, array.shape, strict=True):
        step = max(1, min(round(_COARSE_MM / float(size)), count // 8))
        edges.append(np.append(np.arange(0.0, count, step), count))
    coarse = _block_means(array, edges)  # noise must not count as foreground
    inside = coarse > _threshold(coarse)
    if not inside.any():  # a pattern whose blocks are all alike
        inside = np.ones_like(inside)
    centers, spreads = [], []
    for axis in range(3):
        profile = inside.sum(axis=tuple(other for other in range(3) if other != axis)).astype(np.float64)
        places = (edges[axis][1:] + edges[axis][:-1]) / 2
        center = float((places * profile).sum() / profile.sum())
        variance = float(((places - center) ** 2 * profile).sum() / profile.sum())
        centers.append(center)
        spreads.append(max(float(np.sqrt(variance)), float(edges[axis][1])))
    return centers, spreads


def _threshold(values: Array) -> float:
    """Return the value midway between the means of what is below and above it (Ridler and Calvard 1978)."""
    ordered = np.sort(values, axis=None)
    sums = np.cumsum(ordered, dtype=np.float64)
    level = float(sums[-1] / len(ordered))
    for _ in range(_THRESHOLD_STEPS):
        below = int(np.searchsorted(ordered, level, side="right"))
        if below in (0, len(ordered)):
            break
        mean_below, mean_above = (
            sums[below - 1] / below,
            (sums[-1] - sums[below - 1]) / (len(ordered) - below),
        )
        level = float(mean_below + mean_above) / 2
    return level


def _block_means(array: Array, edges: Sequence[Affine]) -> Array:
    """Return the mean of every block between edges along the three axes; beyond the scan it is 0.

    Args:
        array: voxels [X, Y, Z].
        edges: of the blocks along each axis, in voxel edges from 0; fractions of voxels count as such.
    """
    image = array.T  # the fastest axis last: the large product then reads memory in order
    for marks in edges:
        voxels = np.arange(image.shape[-1])[:, None]
        overlap = np.minimum(marks[1:], voxels + 1) - np.maximum(marks[:-1], voxels)
        weights = np.asarray(np.clip(overlap, 0.0, None) / np.diff(marks), dtype=np.float32)
        image = np.moveaxis(image @ weights, -1, 0)
    return image.T
