import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurofocus.model.draws import Draws


def _take(draws: Draws, cases: int) -> list[torch.Tensor]:
    return [draws.uniform((cases, 3)), draws.integers(5, (cases, 2)), draws.exponential((cases,))]


@given(st.integers(0, 2**32), st.integers(1, 9), st.data())
def test_the_parts_of_a_batch_are_those_of_the_whole(seed: int, total: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, total))
    whole = _take(Draws(torch.Generator().manual_seed(seed)), total)
    parts = [
        _take(Draws(torch.Generator().manual_seed(seed), start, total), stop - start)
        for start, stop in ((0, cut), (cut, total))
    ]
    for first, second, all_ in zip(*parts, whole, strict=True):
        assert torch.equal(torch.cat([first, second]), all_)


def test_one_process_draws_what_its_generator_gives() -> None:
    draws, generator = Draws(torch.Generator().manual_seed(3)), torch.Generator().manual_seed(3)
    assert torch.equal(draws.uniform((2, 3)), torch.rand(2, 3, generator=generator))
    assert torch.equal(draws.integers(7, (4,)), torch.randint(7, (4,), generator=generator))
    assert torch.equal(draws.exponential((2, 2)), torch.empty(2, 2).exponential_(generator=generator))
    assert draws.uniform((1, 1), torch.float64).dtype == torch.float64
    assert draws.exponential((5000,)).mean() == pytest.approx(1, abs=0.05)
