"""Randomness as a function of coordinates: the same (seed, fold, epoch, index) always gives the same draw.

Nothing random is ever saved: an interrupted run draws the same numbers again, and a loader may have any
number of workers.
"""

import hashlib

__all__ = ["derive_seed"]


def derive_seed(purpose: str, *coordinates: int) -> int:
    """Return a seed in [0, 2^63) that depends on the purpose and on every coordinate.

    Different purposes give independent streams at equal coordinates. SHA-256 keeps the value the same on
    every platform and Python version.

    Args:
        purpose: what is drawn, for example ``"augment"``.
        coordinates: usually (seed, fold, epoch, index).
    """
    text = ":".join([purpose, *(str(int(value)) for value in coordinates)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
