"""The temporal policy: released names and shapes, a distribution, its reach in time."""

import torch

from neurofocus.model.temporal_policy import TemporalPolicy


def _policy() -> TemporalPolicy:
    torch.manual_seed(0)
    return TemporalPolicy(12, channels=8)


def _features(batch: int = 3) -> torch.Tensor:
    return torch.randn(batch, 9, 12, generator=torch.Generator().manual_seed(1))


def test_names_and_shapes_are_those_of_the_released_checkpoints() -> None:
    weights = {n: tuple(p.shape) for n, p in _policy().named_parameters() if p.ndim > 1}
    assert weights == {
        "Tconv.0.weight": (8, 12, 3, 1),
        "Tconv.3.weight": (8, 8, 3, 1),
        "Tconv.6.weight": (1, 8, 1, 1),
    }
    assert sum(p.numel() for p in TemporalPolicy(1280, channels=64).parameters()) == 258_368


def test_weights_are_a_distribution_over_frames() -> None:
    weights = _policy()(_features())
    assert weights.shape == (3, 9)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(3))


def test_a_frame_reaches_two_neighbours_on_each_side() -> None:
    policy = _policy().eval()
    features = _features(1)
    changed = features.clone()
    changed[:, 4] += 1
    # Ratios of weights show the unnormalised scores; frame 0 is out of reach of frame 4.
    change = (policy(changed)[0] / policy(changed)[0, 0]) / (policy(features)[0] / policy(features)[0, 0])
    moved = (change - 1).abs() > 1e-5
    assert moved.tolist() == [False, False, True, True, True, True, True, False, False]


def test_float32_under_autocast() -> None:
    policy, features = _policy().eval(), _features()
    expected = policy(features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(policy(features), expected)
