"""Seconds of processor time that augmentation costs an epoch, against the time of a plain copy.

python benchmarks/augment.py [CASES] [FRAMES] [SIDE]
"""

import sys
import time

import numpy as np
import torch

from neurofocus.data.augment import Augmenter
from neurofocus.schema.run import AugmentConfig


def main(cases: int = 55, frames: int = 32, side: int = 96) -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    case = rng.normal(size=(frames, side, side)).astype(np.float32)
    case[:, : side // 8] = 0
    chosen = np.arange(frames)
    augment = Augmenter(AugmentConfig(), np.diag([3.0, 1.75, 1.75, 1.0]))
    augment(case, chosen, 0)  # imports MONAI
    started = time.process_time()
    for seed in range(cases):
        augment(case, chosen, seed)
    augmented = time.process_time() - started
    started = time.process_time()
    for _ in range(cases):
        case[chosen].copy()
    plain = time.process_time() - started
    print(
        f"{cases} cases of {frames} x {side} x {side}: {augmented:.2f} s an epoch, plain copies {plain:.2f} s"
    )


if __name__ == "__main__":
    main(*(int(value) for value in sys.argv[1:]))
