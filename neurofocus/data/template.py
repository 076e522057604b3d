"""The MNI152 T1 template that ships inside nilearn (ICBM 2009a nonlinear symmetric, brain only, 1 mm)."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.frames import FrameGrid
from neurofocus.data.geometry import Affine, Array
from neurofocus.data.resample import on_frames

__all__ = ["Template", "load_template", "load_tissues", "template_on_frames"]


@dataclass(frozen=True)
class Template:
    """The registration target.

    Attributes:
        array: T1 intensity [X, Y, Z] in 0..1, exactly 0 outside the brain.
        affine: Voxel to world mm [4, 4].
        mask: The brain [X, Y, Z]; it has no holes.
    """

    array: Array
    affine: Affine
    mask: NDArray[np.bool_]


@lru_cache(maxsize=1)
def load_template() -> Template:
    """Load the template; its arrays are read-only because every caller shares them."""
    from nilearn.datasets import load_mni152_template

    image = load_mni152_template(resolution=1)
    array = np.asfortranarray(image.get_fdata(dtype=np.float32))
    mask = array > 0
    array.flags.writeable = False
    mask.flags.writeable = False
    return Template(array, np.asarray(image.affine, dtype=np.float64), mask)


@lru_cache(maxsize=1)
def load_tissues() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where the template is surely grey and surely white matter [X, Y, Z] (probability above 0.8 and 0.95)."""
    from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template

    grey = np.asarray(load_mni152_gm_template(resolution=1).dataobj, dtype=np.float32) > 0.8
    white = np.asarray(load_mni152_wm_template(resolution=1).dataobj, dtype=np.float32) > 0.95
    for mask in (grey, white):
        mask.flags.writeable = False
    return grey, white


def template_on_frames(grid: FrameGrid) -> tuple[Array, NDArray[np.bool_]]:
    """Return the template's intensity and brain mask at every pixel [T, H, W]; read-only, shared by all scans."""
    return _on_frames(grid.num_frames, grid.frame_size, grid.affine.tobytes())


@lru_cache(maxsize=4)
def _on_frames(num_frames: int, frame_size: int, affine: bytes) -> tuple[Array, NDArray[np.bool_]]:
    """Resample the template once a grid."""
    template = load_template()
    grid = FrameGrid(num_frames, frame_size, np.frombuffer(affine, dtype=np.float64).reshape(4, 4))
    intensity = on_frames(template.array, template.affine, grid)
    mask = on_frames(template.mask.astype(np.float32), template.affine, grid) > 0.5
    intensity.flags.writeable = False
    mask.flags.writeable = False
    return intensity, mask
