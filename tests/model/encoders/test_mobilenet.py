"""MobileNetV2 against torchvision's names, shapes, size and cost, written out by hand."""

from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from neurofocus.model.encoders.mobilenet import MobileNetV2, from_flat_names, make_divisible, to_flat_names

# Output channels and strides of the 17 inverted residuals, as the paper's table 2 unrolls.
_CHANNELS = (16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)
_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def torchvision_shapes() -> dict[str, tuple[int, ...]]:
    """Write torchvision's mobilenet_v2().features as name -> shape."""
    shapes: dict[str, tuple[int, ...]] = {}

    def unit(conv: str, norm: str, shape: tuple[int, ...]) -> None:
        shapes[f"{conv}.weight"] = shape
        for leaf in _NORM:
            shapes[f"{norm}.{leaf}"] = () if leaf == "num_batches_tracked" else shape[:1]

    unit("features.0.0", "features.0.1", (32, 3, 3, 3))
    unit("features.1.conv.0.0", "features.1.conv.0.1", (32, 1, 3, 3))
    unit("features.1.conv.1", "features.1.conv.2", (16, 32, 1, 1))
    for index, (before, after) in enumerate(pairwise(_CHANNELS), start=2):
        prefix = f"features.{index}.conv"
        unit(f"{prefix}.0.0", f"{prefix}.0.1", (6 * before, before, 1, 1))
        unit(f"{prefix}.1.0", f"{prefix}.1.1", (6 * before, 1, 3, 3))
        unit(f"{prefix}.2", f"{prefix}.3", (after, 6 * before, 1, 1))
    unit("features.18.0", "features.18.1", (1280, 320, 1, 1))
    return shapes


def test_names_shapes_and_order_are_torchvisions() -> None:
    seen = {name: tuple(tensor.shape) for name, tensor in MobileNetV2().state_dict().items()}
    assert list(seen.items()) == list(torchvision_shapes().items())
    assert len(seen) == 312


def test_parameters_and_multiply_adds_are_the_published_ones() -> None:
    with torch.device("meta"):
        encoder = MobileNetV2()
        counter = FlopCounterMode(display=False)
        with counter:
            maps = encoder(torch.empty(1, 3, 224, 224))
    assert sum(p.numel() for p in encoder.parameters()) == 2_223_872
    assert counter.get_total_flops() / 2e9 == pytest.approx(0.2995, abs=5e-5)
    assert maps.shape == (1, 1280, 7, 7)


def test_skips_are_where_stride_and_channels_allow() -> None:
    skips = [index for index, block in enumerate(MobileNetV2().features) if getattr(block, "skip", False)]
    assert skips == [3, 5, 6, 8, 9, 10, 12, 13, 15, 16]


def test_a_block_computes_its_formula() -> None:
    torch.manual_seed(0)
    encoder = MobileNetV2(width=0.25).eval()
    block = encoder.features[3]
    maps = torch.randn(1, block.conv[0][0].in_channels, 8, 8)
    expected = maps + torch.nn.Sequential(*block.conv)(maps)
    assert torch.equal(block(maps), expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    # 3.5 -> 8 (the smallest); 24*0.75=18 -> 24 since 16 loses more than a tenth; 32*0.35=11.2 -> 16
    [(3.5, 8), (8, 8), (12, 16), (18.0, 24), (11.2, 16), (33.6, 32), (320 * 0.35, 112), (1280, 1280)],
)
def test_make_divisible(value: float, expected: int) -> None:
    assert make_divisible(value) == expected


@pytest.mark.parametrize(("width", "last"), [(0.25, 1280), (0.5, 1280), (1.4, 1792)])
def test_width(width: float, last: int) -> None:
    encoder = MobileNetV2(1, width=width).eval()
    assert encoder.out_channels == last
    assert encoder(torch.zeros(2, 1, 33, 64)).shape == (2, last, 2, 2)
    shapes = [tuple(tensor.shape) for tensor in encoder.state_dict().values()]
    assert shapes[0] == (make_divisible(32 * width), 1, 3, 3)


def test_flat_names_round_trip_and_follow_the_published_flat_layout() -> None:
    state = MobileNetV2().state_dict() | {"classifier.weight": torch.zeros(1)}
    flat = to_flat_names(state)
    layers = {name.split(".")[3] for name in flat if name.startswith("features.7.")}
    first = {name.split(".")[3] for name in flat if name.startswith("features.1.")}
    assert layers == {"0", "1", "3", "4", "6", "7"}
    assert first == {"0", "1", "3", "4"}
    assert "classifier.weight" in flat
    back = from_flat_names(flat)
    assert list(back) == list(state)
    assert all(back[name] is tensor for name, tensor in state.items())


def test_translate_accepts_both_layouts() -> None:
    state = MobileNetV2(width=0.25).state_dict()
    assert list(MobileNetV2.translate(state)) == list(state)
    assert list(MobileNetV2.translate(to_flat_names(state))) == list(state)


def test_a_name_outside_the_layout_is_left_for_the_report() -> None:
    odd = {"features.1.conv.6.weight": torch.zeros(1), "features.2.conv.99.weight": torch.zeros(1)}
    assert from_flat_names(odd) == odd
