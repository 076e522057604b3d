"""The temporal shift against a loop, where it sits, and that it costs nothing else."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from neurofocus.model.encoders.build import build_encoder
from neurofocus.model.encoders.protocol import Encoder
from neurofocus.model.encoders.temporal_shift import temporal_shift
from neurofocus.schema.model import EncoderConfig


def by_loop(maps: Tensor, num_frames: int) -> Tensor:
    """Return what the paper of TSM says, channel by channel and frame by frame."""
    share = maps.shape[1] // 8
    rows = []
    for index in range(len(maps)):
        frame, row = index % num_frames, []
        for channel in range(maps.shape[1]):
            step = 1 if channel < share else -1 if channel < 2 * share else 0
            inside = 0 <= frame + step < num_frames
            row.append(maps[index + step, channel] if inside else torch.zeros_like(maps[0, 0]))
        rows.append(torch.stack(row))
    return torch.stack(rows)


@given(
    clips=st.integers(1, 3), num_frames=st.integers(1, 5), channels=st.integers(1, 26), side=st.integers(1, 3)
)
@settings(max_examples=40)
def test_it_is_the_loop(clips: int, num_frames: int, channels: int, side: int) -> None:
    maps = torch.randn(clips * num_frames, channels, side, side)
    kept = maps.clone()
    assert torch.equal(temporal_shift(maps, num_frames), by_loop(maps, num_frames))
    assert torch.equal(maps, kept)


def test_the_gradient_is_the_loops() -> None:
    maps = torch.randn(6, 17, 2, 2, requires_grad=True)
    weights = torch.randn(6, 17, 2, 2)
    (seen,) = torch.autograd.grad((temporal_shift(maps, 3) * weights).sum(), maps)
    (expected,) = torch.autograd.grad((by_loop(maps, 3) * weights).sum(), maps)
    assert torch.equal(seen, expected)
    (spread,) = torch.autograd.grad(
        temporal_shift(maps, 3).sum(), maps
    )  # a gradient without memory of its own
    (expected,) = torch.autograd.grad(by_loop(maps, 3).sum(), maps)
    assert torch.equal(spread, expected)


class Shift(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return temporal_shift(maps, 3)


def test_an_exported_shift_assigns_nothing() -> None:
    """Runtimes scatter single elements for it, which takes longer than the convolutions."""
    maps = torch.randn(6, 17, 2, 2)
    exported = torch.export.export(Shift(), (maps,))
    assert torch.equal(exported.module()(maps), by_loop(maps, 3))
    called = {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}
    assert "aten.cat.default" in called
    assert not [name for name in called if "copy" in name or "put" in name or "fill" in name]


def test_the_memory_format_stays() -> None:
    maps = torch.randn(8, 16, 5, 5).contiguous(memory_format=torch.channels_last)
    shifted = temporal_shift(maps, 4)
    assert shifted.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(shifted, by_loop(maps, 4))


def test_parts_of_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="7 maps are no whole number of clips of 4 frames"):
        temporal_shift(torch.zeros(7, 8, 1, 1), 4)


def encoder(name: str, *, shift: bool) -> Encoder:
    torch.manual_seed(0)
    config = EncoderConfig.model_validate({"name": name, "width": 0.25, "temporal_shift": shift})
    return build_encoder(config, 3).eval()


def shifted_convolutions(module: Encoder, name: str) -> list[nn.Module]:
    """Return the convolutions that the paper shifts, found by their published names."""
    if name == "mobilenet_v2":
        blocks = [3, 5, 6, 8, 9, 10, 12, 13, 15, 16]
        return [module.get_submodule(f"features.{block}.conv.0.0") for block in blocks]
    repeats = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}[name]
    return [
        module.get_submodule(f"layer{stage}.{block}.conv1")
        for stage, number in enumerate(repeats, start=1)
        for block in range(number)
    ]


@pytest.mark.parametrize(
    ("name", "number"), [("mobilenet_v2", 10), ("resnet18", 8), ("resnet34", 16), ("resnet50", 16)]
)
def test_the_encoder_shifts_the_published_convolutions_alone(name: str, number: int) -> None:
    shifted, plain = encoder(name, shift=True), encoder(name, shift=False)
    assert list(shifted.state_dict()) == list(plain.state_dict())
    assert (shifted.mixes_frames, plain.mixes_frames) == (True, False)
    images = torch.randn(6, 3, 64, 64)
    convolutions = shifted_convolutions(plain, name)
    assert len(convolutions) == number
    with torch.no_grad():
        unshifted = plain(images, 3)
        for part in convolutions:
            part.register_forward_pre_hook(lambda _, inputs: (by_loop(inputs[0], 3),))
        torch.testing.assert_close(shifted(images, 3), plain(images, 3))
        assert not torch.allclose(shifted(images, 3), unshifted)
        # The number of frames is the caller's: other clips, other maps.
        assert not torch.allclose(shifted(images, 3), shifted(images, 6))


def test_clips_do_not_influence_each_other() -> None:
    model = encoder("resnet18", shift=True)
    images = torch.randn(8, 3, 32, 32)
    with torch.no_grad():
        together = model(images, 4)
        torch.testing.assert_close(together[4:], model(images[4:], 4))


def test_a_gradient_reaches_the_neighbours() -> None:
    model = encoder("resnet18", shift=True)
    images = torch.randn(4, 3, 32, 32, requires_grad=True)
    model(images, 4)[0].sum().backward()
    gradient: Any = images.grad
    assert all(gradient[frame].abs().sum() > 0 for frame in range(4))
