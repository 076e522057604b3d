"""Which rectangle of a clip's frames the model sees, and how its pixels become numbers (appendix G).

A rectangle is decided from the frame's height and width alone, before anything is decoded. One rectangle serves all
frames of a clip, those of the glance and those of the focus, so that a box means the same pixels in both.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from neurofocus.schema.video_run import VideoConfig

__all__ = ["MEAN_AND_DEVIATION", "Crop", "apply_crop", "draw_crop", "evaluation_crops", "normalise"]

Pixels = npt.NDArray[np.uint8]
_SNAP = 3  # a crop side less than this from the wanted size takes the wanted size: no resampling

# Of each colour, for values of 0 to 1.
MEAN_AND_DEVIATION = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "kinetics": ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225)),
    "centered": ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
}


@dataclass(frozen=True)
class Crop:
    """A rectangle in whole pixels.

    Attributes:
        frame_size: height and width at which the frames are to be read.
        top: first row.
        left: first column.
        height: rows.
        width: columns.
        flip: whether left and right are swapped afterwards.
    """

    frame_size: tuple[int, int]
    top: int
    left: int
    height: int
    width: int
    flip: bool = False

    def __post_init__(self) -> None:
        rows, columns = self.frame_size
        inside = 0 <= self.top <= rows - self.height and 0 <= self.left <= columns - self.width
        if not inside or min(self.height, self.width) < 1:
            raise ValueError(f"{self} does not lie in its frame")


def draw_crop(
    frame_size: tuple[int, int], size: int, config: VideoConfig, rng: np.random.Generator, *, flip: bool
) -> Crop:
    """Draw a training crop: sides by scale, place among 13 fixed ones (the multi-scale crop of TSN and TSM).

    Each side is a scale times the frame's short side; the scales of the two sides lie at most ``max_distort``
    places apart, and all such pairs are equally likely. A side within 2 pixels of ``size`` becomes ``size``, unless
    the frame is smaller. The places are the corners, the centre, the middles of the edges and the four points
    halfway between centre and corners, in steps of a quarter of the free range, rounded down.

    Args:
        frame_size: height and width of the clip as stored, pixels.
        size: side of the frames that the model sees, pixels.
        config: scales, distortion and the size at which frames are read; a smaller frame is not enlarged.
        rng: source of randomness.
        flip: drawn by the caller, who may have to change the label with it.
    """
    height, width = _reading_size(frame_size, min(_short_side(size, config), min(frame_size)))
    base = min(height, width)
    sides = [size if abs(side - size) < _SNAP and size <= base else side
             for side in (max(1, int(base * scale)) for scale in config.scales)]  # fmt: skip
    places = range(len(sides))
    pairs = [(i, j) for i in places for j in places if abs(i - j) <= config.max_distort]
    first, second = pairs[rng.integers(len(pairs))]
    tall, wide = sides[first], sides[second]
    down, right = _QUARTERS[rng.integers(len(_QUARTERS))]
    top, left = down * ((height - tall) // 4), right * ((width - wide) // 4)
    return Crop((height, width), top, left, tall, wide, flip)


# Rows and columns of the 13 places, in quarters of the free range.
_QUARTERS = tuple((i, j) for i in range(5) for j in range(5) if i % 2 == j % 2)


def evaluation_crops(frame_size: tuple[int, int], size: int, config: VideoConfig) -> tuple[Crop, ...]:
    """Return the test crops: the centre of frames whose short side was scaled to 256 (for a size of 224).

    With three crops, they lie at the start, the centre and the end of the longer side (X3D's protocol, as
    SlowFast computes it: a centre that falls between two pixels is rounded up, for one crop to the even one).

    Args:
        frame_size: height and width of the clip as stored, pixels.
        size: side of the frames that the model sees, pixels.
        config: number of crops and the short side.

    Raises:
        ValueError: if the crop exceeds the short side.
    """
    short = _short_side(size, config)
    if short < size:
        raise ValueError(f"video.short_side {short} is less than model.frame_size {size}; give at least that")
    height, width = _reading_size(frame_size, short)
    down, right = height - size, width - size
    if config.test_crops == 1:
        return (Crop((height, width), round(down / 2), round(right / 2), size, size),)
    centre = (-(-down // 2), -(-right // 2))
    if height > width:
        corners = [(0, centre[1]), centre, (down, centre[1])]
    else:
        corners = [(centre[0], 0), centre, (centre[0], right)]
    return tuple(Crop((height, width), top, left, size, size) for top, left in corners)


def apply_crop(frames: Pixels, crop: Crop, size: int, *, antialias: bool = True) -> Tensor:
    """Cut a rectangle out of frames and bring it to size; pixels outside it have no influence.

    Args:
        frames: [N, H, W, 3], of ``crop.frame_size``.
        crop: the rectangle.
        size: rows and columns of the result.
        antialias: low-pass when the rectangle shrinks; within one grey level of Pillow's bilinear filter.

    Returns:
        uint8 [N, 3, size, size].

    Raises:
        ValueError: if the frames have another size or type.
    """
    if frames.dtype != np.uint8 or frames.shape[1:] != (*crop.frame_size, 3):
        raise ValueError(f"frames are {frames.dtype} {frames.shape}, not uint8 [N, {crop.frame_size}, 3]")
    cut = frames[:, crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    images = torch.from_numpy(np.ascontiguousarray(cut)).permute(0, 3, 1, 2)
    if images.shape[-2:] != (size, size):
        images = functional.interpolate(images, size=(size, size), mode="bilinear", antialias=antialias)
    return (images.flip(-1) if crop.flip else images).contiguous()


def normalise(images: Tensor, kind: Literal["imagenet", "kinetics", "centered"]) -> Tensor:
    """Return (x / 255 - mean) / deviation of uint8 images [..., 3, H, W] as float32."""
    mean, deviation = (torch.tensor(values)[:, None, None] * 255 for values in MEAN_AND_DEVIATION[kind])
    return images.float().sub_(mean).mul_(1 / deviation)


def _short_side(size: int, config: VideoConfig) -> int:
    return size * 256 // 224 if config.short_side is None else config.short_side


def _reading_size(frame_size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Return height and width with the given short side; the long one is rounded down, as torchvision does."""
    height, width = frame_size
    if height <= width:
        return short_side, int(short_side * width / height)
    return int(short_side * height / width), short_side
