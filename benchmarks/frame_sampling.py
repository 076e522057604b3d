"""The temporal loss by one Gumbel top-k draw against loops of torch.multinomial: `python benchmarks/frame_sampling.py`.

Both estimate Eq. 21 with M = 128 samples for 32 videos of 16 glance frames. The loop draws every prefix anew, as the
released code does. Times alternate in one process on one thread (medians, forward and backward); memory is what
autograd keeps for the backward pass.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from neurofocus.model.draws import Draws
from neurofocus.model.frame_sampling import expected_frame_loss

BATCH, SAMPLES, BINS, REPEATS = 32, 128, 16, 9


def gumbel(weights: Tensor, losses: Tensor, draws: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return expected_frame_loss(
        weights, losses, num_draws=draws, num_samples=SAMPLES, draws=Draws(generator)
    ).mean()


def multinomial(weights: Tensor, losses: Tensor, draws: int) -> Tensor:
    repeated = weights[:, None].expand(-1, SAMPLES, -1)
    total = torch.zeros(())
    for i in range(draws):
        mask = torch.ones_like(repeated)
        if i > 0:
            taken = torch.multinomial(weights.detach().repeat_interleave(SAMPLES, 0), i)
            mask.scatter_(2, taken.view(BATCH, SAMPLES, i), 0.0)
        left = repeated * mask
        total = total + (left / left.sum(-1, keepdim=True) * losses[:, None]).sum(-1).mean()
    return total / draws


def kept_bytes(
    loss: Callable[[Tensor, Tensor, int], Tensor], inputs: tuple[Tensor, Tensor], draws: int
) -> int:
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = loss(*inputs, draws)
    result.backward()
    return sum(storages.values())


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(BATCH, BINS, generator=generator).softmax(-1).requires_grad_()
    losses = torch.rand(BATCH, BINS, generator=generator)
    for draws in (5, 8, 15):
        times: dict[str, list[float]] = {"gumbel": [], "multinomial": []}
        for _ in range(REPEATS):
            for loss in (gumbel, multinomial):
                start = time.perf_counter()
                loss(weights, losses, draws).backward()
                times[loss.__name__].append(time.perf_counter() - start)
        ours, theirs = (1e3 * statistics.median(t) for t in times.values())
        kept, kept_loop = (kept_bytes(f, (weights, losses), draws) / 2**20 for f in (gumbel, multinomial))
        print(
            f"T1 = {draws:2}: {ours:5.1f} ms against {theirs:6.1f} ms ({theirs / ours:.1f} x faster); "
            f"keeps {kept:.2f} MiB against {kept_loop:.2f} MiB ({kept_loop / kept:.1f} x less)"
        )


if __name__ == "__main__":
    main()
