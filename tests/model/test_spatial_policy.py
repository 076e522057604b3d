"""The spatial policy: released names and shapes, range, scope, gradient."""

from typing import Literal

import pytest
import torch

from neurofocus.model.spatial_policy import SpatialPolicy


def _policy(scope: Literal["frame", "clip"] = "frame", channels: int = 8) -> SpatialPolicy:
    torch.manual_seed(0)
    return SpatialPolicy(12, channels=channels, num_frames=4, map_size=3, scope=scope)


def _maps(batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 4, 12, 3, 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("scope", "depth"), [("frame", 1), ("clip", 4)])
def test_names_and_shapes_are_those_of_the_released_checkpoints(
    scope: Literal["frame", "clip"], depth: int
) -> None:
    weights = {n: tuple(p.shape) for n, p in _policy(scope).named_parameters() if p.ndim > 1}
    assert weights == {
        "encoder.0.weight": (8, 12, 1, 1, 1),
        "encoder.3.weight": (8, 8, 3, 3, 3),
        "encoder.6.weight": (8, 8, 3, 3, 3),
        "encoder.9.weight": (4, 8, depth, 3, 3),
    }
    biases = {n for n, _ in _policy(scope).named_parameters() if n.endswith("bias")}
    assert biases == {"encoder.1.bias", "encoder.4.bias", "encoder.7.bias"}  # batch normalisation only


def test_released_size() -> None:
    policy = SpatialPolicy(1280, channels=128, num_frames=16, map_size=7, scope="frame")
    assert sum(p.numel() for p in policy.parameters()) == 1_074_432


def test_actions_lie_strictly_between_zero_and_one_one_a_frame() -> None:
    actions = _policy()(_maps())
    assert actions.shape == (2, 4, 4)
    assert ((actions > 0) & (actions < 1)).all()
    assert actions.std(dim=1).min() > 0


def test_a_clip_shares_one_action() -> None:
    actions = _policy("clip")(_maps())
    assert actions.shape == (2, 4, 4)
    assert (actions == actions[:, :1]).all()
    assert not torch.equal(actions[0], actions[1])


def test_neighbouring_frames_inform_an_action() -> None:
    policy = _policy().eval()
    maps = _maps(1)
    changed = maps.clone()
    changed[:, 3] += 1
    difference = (policy(maps) - policy(changed)).abs().amax(-1)[0]
    assert difference[0] == 0  # two 3x3x3 convolutions reach two frames away
    assert (difference[1:] > 0).all()


def test_a_single_case_in_evaluation() -> None:
    assert _policy().eval()(_maps(1)).shape == (1, 4, 4)


@pytest.mark.parametrize("shape", [(2, 3, 12, 3, 3), (2, 4, 12, 2, 2), (2, 4, 12, 3, 4)])
def test_wrong_maps_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expects \(4, 3, 3\)"):
        _policy()(torch.zeros(shape))


def test_float32_under_autocast() -> None:
    policy, maps = _policy().eval(), _maps()
    expected = policy(maps)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(policy(maps), expected)
