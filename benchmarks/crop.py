"""Crop-and-resize by two matrix products against grid_sample: `python benchmarks/crop.py`.

Both cut one box out of each of 16 colour frames of 224 x 224 and resize it to 128 x 128. Times alternate in one
process on one thread; printed are medians and their ratio, and the multiply-adds that torch counts.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from neurofocus.model.patches import boxes_from_actions, crop_and_resize, crop_matrices
from neurofocus.schema.model import PatchConfig

FRAMES, SIDE, PATCH, REPEATS = 16, 224, 128, 15


def banded(images: Tensor, boxes: Tensor) -> Tensor:
    return crop_and_resize(images, boxes, PATCH, antialias=False, padding="zeros")


def antialiased(images: Tensor, boxes: Tensor) -> Tensor:
    return crop_and_resize(images, boxes, PATCH, antialias=True)


def dense(images: Tensor, boxes: Tensor) -> Tensor:
    rows, cols = crop_matrices(boxes, SIDE, PATCH, antialias=False, padding="zeros")
    return rows[:, None] @ images @ cols[:, None].transpose(-1, -2)


def grid(images: Tensor, boxes: Tensor) -> Tensor:
    x, y, height, width = (boxes / SIDE).unbind(-1)
    zero = torch.zeros_like(x)
    theta = torch.stack([width, zero, 2 * x - 1, zero, height, 2 * y - 1], -1).view(-1, 2, 3)
    where = functional.affine_grid(theta, [len(images), 3, PATCH, PATCH], align_corners=False)
    return functional.grid_sample(images, where, align_corners=False)


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(FRAMES, 3, SIDE, SIDE, generator=generator)
    actions = torch.rand(FRAMES, 4, generator=generator)
    boxes = boxes_from_actions(actions, PatchConfig(), frame_size=SIDE, patch_size=PATCH).requires_grad_()
    crops: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "grid_sample": grid,
        "banded products": banded,
        "anti-aliased products": antialiased,
        "dense products": dense,
    }
    print(
        f"largest difference from grid_sample: {(banded(images, boxes) - grid(images, boxes)).abs().max():.1e}"
    )
    seconds: dict[tuple[str, bool], list[float]] = {(name, b): [] for name in crops for b in (False, True)}
    for _ in range(REPEATS):
        for (name, backward), times in seconds.items():
            start = time.perf_counter()
            patches = crops[name](images, boxes)
            if backward:
                patches.sum().backward()
            times.append(time.perf_counter() - start)
    for (name, backward), times in seconds.items():
        reference = statistics.median(seconds["grid_sample", backward])
        median = statistics.median(times)
        with FlopCounterMode(display=False) as counter:
            crops[name](images, boxes)
        label = "forward and backward" if backward else "forward"
        print(
            f"{name:22} {label:21} {1e3 * median:6.1f} ms  {median / reference:4.2f} x grid_sample"
            f"  forward {counter.get_total_flops() / 2e9:.3f} GFLOPs (multiply-adds)"
        )


if __name__ == "__main__":
    main()
