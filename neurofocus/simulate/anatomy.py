"""The real template under every simulated subject, and the regions that the simulated disease changes.

The template is the ICBM152 2009a symmetric average of 152 healthy young adults that nilearn ships (T1, gray and
white matter at 1 mm). It holds the brain only. The regions are read off this template itself: tubes along the
hippocampus, its neighbours and the temporal horn, and the ventricle where the tissue maps are empty. No atlas
is used, so no atlas licence applies.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from neurofocus.simulate.grid import Floats, Grid, sample

__all__ = ["REGIONS", "Anatomy", "load_anatomy"]

REGIONS = ("hippocampus", "amygdala", "parahippocampal", "lateral_ventricle", "temporal_horn")

# Right-sided centre lines in template millimetres, mirrored for the left side:
# posterior -> anterior rows of (y, x, z, half-width along x, half-height along z).
_TUBES: dict[str, tuple[tuple[float, float, float, float, float], ...]] = {
    "hippocampus": (
        (-36.0, 29.0, -6.5, 4.0, 2.0),
        (-34.0, 29.0, -8.0, 6.5, 3.0),
        (-30.0, 29.5, -9.5, 7.0, 3.7),
        (-26.0, 30.0, -12.0, 7.5, 3.7),
        (-22.0, 29.5, -14.5, 8.5, 4.5),
        (-18.0, 28.5, -16.5, 9.0, 5.0),
        (-14.0, 27.0, -18.5, 9.0, 5.5),
        (-10.0, 25.0, -21.0, 8.5, 4.5),
        (-7.0, 24.0, -23.0, 6.0, 2.5),
    ),
    "amygdala": (
        (-11.0, 22.0, -14.0, 5.0, 2.0),
        (-8.0, 22.0, -16.5, 8.0, 5.0),
        (-5.0, 22.0, -18.5, 8.5, 7.0),
        (-1.0, 22.0, -19.5, 7.0, 6.0),
        (2.0, 22.0, -19.0, 4.0, 3.0),
    ),
    "parahippocampal": (
        (-34.0, 19.0, -15.0, 4.0, 3.5),
        (-28.0, 20.0, -20.0, 5.5, 4.5),
        (-20.0, 20.5, -25.0, 6.0, 4.5),
        (-12.0, 19.0, -28.0, 6.0, 4.0),
        (-6.0, 18.5, -29.0, 5.0, 3.0),
    ),
    "temporal_horn": (
        (-34.0, 37.5, -8.5, 2.3, 3.0),
        (-28.0, 38.0, -12.0, 2.3, 3.0),
        (-22.0, 38.5, -14.5, 2.3, 3.0),
        (-18.0, 38.0, -17.5, 2.3, 3.0),
        (-14.0, 37.0, -20.0, 2.4, 3.2),
        (-10.0, 35.7, -22.5, 2.6, 3.2),
        (-6.0, 32.5, -25.5, 2.8, 2.4),
    ),
}
_FIELD_MM = 2.0
_FIELD_MARGIN_MM = 22.0
_REGION_BLUR_MM = 1.0


@dataclass(frozen=True)
class Anatomy:
    """The template and its regions.

    Attributes:
        grid: the template's 1 mm grid, cropped to the brain with a margin.
        t1: T1 intensity, 0 outside the brain, white matter about 0.87 [X, Y, Z].
        gray, white: tissue shares 0..1 [X, Y, Z].
        brain: 1 inside the brain, 0 outside [X, Y, Z].
        field_grid: 2 mm grid around the regions, on which the disease is a velocity field.
        regions: share of each region at each point of ``field_grid`` [5, x, y, z], in the order of ``REGIONS``.
    """

    grid: Grid
    t1: Floats
    gray: Floats
    white: Floats
    brain: Floats
    field_grid: Grid
    regions: Floats


def load_anatomy() -> Anatomy:
    """Return the template, cropped to the brain, with its regions (about a second)."""
    from nilearn.datasets import load_mni152_gm_template, load_mni152_template, load_mni152_wm_template

    images = [
        load(resolution=1)
        for load in (load_mni152_template, load_mni152_gm_template, load_mni152_wm_template)
    ]
    t1, gray, white = (np.asarray(image.dataobj, np.float32) for image in images)
    corner = np.asarray(images[0].affine[:3, 3], float)
    inside = np.argwhere(t1 > 0)
    low = np.maximum(inside.min(axis=0) - 4, 0)
    high = np.minimum(inside.max(axis=0) + 5, t1.shape)
    crop = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    t1, gray, white = (np.ascontiguousarray(volume[crop]) for volume in (t1, gray, white))
    x, y, z = (float(v) for v in corner + low)
    grid = Grid(shape=(t1.shape[0], t1.shape[1], t1.shape[2]), origin=(x, y, z), spacing=1.0)
    brain = (t1 > 0).astype(np.float32)
    gray, white = gray * brain, white * brain  # the tissue maps reach a little beyond the brain
    fine = _regions(grid, t1, gray, white)
    field_grid = _field_grid(grid, fine)
    blurred = np.stack([ndimage.gaussian_filter(region, _REGION_BLUR_MM) for region in fine])
    return Anatomy(grid, t1, gray, white, brain, field_grid, sample(blurred, grid, field_grid.points()))


def _regions(grid: Grid, t1: Floats, gray: Floats, white: Floats) -> Floats:
    """Return disjoint region masks on the template grid [5, X, Y, Z]."""
    points = grid.points()
    ventricle = _lateral_ventricles(points, t1, gray, white)
    taken = ventricle.copy()
    masks = {"lateral_ventricle": ventricle}
    # First come, first served: the horn and the hippocampus keep their voxels where tubes overlap.
    for name in ("temporal_horn", "hippocampus", "amygdala", "parahippocampal"):
        masks[name] = _tube(points, name) & ~taken & (t1 > 0)
        taken |= masks[name]
    return np.stack([masks[name] for name in REGIONS]).astype(np.float32)


def _tube(points: Floats, name: str) -> NDArray[np.bool_]:
    """Return the points inside a tube and its mirror image; its cross-section is interpolated along y."""
    rows = np.asarray(_TUBES[name], np.float32)
    x, z, across, high = (np.interp(points[1], rows[:, 0], rows[:, k]) for k in (1, 2, 3, 4))
    distance = ((np.abs(points[0]) - x) / across) ** 2 + ((points[2] - z) / high) ** 2
    inside: NDArray[np.bool_] = (distance <= 1) & (points[1] >= rows[0, 0]) & (points[1] <= rows[-1, 0])
    return inside


def _lateral_ventricles(points: Floats, t1: Floats, gray: Floats, white: Floats) -> NDArray[np.bool_]:
    """Return the two largest central spaces without tissue, one a side of the third ventricle."""
    x, y, z = points
    box = (np.abs(x) > 2.5) & (np.abs(x) < 42) & (y > -62) & (y < 42) & (z > -6) & (z < 42)
    fluid = box & (t1 > 0) & (gray + white < 0.5)
    sides = []
    for side in (x > 0, x < 0):
        labels, count = ndimage.label(fluid & side)
        sizes = ndimage.sum_labels(fluid, labels, range(1, count + 1))
        sides.append(labels == 1 + int(np.argmax(sizes)))
    result: NDArray[np.bool_] = sides[0] | sides[1]
    return result


def _field_grid(grid: Grid, regions: Floats) -> Grid:
    inside = np.argwhere(regions.max(axis=0) > 0)
    origin = np.asarray(grid.origin)
    low = inside.min(axis=0) * grid.spacing + origin - _FIELD_MARGIN_MM
    high = inside.max(axis=0) * grid.spacing + origin + _FIELD_MARGIN_MM
    return Grid.covering(low, high, _FIELD_MM)
