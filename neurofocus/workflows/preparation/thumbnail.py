"""A small picture of a scan in template space: three planes side by side, and the template's outline for all."""

import io

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from neurofocus.data.geometry import Array, inverse
from neurofocus.data.template import load_template

__all__ = ["outline", "thumbnail"]

# Template mm of the planes: through the hippocampi (coronal), the ventricles (axial) and beside the midline.
_PLANES_MM = (-4.0, -20.0, 6.0)
_STEP = 2
_QUALITY = 72


def thumbnail(array: Array) -> bytes:
    """Return a grey JPEG of sagittal, coronal and axial planes at 2 mm, left on the left.

    Args:
        array: A scan [X, Y, Z] on the template's grid.
    """
    from PIL import Image

    brain = array[load_template().mask]
    low, high = 0.0, float(np.percentile(brain, 99.5)) if brain.size else 1.0
    low = min(low, float(brain.min()))
    grey = np.clip((_planes(array, smooth=True) - low) / max(high - low, 1e-30), 0.0, 1.0)
    stream = io.BytesIO()
    Image.fromarray((255 * grey).astype(np.uint8)).save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return stream.getvalue()


def outline() -> bytes:
    """Return a transparent PNG of the same size with the edge of the template's brain."""
    from PIL import Image

    mask = _planes(load_template().mask.astype(np.float32), smooth=False) > 0.5
    edge = mask & ~ndimage.binary_erosion(mask)
    colour = np.zeros((*edge.shape, 4), dtype=np.uint8)
    colour[edge] = (255, 176, 0, 230)
    stream = io.BytesIO()
    Image.fromarray(colour).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _planes(array: Array, *, smooth: bool) -> NDArray[np.float32]:
    """Return the three planes as one picture: up is up, the subject's left and front are on the left."""
    origin = inverse(load_template().affine)
    x, y, z = (round(float(mm + offset)) for mm, offset in zip(_PLANES_MM, origin[:3, 3], strict=True))
    found = []
    for plane in (array[x, ::-1], array[:, y], array[:, :, z]):
        picture = np.asarray(plane.T[::-1], dtype=np.float32)
        found.append(
            ndimage.uniform_filter(picture, _STEP)[::_STEP, ::_STEP] if smooth else picture[::_STEP, ::_STEP]
        )
    height = max(picture.shape[0] for picture in found)
    padded = [np.pad(picture, ((height - picture.shape[0], 0), (0, 0))) for picture in found]
    return np.asarray(np.concatenate(padded, axis=1), dtype=np.float32)
