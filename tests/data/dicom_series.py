"""A volume written as a DICOM series, for tests."""

from pathlib import Path

import numpy as np

from neurofocus.data.geometry import apply_affine, flip_lps_ras, voxel_sizes

__all__ = ["write_dicom"]


def write_dicom(folder: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Slices along the third axis, each with its own position, as a scanner writes them."""
    import SimpleITK as sitk

    folder.mkdir(parents=True)
    lps = flip_lps_ras(affine)
    sizes = voxel_sizes(lps)
    directions = lps[:3, :3] / sizes
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number in range(array.shape[2]):
        image = sitk.GetImageFromArray(np.ascontiguousarray(array[:, :, number].T)[None])
        position = apply_affine(lps, np.array([0.0, 0.0, number]))
        image.SetSpacing(sizes.tolist())
        image.SetOrigin(position.tolist())
        image.SetDirection(directions.ravel().tolist())
        tags = {
            "0008|0060": "MR",
            "0020|000e": "1.2.3",
            "0020|000d": "1.2.9",
            "0008|0018": f"1.2.3.{number + 1}",
            "0020|0032": "\\".join(f"{value:.8g}" for value in position),
            "0020|0037": "\\".join(f"{value:.8g}" for value in [*directions[:, 0], *directions[:, 1]]),
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{number:04d}.dcm"))
        writer.Execute(image)
