"""scikit-learn's handwritten digits, dealt to the parts, and what is cut out of them."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from neurofocus.simulate.digits.recipe import CLASSES, Part

__all__ = ["Floats", "Integers", "digit_images", "hide_half", "images_of_part", "scramble"]

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

_SIDE = 8
_FULL_INK = 16.0
_HALF = _SIDE // 2
# Shares of the images in file order. Neighbours in the file mostly come from one writer (nobody published which), so
# consecutive ranges keep most writers apart; shuffled images would not.
_BOUNDS: dict[str, tuple[float, float]] = {"train": (0.0, 0.6), "validation": (0.6, 0.7), "test": (0.7, 1.0)}


@cache
def digit_images() -> tuple[Floats, Integers]:
    """Return all 1,797 images, ink in 0..1 [N, 8, 8], and their digits [N] (UCI optdigits, test part)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return (bunch.images / _FULL_INK).astype(np.float32), bunch.target.astype(np.int64)


@cache
def images_of_part(part: Part) -> dict[int, Integers]:
    """Return the image indices of every digit that a part may use; stills use those of the training part.

    No image belongs to two of train, validation and test.
    """
    _, digits = digit_images()
    low, high = (round(bound * len(digits)) for bound in _BOUNDS["train" if part == "stills" else part])
    indices = np.arange(low, high)
    return {digit: indices[digits[low:high] == digit] for digit in range(len(CLASSES))}


def hide_half(images: Floats, half: Integers) -> Floats:
    """Return images [T, 8, 8] without their top (1), bottom (2), left (3) or right (4) half; 0 hides nothing."""
    row, column = np.indices((_SIDE, _SIDE))
    visible = np.stack(
        [np.ones((_SIDE, _SIDE), bool), row >= _HALF, row < _HALF, column >= _HALF, column < _HALF]
    )
    return np.where(visible[half], images, np.float32(0))


def scramble(image: Floats, rng: np.random.Generator) -> Floats:
    """Return a digit [8, 8] cut in four blocks, each turned and put elsewhere: strokes without a digit."""
    blocks = [image[r : r + _HALF, c : c + _HALF] for r in (0, _HALF) for c in (0, _HALF)]
    # Every permutation but the identity: a digit with turned blocks in place may still be read.
    order = rng.permutation(4)
    while (order == np.arange(4)).all():
        order = rng.permutation(4)
    turned = [np.rot90(blocks[index], int(rng.integers(1, 4))) for index in order]
    return np.block([turned[:2], turned[2:]]).astype(np.float32)
