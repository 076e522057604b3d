"""Between our arrays and SimpleITK images; SimpleITK computes, it never reads or writes a user's NIfTI.

Images are in LPS+ world on the SimpleITK side (ITK's convention); affines here stay RAS+.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from neurofocus.data.geometry import Affine, Array, flip_lps_ras, voxel_sizes

if TYPE_CHECKING:
    import SimpleITK as sitk

__all__ = ["one_thread", "quiet", "to_image"]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let SimpleITK compute on one thread inside the block, so that sums are bit-identical everywhere.

    The registration metric reads only the library's global default (its own setter does not reach it), so the
    default is lent and given back; filters created meanwhile by other threads run slower, not differently.
    """
    import SimpleITK as sitk

    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep ITK's many-line warnings off standard error inside the block; what matters is checked and said by us."""
    import SimpleITK as sitk

    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def to_image(array: Array, affine: Affine) -> "sitk.Image":
    """Copy an array [X, Y, Z] into an image with orthogonal axes.

    ITK images cannot hold shear, so the array's axes must be orthogonal to about 1e-3 (ITK checks).
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T, dtype=np.float32))
    lps = flip_lps_ras(affine)
    sizes = voxel_sizes(lps)
    image.SetSpacing(sizes.tolist())
    image.SetDirection((lps[:3, :3] / sizes).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image
