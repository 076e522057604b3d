"""Boxes and their differentiable crops (sections 3.3.1, 4.1.1 and 4.1.2, Eq. 5-9 and 13).

A box is parallel to the axes, so bilinear crop-and-resize separates into one interpolation matrix for the rows
and one for the columns. Two matrix products are exact for integer boxes, differentiable in the box, and
deterministic on every device, which the backward pass of grid_sample is not.

Boxes are (x_c, y_c, height, width) in pixels, x to the right and y down, (0, 0) the frame's top-left corner and
pixel i covering [i, i + 1): the convention of ``align_corners=False``.
"""

from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from neurofocus.schema.model import PatchConfig

__all__ = [
    "Cropper",
    "Padding",
    "boxes_from_actions",
    "crop_and_resize",
    "crop_matrices",
    "interpolate_actions",
]

Padding = Literal["border", "zeros"]


class Cropper(Protocol):
    """Whatever crops as `crop_and_resize` does."""

    def __call__(
        self, images: Tensor, boxes: Tensor, size: int, *, antialias: bool, padding: Padding
    ) -> Tensor:
        """Return patches [N, C, size, size]."""


# Output rows that share one window of source rows. An interpolation matrix is banded; multiplying window by
# window skips most of its zeros: 0.0014 GFLOPs a 224-pixel frame instead of 0.030. Longer windows are faster by a
# little and waste more; this one keeps the crops of the smallest shipped network below 1 % of it.
_BLOCK = 4


def boxes_from_actions(actions: Tensor, patches: PatchConfig, *, frame_size: int, patch_size: int) -> Tensor:
    """Turn actions into boxes that never leave the frame (Eq. 5, deformable as in section 4.1.2).

    Args:
        actions: (y, x, h, w) in [0, 1], [..., 4]. h and w are fractions of the free range of sizes, y and x of
            the free travel that this size leaves, as in the released code.
        patches: smallest and largest size as fractions of the frame; not deformable: size P x P.
        frame_size: side of the frame, pixels.
        patch_size: P, pixels.

    Returns:
        Boxes (x_c, y_c, height, width) in pixels, [..., 4].
    """
    if patches.deformable:
        smallest, largest = patches.min_fraction * frame_size, patches.max_fraction * frame_size
        sizes = smallest + (largest - smallest) * actions[..., 2:]
    else:
        sizes = torch.full_like(actions[..., 2:], min(patch_size, frame_size))
    centers = actions[..., :2] * (frame_size - sizes) + sizes / 2
    return torch.cat([centers.flip(-1), sizes], dim=-1)


def interpolate_actions(actions: Tensor, num_frames: int) -> Tensor:
    """Interpolate linearly in time, each action sitting at the middle of its T-th part of the clip (section 4.2).

    Args:
        actions: [B, T, 4].
        num_frames: T0.

    Returns:
        [B, T0, 4]; constant before the first and after the last middle.
    """
    bins = actions.shape[1]
    whole = torch.tensor([float(bins)], device=actions.device)
    # A product instead of torch's interpolate, whose backward pass has no deterministic CUDA kernel.
    with torch.autocast(actions.device.type, enabled=False):
        return interpolation_matrix(whole / 2, whole, bins, num_frames, antialias=False) @ actions.float()


def crop_and_resize(
    images: Tensor, boxes: Tensor, size: int, *, antialias: bool, padding: Padding = "border"
) -> Tensor:
    """Crop one box an image and resize it to size x size (Eq. 6, 7, 13).

    Args:
        images: [N, C, H, W].
        boxes: inside the images, [N, 4]; gradients flow into them (Eq. 8, 9). A side longer than the image is
            cut to it.
        size: of the result, pixels.
        antialias: widen the filter where the crop shrinks, as torch's ``interpolate(antialias=True)`` does.
        padding: what lies outside the image, within half a pixel of it: the border again, or zeros as in
            grid_sample's default. Anti-aliased crops always repeat the border.

    Returns:
        Patches [N, C, size, size] in float32.
    """
    number, channels, height, width = images.shape
    # In float32 even under autocast: bfloat16 weights would be off by up to 0.4 percent.
    with torch.autocast(images.device.type, enabled=False):
        rows, cols = crop_matrices(boxes, (height, width), size, antialias=antialias, padding=padding)
        by_row = images.float().transpose(1, 2).reshape(number, height, channels * width)
        cropped = _banded_product(rows, by_row).view(number, size, channels, width)
        by_col = cropped.permute(0, 3, 1, 2).reshape(number, width, size * channels)
        patches = _banded_product(cols, by_col).view(number, size, size, channels)  # [N, column, row, C]
    return patches.permute(0, 3, 2, 1).contiguous()


def crop_matrices(
    boxes: Tensor,
    frame_size: int | tuple[int, int],
    size: int,
    *,
    antialias: bool,
    padding: Padding = "border",
) -> tuple[Tensor, Tensor]:
    """Return the matrices of a crop: patch = rows @ image @ cols^T for each channel.

    Args:
        boxes: [N, 4].
        frame_size: side of the frame, or its (height, width), pixels.
        size: of the patch, pixels.
        antialias: see `crop_and_resize`.
        padding: see `crop_and_resize`.

    Returns:
        rows [N, size, H] and cols [N, size, W]; their transposes carry a patch back to the frame.
    """
    height, width = (frame_size, frame_size) if isinstance(frame_size, int) else frame_size
    x_center, y_center, box_height, box_width = boxes.float().unbind(-1)
    rows = interpolation_matrix(y_center, box_height, height, size, antialias=antialias, padding=padding)
    cols = interpolation_matrix(x_center, box_width, width, size, antialias=antialias, padding=padding)
    return rows, cols


def interpolation_matrix(
    center: Tensor, extent: Tensor, length: int, size: int, *, antialias: bool, padding: Padding = "border"
) -> Tensor:
    """Return the weights with which ``size`` samples of an interval mix the pixels of an axis.

    Args:
        center: of the interval, pixels, [N].
        extent: of the interval, pixels, [N]; cut to ``length``.
        length: of the axis, pixels.
        size: number of samples.
        antialias: see `crop_and_resize`.
        padding: see `crop_and_resize`.

    Returns:
        [N, size, length]; each row sums to one (less at a zero-padded border).
    """
    extent = extent.clamp(max=length)
    step = (extent / size)[:, None, None]
    sample = torch.arange(size, device=center.device, dtype=center.dtype)[:, None]
    pixel = torch.arange(length, device=center.device, dtype=center.dtype)
    # The position of a sample among pixel centres, [N, size, 1].
    position = (center - extent / 2)[:, None, None] + (sample + 0.5) * step - 0.5
    if antialias:
        weights = _tent((pixel - position.clamp(-0.5, length - 0.5)) / step.clamp(min=1))
        return weights / weights.sum(-1, keepdim=True)
    if padding == "border":
        inside = (position >= 0) & (position < length - 1)
        position = torch.where(inside, position, position.detach().clamp(0, length - 1))
    return _tent(pixel - position)


def _tent(offset: Tensor) -> Tensor:
    """Return 1 - |offset| within (-1, 1], else 0, with the right-hand derivative at the kinks.

    Eq. 7 rounds down, so a sample that hits a pixel exactly still has a gradient; that of ``abs`` would vanish
    for every integer box.
    """
    rising = torch.where(offset > -1, 1 + offset, 0.0)
    falling = torch.where(offset <= 1, 1 - offset, 0.0)
    return torch.where(offset <= 0, rising, falling)


def _banded_product(weights: Tensor, values: Tensor) -> Tensor:
    """Return weights @ values, multiplying only windows that hold the band.

    Args:
        weights: an interpolation matrix, [N, P, L].
        values: [N, L, M].

    Returns:
        [N, P, M].
    """
    number, size, length = weights.shape
    step = length / size  # no interval is longer than its axis, so samples are at most this far apart
    window = min(length, int((_BLOCK - 1) * step + 2 * max(1.0, step)) + 2)
    blocks = -(-size // _BLOCK)
    if window == length or blocks == 1:
        return weights @ values
    weights = functional.pad(weights, (0, 0, 0, blocks * _BLOCK - size)).view(number, blocks, _BLOCK, length)
    first = (weights.detach()[:, :, 0] > 0).byte().argmax(-1)  # leftmost pixel of a block's first sample
    source = first.clamp(max=length - window)[..., None] + torch.arange(window, device=weights.device)
    weights = weights.gather(-1, source[:, :, None].expand(-1, -1, _BLOCK, -1))
    case = torch.arange(number, device=weights.device)[:, None]
    windows = values[case, source.flatten(1)].view(number * blocks, window, -1)
    product = weights.view(number * blocks, _BLOCK, window) @ windows
    return product.view(number, blocks * _BLOCK, -1)[:, :size]
