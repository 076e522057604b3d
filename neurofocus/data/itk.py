"""Between our arrays and SimpleITK images; SimpleITK computes, it never reads or writes a user's NIfTI.

Images are in LPS+ world on the SimpleITK side (ITK's convention); affines here stay RAS+.
"""

from typing import TYPE_CHECKING

import numpy as np

from neurofocus.data.geometry import Affine, Array, flip_lps_ras, voxel_sizes

if TYPE_CHECKING:
    import SimpleITK as sitk

__all__ = ["to_image"]


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
