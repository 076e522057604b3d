"""Scenes become pixels."""

import numpy as np
from numpy.typing import NDArray

from neurofocus.simulate.digits.glyphs import Floats
from neurofocus.simulate.digits.recipe import DigitsConfig, Stream, generator
from neurofocus.simulate.digits.scene import Scene, Sprite

__all__ = ["noise_bank", "render"]

_NOISE_SD = 0.015
_NOISE_MARGIN = 32
_INK_GAIN = 1.4  # strokes are gray at their rims; this makes their cores opaque


def noise_bank(config: DigitsConfig) -> Floats:
    """Return brightness noise larger than a video, [T + m, H + m, W + m]; every video shows a window of it."""
    side = config.frame_size + _NOISE_MARGIN
    shape = (config.num_frames + _NOISE_MARGIN, side, side)
    noise = generator(config.seed, Stream.NOISE).standard_normal(shape, np.float32)
    return noise * np.float32(_NOISE_SD)


def render(config: DigitsConfig, scene: Scene, bank: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a scene: texture, distractors, digit, noise.

    Args:
        config: the frame's size.
        scene: what to draw.
        bank: see `noise_bank`.
        rng: chooses the window of the noise.

    Returns:
        RGB frames [T, H, W, 3].
    """
    side, frames = config.frame_size, len(scene.present)
    texture = _smooth(scene.background, side)
    canvas = np.repeat(texture.transpose(2, 0, 1)[:, None], frames, axis=1)  # [3, T, H, W]
    for sprite in (*scene.distractors, scene.target):
        _paint(canvas, sprite)
    t, y, x = rng.integers(0, _NOISE_MARGIN + 1, 3)
    canvas += bank[t : t + frames, y : y + side, x : x + side]
    np.multiply(canvas, 255, out=canvas)
    canvas += 0.5
    return canvas.clip(0, 255).astype(np.uint8).transpose(1, 2, 3, 0)


def _paint(canvas: Floats, sprite: Sprite) -> None:
    """Blend a sprite into the frames [3, T, H, W] in place, in the rectangle that it ever touches."""
    shown = np.flatnonzero(sprite.opacity)
    if not shown.size:
        return
    first, last = shown[0], shown[-1] + 1
    boxes, side = sprite.boxes[first:last], canvas.shape[-1]
    (top, bottom), rows = _ramps(boxes[:, 1], boxes[:, 2], side, sprite.images.shape[1])
    (left, right), columns = _ramps(boxes[:, 0], boxes[:, 3], side, sprite.images.shape[2])
    ink = rows @ sprite.images[first:last] @ columns.transpose(0, 2, 1)
    alpha = np.minimum(ink * np.float32(_INK_GAIN), 1) * sprite.opacity[first:last, None, None]
    window = canvas[:, first:last, top:bottom, left:right]
    window += alpha * (sprite.color[:, None, None, None] - window)


def _ramps(center: Floats, extent: Floats, side: int, cells: int) -> tuple[tuple[int, int], Floats]:
    """Return the touched range of an axis's pixels and how much of each cell a pixel shows, [T, pixels, cells].

    Linear interpolation between cell centres; beyond the outermost cells there is no ink.
    """
    reach = extent * (0.5 + 0.5 / cells)
    low = max(0, int((center - reach).min()))
    high = min(side, int((center + reach).max()) + 1)
    pixels = np.arange(low, high, dtype=np.float32) + np.float32(0.5)
    cell = (pixels - (center - extent / 2)[:, None]) * (cells / extent)[:, None] - np.float32(0.5)
    distance = np.abs(cell[:, :, None] - np.arange(cells, dtype=np.float32))
    return (low, high), np.maximum(1 - distance, 0)


def _smooth(nodes: Floats, side: int) -> Floats:
    """Return a texture [side, side, 3] that interpolates nodes [n, n, 3] linearly."""
    position = np.linspace(0, len(nodes) - 1, side, dtype=np.float32)
    weights = np.maximum(1 - np.abs(position[:, None] - np.arange(len(nodes), dtype=np.float32)), 0)
    columns: Floats = weights @ nodes  # [n, side, 3]
    return np.tensordot(weights, columns, axes=1).astype(np.float32)
