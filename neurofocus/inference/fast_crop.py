"""Crops for prediction: only the pixels under the samples are read."""

import torch
from torch import Tensor
from torch.nn import functional

from neurofocus.model.patches import Padding, crop_and_resize

__all__ = ["sample_patches"]


def sample_patches(
    images: Tensor, boxes: Tensor, size: int, *, antialias: bool, padding: Padding = "border"
) -> Tensor:
    """Crop as `crop_and_resize` does, without gradients, by grid_sample where the filter is bilinear.

    Positions differ by the rounding of their scale, by 1e-5 pixels of a frame of 224.
    """
    if antialias:
        return crop_and_resize(images, boxes, size, antialias=True, padding=padding)
    height, width = images.shape[-2:]
    x_center, y_center, box_height, box_width = boxes.float().unbind(-1)
    rows = _grid(y_center, box_height.clamp(max=height), height, size)
    cols = _grid(x_center, box_width.clamp(max=width), width, size)
    grid = torch.stack([cols[:, None, :].expand(-1, size, -1), rows[:, :, None].expand(-1, -1, size)], dim=-1)
    with torch.autocast(images.device.type, enabled=False):
        return functional.grid_sample(
            images.float(), grid, mode="bilinear", padding_mode=padding, align_corners=False
        )


def _grid(center: Tensor, extent: Tensor, length: int, size: int) -> Tensor:
    """Return where an interval is sampled, -1 and 1 being the ends of the axis, [N, size]."""
    offset = (torch.arange(size, device=center.device) + 0.5) / size - 0.5
    position = center[:, None] + offset * extent[:, None]
    return 2 * position / length - 1
