"""Statistics against NumPy in float64, a batch norm against torch's own in float64."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neurofocus.training.batch_statistics import BLOCK, batch_statistics, summing_in_blocks

ORDERS = {4: torch.channels_last, 5: torch.channels_last_3d}


def maps_of(shape: tuple[int, ...], *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return channels of different means and spreads, channels last."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    channel = torch.arange(shape[1]).view(1, -1, *[1] * (len(shape) - 2))
    return (drawn * (1 + channel) + 3 * channel).to(dtype).contiguous(memory_format=ORDERS[len(shape)])


@pytest.mark.parametrize(
    "shape",
    [(2, 3, 5, 4), (1, 1, 2, 1), (3, 2, 32, 32), (5, 4, 21, 23), (2, 3, 4, 9, 17), (BLOCK + 1, 2, 1, 1)],
)
def test_statistics_are_those_of_numpy(shape: tuple[int, ...]) -> None:
    maps = maps_of(shape)
    axes = tuple(axis for axis in range(len(shape)) if axis != 1)
    mean, variance = batch_statistics(maps)
    np.testing.assert_allclose(mean, maps.numpy().mean(axes), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(variance, maps.numpy().var(axes), rtol=1e-12)


def test_float32_sums_are_exact_to_a_millionth() -> None:
    maps = maps_of((16, 4, 112, 112), dtype=torch.float32)
    _, variance = batch_statistics(maps)
    np.testing.assert_allclose(variance, maps.double().numpy().var((0, 2, 3)), rtol=1e-6)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(3, 4, 9, 8), (2, 4, 3, 9, 8)])
def test_outputs_gradients_and_running_statistics_are_torchs(shape: tuple[int, ...], affine: bool) -> None:
    kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm3d
    norm = kind(shape[1], affine=affine, momentum=0.3, dtype=torch.float64)
    for value in norm.parameters():
        nn.init.uniform_(value, 0.5, 2)
    other = copy.deepcopy(norm)
    found, expected = [], []
    for turn in range(2):
        for each, kept in ((norm, found), (other, expected)):
            maps = maps_of(shape, seed=turn).requires_grad_()
            with summing_in_blocks(each if each is norm else nn.Module()):
                result = each(maps)
            assert (type(result.grad_fn).__name__ == "_NormaliseBackward") == (each is norm)
            torch.autograd.backward(result, maps_of(shape, seed=7))
            assert maps.grad is not None
            kept += [result.detach(), maps.grad, *(value.grad for value in each.parameters())]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        dict(norm.named_buffers()), dict(other.named_buffers()), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(
    "case", ["evaluation", "contiguous", "bfloat16", "cumulative", "untracked", "single value"]
)
def test_torch_itself_does_what_is_not_ours(case: str) -> None:
    norm = nn.BatchNorm2d(
        3, momentum=None if case == "cumulative" else 0.1, track_running_stats=case != "untracked"
    )
    maps = maps_of((2, 3, 6, 6), dtype=torch.bfloat16 if case == "bfloat16" else torch.float32)
    if case == "contiguous":
        maps = maps.contiguous()
    norm.train(case != "evaluation")
    other = copy.deepcopy(norm)
    with summing_in_blocks(norm):
        if case == "single value":
            with pytest.raises(ValueError, match="more than 1 value per channel"):
                norm(maps[:1, :, :1, :1])
            return
        result = norm(maps)
    assert torch.equal(result, other(maps))
    for value, same in zip(norm.buffers(), other.buffers(), strict=True):
        assert torch.equal(value, same)
    assert "forward" not in vars(norm)
