"""The temporal shift against plain ways to write it: `python benchmarks/temporal_shift.py`.

Maps of eight frames as ResNet-50 has them at 224 pixels, in both memory formats. CPU times alternate in one process
on one thread; printed are medians in milliseconds, forward alone and forward and backward.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from neurofocus.model.encoders.temporal_shift import temporal_shift

FRAMES, REPEATS = 8, 15
SHAPES = ((FRAMES, 256, 56, 56), (FRAMES, 512, 28, 28), (FRAMES, 1024, 14, 14))


def slices(maps: Tensor, num_frames: int) -> Tensor:
    """Fill zeros slice by slice, as the TSM authors do."""
    clips = maps.view(-1, num_frames, *maps.shape[1:])
    share, result = maps.shape[1] // 8, torch.zeros_like(clips)
    result[:, :-1, :share] = clips[:, 1:, :share]
    result[:, 1:, share : 2 * share] = clips[:, :-1, share : 2 * share]
    result[:, :, 2 * share :] = clips[:, :, 2 * share :]
    return result.view_as(maps)


def concatenation(maps: Tensor, num_frames: int) -> Tensor:
    clips = maps.view(-1, num_frames, *maps.shape[1:])
    share = maps.shape[1] // 8
    ahead = functional.pad(clips[:, 1:, :share], (0, 0, 0, 0, 0, 0, 0, 1))
    back = functional.pad(clips[:, :-1, share : 2 * share], (0, 0, 0, 0, 0, 0, 1, 0))
    return torch.cat([ahead, back, clips[:, :, 2 * share :]], 2).reshape(maps.shape)


def main() -> None:
    torch.set_num_threads(1)
    ways: dict[str, Callable[[Tensor, int], Tensor]] = {
        "slices": slices,
        "concatenation": concatenation,
        "neurofocus": temporal_shift,
    }
    for shape in SHAPES:
        for layout in (torch.contiguous_format, torch.channels_last):
            maps = torch.randn(shape).contiguous(memory_format=layout).requires_grad_()
            gradient = torch.randn_like(maps)
            assert all(torch.equal(way(maps, FRAMES), slices(maps, FRAMES)) for way in ways.values())
            times: dict[tuple[str, bool], list[float]] = {
                (name, back): [] for name in ways for back in (False, True)
            }
            for _ in range(REPEATS):
                for (name, back), seconds in times.items():
                    start = time.process_time()
                    shifted = ways[name](maps, FRAMES)
                    if back:
                        shifted.backward(gradient)
                    seconds.append(time.process_time() - start)
            medians = {key: 1e3 * statistics.median(seconds) for key, seconds in times.items()}
            shown = "  ".join(
                f"{name} {medians[name, False]:.2f} / {medians[name, True]:.2f}" for name in ways
            )
            print(f"{shape!s:20} {str(layout).removeprefix('torch.'):18} {shown}")


if __name__ == "__main__":
    main()
