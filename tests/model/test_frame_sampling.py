"""Frame sampling: against the released code's examples, enumeration of Eq. 16-21, and its own properties."""

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from neurofocus.model import frame_sampling
from neurofocus.model.draws import Draws
from neurofocus.model.frame_sampling import (
    draw_frames,
    expected_frame_loss,
    glance_frame_indices,
    num_mc_draws,
    quantile_frames,
    uniform_frames,
)


def _draws(seed: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed))


def _weights(batch: int, bins: int, seed: int, scale: float = 2.0) -> Tensor:
    return (scale * torch.randn(batch, bins, generator=torch.Generator().manual_seed(seed))).softmax(-1)


def _assert_valid(indices: Tensor, shape: tuple[int, int], num_frames: int) -> None:
    assert indices.dtype == torch.int64
    assert tuple(indices.shape) == shape
    assert (indices.diff(dim=1) > 0).all()
    assert indices.min() >= 0
    assert indices.max() < num_frames


def test_glance_frames_are_the_middles_of_their_groups() -> None:
    assert glance_frame_indices(2, 48, 16, draws=None).tolist() == [list(range(1, 48, 3))] * 2
    assert glance_frame_indices(1, 8, 8, draws=None).tolist() == [list(range(8))]
    assert glance_frame_indices(1, 8, 2, draws=None).tolist() == [[2, 6]]


def test_random_glance_frames_cover_their_group_evenly() -> None:
    indices = glance_frame_indices(3000, 12, 4, draws=_draws())
    _assert_valid(indices, (3000, 4), 12)
    assert (indices // 3 == torch.arange(4)).all()
    counts = torch.bincount(indices.flatten(), minlength=12)
    assert (counts - 1000).abs().max() < 150  # 5.8 standard deviations


@pytest.mark.parametrize(
    ("bins", "expected"),
    [
        (list(range(16)), list(range(1, 48, 3))),
        ([7, 8], list(range(21, 37))),
        ([0, 15], [*range(8), *range(40, 48)]),
    ],
)
def test_quantile_frames_are_those_of_the_released_code(bins: list[int], expected: list[int]) -> None:
    weights = torch.zeros(1, 16)
    weights[0, bins] = 1 / len(bins)
    assert quantile_frames(weights, 48, 16).tolist() == [expected]


@given(
    st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 4), st.data(), st.sampled_from([0.0, 1, 8, 60])
)
@settings(max_examples=80)
def test_every_selection_is_strictly_increasing_and_in_range(
    seed: int, bins: int, group: int, data: st.DataObject, scale: float
) -> None:
    frames = bins * group
    wanted = data.draw(st.integers(1, frames))
    weights = _weights(2, bins, seed, scale)
    for indices in (
        quantile_frames(weights, frames, wanted),
        draw_frames(weights, frames, wanted, draws=_draws(seed)),
        uniform_frames(2, frames, wanted, draws=None),
        uniform_frames(2, frames, wanted, draws=_draws(seed)),
    ):
        _assert_valid(indices, (2, wanted), frames)


def test_quantiles_follow_the_mass() -> None:
    weights = torch.tensor([[0.7, 0.1, 0.1, 0.1]])
    # Quantiles .125 .375 .625 .875 at .125/.7, .375/.7, .625/.7 of bin 0 and .75 of bin 2: positions 1.07, 3.2, 5.4, 16.5.
    assert quantile_frames(weights, 24, 4).tolist() == [[1, 3, 5, 16]]


@pytest.mark.parametrize(
    ("weights", "num_frames", "wanted", "expected"),
    [
        (
            [0.5, 0.0, 0.5],
            24,
            1,
            [8],
        ),  # the quantile is the border of an empty part: its near side, as released
        ([0.0, 0.0, 1.0, 0.0], 8, 3, [4, 5, 6]),  # 4.33, 5.0, 5.67: the second 5 gives way
        ([0.0, 0.0, 0.0, 1.0], 8, 4, [4, 5, 6, 7]),  # no room to the right
        ([1.0, 0.0, 0.0, 0.0], 8, 8, list(range(8))),
        ([0.25, 0.75], 5, 2, [2, 4]),  # frames that no part holds whole: 2.5 and 4.17
    ],
)
def test_quantiles_at_the_edges(
    weights: list[float], num_frames: int, wanted: int, expected: list[int]
) -> None:
    assert quantile_frames(torch.tensor([weights]), num_frames, wanted).tolist() == [expected]


def test_random_uniform_frames_cover_their_segment_evenly_case_by_case() -> None:
    indices = uniform_frames(3000, 12, 4, draws=_draws())
    _assert_valid(indices, (3000, 4), 12)
    assert (indices // 3 == torch.arange(4)).all()
    counts = torch.bincount(indices.flatten(), minlength=12)
    assert (counts - 1000).abs().max() < 150  # 5.8 standard deviations


def test_uniform_frames_sit_in_the_middle_of_their_segments() -> None:
    assert uniform_frames(1, 48, 16, draws=None).tolist() == [list(range(1, 48, 3))]
    assert uniform_frames(1, 10, 4, draws=None).tolist() == [[1, 3, 6, 8]]
    assert uniform_frames(1, 6, 6, draws=None).tolist() == [list(range(6))]


def test_drawn_frames_have_the_distribution_of_sequential_draws() -> None:
    weights = torch.tensor([0.5, 0.3, 0.2])  # each shared by 2 of 6 frames
    share = (weights / 2).repeat_interleave(2).double()
    probability: dict[tuple[int, ...], float] = {}
    for first, second in permutations(range(6), 2):
        pair = tuple(sorted((first, second)))
        chance = (share[first] * share[second] / (1 - share[first])).item()
        probability[pair] = probability.get(pair, 0) + chance
    number = 20_000
    drawn = draw_frames(weights.expand(number, 3), 6, 2, draws=_draws())
    for pair, chance in probability.items():
        seen = (drawn == torch.tensor(pair)).all(1).double().mean().item()
        assert seen == pytest.approx(chance, abs=5 * (chance * (1 - chance) / number) ** 0.5)


def test_number_of_monte_carlo_draws() -> None:
    assert num_mc_draws(48, 16, 16) == 5
    assert num_mc_draws(24, 8, 8) == 2
    assert num_mc_draws(96, 16, 1) == 1


def _eq_21(weights: Tensor, losses: Tensor, orders: list[tuple[int, ...]], num_draws: int) -> Tensor:
    """Eq. 20 and 21 as written, one prefix at a time."""
    total = torch.zeros((), dtype=weights.dtype)
    for order in orders:
        for i in range(num_draws):
            keep = torch.ones_like(weights)
            keep[list(order[:i])] = 0
            masked = weights * keep
            total = total + (masked / masked.sum() * losses).sum()
    return total / (len(orders) * num_draws)


@pytest.mark.parametrize("num_draws", [1, 2, 3, 4])
def test_given_draws_the_estimate_is_eq_21_as_written(
    num_draws: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = list(permutations(range(4)))
    monkeypatch.setattr(
        frame_sampling, "_draw_order", lambda weights, draws: torch.tensor(orders).expand(2, -1, -1)
    )
    weights = _weights(2, 4, seed=1).double().requires_grad_()
    losses = torch.rand(2, 4, generator=torch.Generator().manual_seed(2)) * 3
    estimate = expected_frame_loss(weights, losses, num_draws=num_draws, num_samples=24, draws=_draws())
    (gradient,) = torch.autograd.grad(estimate.sum(), weights)
    expected = torch.stack(
        [_eq_21(w, lo.double(), orders, num_draws) for w, lo in zip(weights, losses, strict=True)]
    )
    (expected_gradient,) = torch.autograd.grad(expected.sum(), weights)
    torch.testing.assert_close(estimate.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-5)


def _probability(weights: Tensor, order: tuple[int, ...]) -> Tensor:
    """Chance of drawing this order, Eq. 16."""
    left, chance = weights.sum(), torch.ones((), dtype=weights.dtype)
    for j in order:
        chance, left = chance * weights[j] / left, left - weights[j]
    return chance


@pytest.mark.parametrize("num_draws", [1, 2, 3])
def test_estimate_and_gradient_converge_to_the_enumerated_expectation(num_draws: int) -> None:
    weights = _weights(1, 5, seed=3, scale=1.0).double().requires_grad_()
    losses = torch.tensor([[0.1, 2.0, 0.7, 3.0, 1.2]], dtype=torch.float64)
    orders = list(permutations(range(5), num_draws))
    chances = [_probability(weights[0], order).detach() for order in orders]
    assert sum(chances).item() == pytest.approx(1)
    # Eq. 17, by enumerating whole draws: the chance of a draw times the mean loss of its frames.
    direct = sum(c * losses[0, list(o)].mean() for c, o in zip(chances, orders, strict=True))
    # Eq. 18, by enumerating prefixes; the gradient goes through the inner sum, as in Eq. 21.
    decomposed = sum(
        c * _eq_21(weights[0], losses[0], [o], num_draws) for c, o in zip(chances, orders, strict=True)
    )
    assert decomposed.item() == pytest.approx(direct.item(), rel=1e-9)
    (expected_gradient,) = torch.autograd.grad(decomposed, weights)
    estimate = expected_frame_loss(weights, losses, num_draws=num_draws, num_samples=60_000, draws=_draws(4))
    (gradient,) = torch.autograd.grad(estimate.sum(), weights)
    assert estimate.item() == pytest.approx(direct.item(), abs=0.01)
    torch.testing.assert_close(gradient, expected_gradient, rtol=0.02, atol=0.02)


def test_minimising_moves_weight_to_frames_with_small_loss() -> None:
    logits = torch.zeros(1, 4, requires_grad=True)
    losses = torch.tensor([[0.1, 1.0, 2.0, 0.5]], requires_grad=True)
    expected_frame_loss(
        logits.softmax(-1), losses, num_draws=2, num_samples=512, draws=_draws()
    ).sum().backward()
    assert logits.grad is not None
    assert logits.grad[0].argsort().tolist() == [0, 3, 1, 2]
    assert losses.grad is None  # the frames' losses are constants


def test_peaked_weights_keep_estimate_and_gradient_finite() -> None:
    logits = torch.tensor([[200.0, 0.0, -200.0, 0.0]], requires_grad=True)
    losses = torch.tensor([[0.5, 1.0, 2.0, 3.0]])
    estimate = expected_frame_loss(logits.softmax(-1), losses, num_draws=4, num_samples=64, draws=_draws())
    estimate.sum().backward()
    assert 0.5 <= estimate.item() <= 3
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_memory_does_not_grow_with_the_number_of_draws() -> None:
    batch, samples, bins = 2, 32, 16

    def saved(num_draws: int) -> int:
        storages: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        weights = _weights(batch, bins, seed=0).requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = expected_frame_loss(
                weights, weights, num_draws=num_draws, num_samples=samples, draws=_draws()
            )
        assert loss.requires_grad
        return sum(storages.values())

    unit = 4 * batch * samples * bins
    assert saved(2) < 6 * unit
    assert saved(15) < 8 * unit  # materialising every prefix would take more than 15


def test_weights_are_spread_over_the_frames_of_their_part() -> None:
    weights = torch.rand(3, 8, generator=torch.Generator().manual_seed(0)).softmax(-1)
    assert torch.equal(frame_sampling._spread(weights, 24), weights.repeat_interleave(3, dim=1))
    # Three frames for two bins: the middle one lies half in each.
    torch.testing.assert_close(
        frame_sampling._spread(torch.tensor([[0.2, 0.8]]), 3), torch.tensor([[0.2, 0.5, 0.8]])
    )
    for frames in (36, 5, 8, 61):
        shares = frame_sampling._spread(weights, frames)
        torch.testing.assert_close(shares.sum(1), torch.full((3,), frames / 8))
