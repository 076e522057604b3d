"""What the released training code draws and expects, against loops in numpy and the enumerated expectation."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from neurofocus.model import frame_sampling
from neurofocus.model.draws import Draws
from neurofocus.model.frame_sampling import expected_frame_logits, expected_frame_loss, quantile_frames

Array = NDArray[np.float64]


def _draws(seed: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed))


def _weights(batch: int, bins: int, seed: int, scale: float = 2.0) -> Tensor:
    return (scale * torch.randn(batch, bins, generator=torch.Generator().manual_seed(seed))).softmax(-1)


def _inverse_cdf(weights: Array, quantiles: Array, num_frames: int) -> list[int]:
    """Invert the piecewise-linear distribution, push repeats to the right, clamp from the end."""
    edges = np.linspace(0, 1, len(weights) + 1)
    cumulative = np.concatenate([[0], np.cumsum(weights)])
    cumulative[-1] = 1
    indices = [int(np.interp(q, cumulative, edges) * num_frames) for q in quantiles]
    for i in range(1, len(indices)):
        indices[i] = max(indices[i], indices[i - 1] + 1)
    wanted = len(indices)
    return [min(index, num_frames - wanted + i) for i, index in enumerate(indices)]


@given(seed=st.integers(0, 10_000), wanted=st.sampled_from([3, 8, 12]), random=st.booleans())
@settings(max_examples=40)
def test_stratified_frames_invert_the_distribution(seed: int, wanted: int, random: bool) -> None:
    weights = _weights(2, 8, seed)
    place = np.full((2, wanted), 0.5)
    if random:
        place = _draws(seed).uniform((2, wanted), torch.float64).numpy()
    quantiles = (np.arange(wanted) + place) / wanted
    seen = quantile_frames(weights, 24, wanted, draws=_draws(seed) if random else None)
    expected = [_inverse_cdf(w, q, 24) for w, q in zip(weights.double().numpy(), quantiles, strict=True)]
    assert seen.tolist() == expected


def _by_loop(weights: Array, logits: Array, orders: list[tuple[int, ...]], num_draws: int) -> Array:
    """Return the averaged logits sample by sample and draw by draw."""
    total = np.zeros(logits.shape[1])
    for order in orders:
        for i in range(num_draws):
            left = [j for j in range(len(weights)) if j not in order[:i]]
            rest = sum(weights[j] for j in left)
            total += sum(weights[j] / rest * logits[j] for j in left)
    return total / (len(orders) * num_draws)


@pytest.mark.parametrize("num_draws", [1, 2, 3])
def test_given_draws_the_logits_are_the_loops(num_draws: int, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = list(permutations(range(4)))
    monkeypatch.setattr(
        frame_sampling, "_draw_order", lambda weights, draws: torch.tensor(orders).expand(2, -1, -1)
    )
    weights = _weights(2, 4, seed=1).requires_grad_()
    logits = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(2), requires_grad=True)
    seen = expected_frame_logits(weights, logits, num_draws=num_draws, num_samples=24, draws=_draws())
    pairs = zip(weights.detach().double().numpy(), logits.detach().double().numpy(), strict=True)
    expected = np.stack([_by_loop(w, z, orders, num_draws) for w, z in pairs])
    np.testing.assert_allclose(seen.detach().numpy(), expected, rtol=1e-5, atol=1e-6)

    # The sum of the remaining weights is a constant, so that each weight's gradient is the mean of logit / sum.
    (gradient,) = torch.autograd.grad(seen[:, 0].sum(), weights)
    for case in range(2):
        w, z = weights[case].detach().double().numpy(), logits[case, :, 0].detach().double().numpy()
        for j in range(4):
            parts = [
                0.0 if j in order[:i] else z[j] / sum(w[k] for k in range(4) if k not in order[:i])
                for order in orders
                for i in range(num_draws)
            ]
            assert gradient[case, j].item() == pytest.approx(np.mean(parts), rel=1e-4, abs=1e-5)


def test_the_estimate_converges_to_the_enumerated_expectation() -> None:
    weights = _weights(1, 5, seed=3, scale=1.0)
    logits = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(4))
    w, z = weights[0].double().numpy(), logits[0].double().numpy()
    expected = np.zeros(3)
    for order in permutations(range(5), 2):  # the chance of every pair of first draws, Eq. 16
        chance = w[order[0]] * w[order[1]] / (1 - w[order[0]])
        expected += chance * _by_loop(w, z, [order], 3)
    seen = expected_frame_logits(weights, logits, num_draws=3, num_samples=40_000, draws=_draws(5))
    np.testing.assert_allclose(seen[0].numpy(), expected, atol=0.01)


@given(seed=st.integers(0, 10_000), num_draws=st.integers(1, 5))
@settings(max_examples=40)
def test_the_released_value_is_at_most_the_papers(seed: int, num_draws: int) -> None:
    """Cross-entropy is convex, so the loss of mean logits is at most the mean loss (same samples)."""
    generator = torch.Generator().manual_seed(seed)
    weights = _weights(3, 6, seed)
    logits = 3 * torch.randn(3, 6, 4, generator=generator)
    labels = torch.tensor([0, 1, 3])
    order = torch.rand(3, 16, 6, generator=generator).argsort(-1)
    losses = functional.cross_entropy(
        logits.flatten(0, 1), labels.repeat_interleave(6), reduction="none"
    ).view(3, 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frame_sampling, "_draw_order", lambda weights, draws: order)
        paper = expected_frame_loss(weights, losses, num_draws=num_draws, num_samples=16, draws=_draws())
        mean = expected_frame_logits(weights, logits, num_draws=num_draws, num_samples=16, draws=_draws())
    released = functional.cross_entropy(mean, labels, reduction="none")
    assert (released <= paper + 1e-5).all()


def test_draws_are_anew_for_every_i() -> None:
    class Counting(Draws):
        calls = 0

        def exponential(self, shape: tuple[int, ...]) -> Tensor:
            type(self).calls += 1
            return super().exponential(shape)

    expected_frame_logits(
        _weights(1, 6, 0),
        torch.zeros(1, 6, 2),
        num_draws=4,
        num_samples=8,
        draws=Counting(_draws().generator),
    )
    assert Counting.calls == 3  # nothing is taken before the first


def test_peaked_weights_stay_finite() -> None:
    scores = torch.tensor([[200.0, 0.0, -200.0, 0.0]], requires_grad=True)
    mean = expected_frame_logits(
        scores.softmax(-1), torch.ones(1, 4, 2), num_draws=3, num_samples=32, draws=_draws()
    )
    mean.sum().backward()
    assert mean.isfinite().all()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
