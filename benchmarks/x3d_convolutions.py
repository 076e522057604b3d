"""X3D as it is here against the same network on torch's 3-D convolutions: `python benchmarks/x3d_convolutions.py`.

The glance (S, 16 frames of 160 pixels) and the focus (L, 32 of 128) of Uni-AdaFocus-X3D. CPU times alternate in one
process on one thread; printed are medians in milliseconds of inference and of forward and backward.
"""

import copy
import statistics
import time
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from neurofocus.model.encoders.clip_convolutions import FrameConv3d, PointwiseConv3d, TemporalConv3d
from neurofocus.model.encoders.x3d import X3D

REPEATS = 5
CASES: tuple[tuple[Literal["s", "l"], int, int], ...] = (("s", 16, 160), ("l", 32, 128))


def plain(model: X3D) -> X3D:
    """Return a copy whose convolutions are all computed by `nn.Conv3d`."""
    copied = copy.deepcopy(model)
    for part in copied.modules():
        if isinstance(part, (FrameConv3d, PointwiseConv3d, TemporalConv3d)):
            part.__class__ = nn.Conv3d  # type: ignore[assignment]  # mypy knows no change of class
    return copied


def seconds(work: Callable[[X3D, Tensor], object], model: X3D, images: Tensor) -> float:
    start = time.process_time()
    work(model, images)
    return time.process_time() - start


def infer(model: X3D, images: Tensor) -> Tensor:
    with torch.inference_mode():
        maps: Tensor = model.eval()(images, len(images))
    return maps


def learn(model: X3D, images: Tensor) -> None:
    model.train()(images, len(images)).square().mean().backward()


def main() -> None:
    torch.set_num_threads(1)
    for variant, num_frames, side in CASES:
        ours = X3D(variant=variant)
        models = {"torch's Conv3d": plain(ours), "neurofocus": ours}
        last = plain(ours).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # torch's stubs lack it
        models["Conv3d, weights channels last"] = last
        images = torch.randn(num_frames, 3, side, side)
        torch.testing.assert_close(infer(last, images), infer(ours, images), rtol=1e-3, atol=1e-4)
        times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in models}
        for _ in range(REPEATS):
            for name, model in models.items():
                times[name][0].append(seconds(infer, model, images))
                times[name][1].append(seconds(learn, model, images))
        for name, (forward, both) in times.items():
            medians = f"{1e3 * statistics.median(forward):6.0f} {1e3 * statistics.median(both):6.0f}"
            print(f"X3D-{variant.upper()} {num_frames} x {side}  {name:30} {medians}")


if __name__ == "__main__":
    main()
