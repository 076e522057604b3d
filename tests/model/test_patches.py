"""Boxes and crops: against slicing, grid_sample, torch's and Pillow's resizing, and their own properties."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.nn import functional

from neurofocus.model.patches import (
    Padding,
    boxes_from_actions,
    crop_and_resize,
    crop_matrices,
    interpolate_actions,
)
from neurofocus.schema.model import PatchConfig

FILTERS: list[tuple[bool, Padding]] = [(True, "border"), (False, "border"), (False, "zeros")]
unit = st.floats(0, 1, width=32)
actions_strategy = st.tuples(unit, unit, unit, unit)


def _images(number: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(number, 2, height, width, generator=torch.Generator().manual_seed(seed))


def _boxes_inside(number: int, height: int, width: int, seed: int = 0) -> Tensor:
    drawn = torch.rand(number, 4, generator=torch.Generator().manual_seed(seed))
    sizes = torch.tensor([height, width]) * (0.2 + 0.8 * drawn[:, 2:])
    centers = sizes / 2 + drawn[:, :2] * (torch.tensor([height, width]) - sizes)
    return torch.cat([centers.flip(-1), sizes], -1)


def _grid_sample(images: Tensor, boxes: Tensor, size: int, padding: Padding) -> Tensor:
    height, width = images.shape[2:]
    x, y, box_height, box_width = boxes.unbind(-1)
    zero = torch.zeros_like(x)
    theta = torch.stack(
        [
            torch.stack([box_width / width, zero, 2 * x / width - 1], -1),
            torch.stack([zero, box_height / height, 2 * y / height - 1], -1),
        ],
        1,
    )
    grid = functional.affine_grid(theta, [len(images), 1, size, size], align_corners=False)
    return functional.grid_sample(images, grid, padding_mode=padding, align_corners=False)


def test_boxes_follow_the_released_formula() -> None:
    actions = torch.tensor([[0.25, 0.5, 0.5, 0.0]])  # (y, x, h, w)
    boxes = boxes_from_actions(actions, PatchConfig(), frame_size=224, patch_size=128)
    # h = 96 + 128/2 = 160, w = 96; top = (224 - 160)/4 = 16, left = (224 - 96)/2 = 64.
    torch.testing.assert_close(boxes, torch.tensor([[64.0 + 48, 16 + 80, 160, 96]]))


@given(actions_strategy, st.integers(16, 300), st.floats(0.05, 1), st.floats(0, 1))
@settings(max_examples=60)
def test_boxes_stay_inside_the_frame_and_the_size_bounds(
    actions: tuple[float, ...], frame: int, low: float, span: float
) -> None:
    patches = PatchConfig(min_fraction=low, max_fraction=low + span * (1 - low))
    x, y, height, width = boxes_from_actions(
        torch.tensor(actions), patches, frame_size=frame, patch_size=16
    ).tolist()
    slack = 1e-5 * frame
    for center, side in ((x, width), (y, height)):
        assert patches.min_fraction * frame - slack <= side <= patches.max_fraction * frame + slack
        assert center - side / 2 >= -slack
        assert center + side / 2 <= frame + slack


@given(actions_strategy)
@settings(max_examples=30)
def test_fixed_boxes_have_exactly_the_patch_size(actions: tuple[float, ...]) -> None:
    boxes = boxes_from_actions(
        torch.tensor(actions), PatchConfig(deformable=False), frame_size=64, patch_size=24
    )
    assert boxes[2:].tolist() == [24, 24]
    assert all(12 <= center <= 52 for center in boxes[:2].tolist())
    whole = boxes_from_actions(
        torch.tensor(actions), PatchConfig(deformable=False), frame_size=64, patch_size=96
    )
    assert whole.tolist() == [32, 32, 64, 64]  # there is no more than the frame


@pytest.mark.parametrize(("number", "frames"), [(16, 48), (8, 36), (8, 24), (3, 2), (1, 5), (4, 4)])
def test_actions_are_interpolated_between_the_middles_of_their_parts(number: int, frames: int) -> None:
    actions = torch.rand(2, number, 4, generator=torch.Generator().manual_seed(0))
    middles, times = ((np.arange(count) + 0.5) / count for count in (number, frames))
    expected = [[np.interp(times, middles, one) for one in case.T] for case in actions.double().numpy()]
    seen = interpolate_actions(actions, frames)
    np.testing.assert_allclose(seen.transpose(1, 2), expected, atol=1e-6)


@pytest.mark.parametrize(("antialias", "padding"), FILTERS)
@given(top=st.integers(0, 40 - 17), left=st.integers(0, 50 - 17))
@settings(max_examples=25)
def test_integer_box_of_the_patch_size_is_a_slice(
    antialias: bool, padding: Padding, top: int, left: int
) -> None:
    images = _images(1, 40, 50)
    boxes = torch.tensor([[left + 8.5, top + 8.5, 17.0, 17.0]])
    patch = crop_and_resize(images, boxes, 17, antialias=antialias, padding=padding)
    torch.testing.assert_close(patch, images[:, :, top : top + 17, left : left + 17], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize(("height", "width", "size"), [(40, 56, 16), (40, 56, 64), (224, 224, 96), (7, 7, 4)])
def test_plain_crop_and_its_gradients_are_those_of_grid_sample(
    padding: Padding, height: int, width: int, size: int
) -> None:
    images = _images(3, height, width).requires_grad_()
    boxes = _boxes_inside(3, height, width).requires_grad_()
    other_images, other_boxes = (t.detach().clone().requires_grad_() for t in (images, boxes))
    ours = crop_and_resize(images, boxes, size, antialias=False, padding=padding)
    theirs = _grid_sample(other_images, other_boxes, size, padding)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-4)
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    (ours * weight).sum().backward()
    (theirs * weight).sum().backward()
    torch.testing.assert_close(images.grad, other_images.grad, rtol=1e-3, atol=1e-3)
    assert boxes.grad is not None
    assert boxes.grad.abs().min() > 0
    torch.testing.assert_close(boxes.grad, other_boxes.grad, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_small_box_in_the_corner_treats_the_border_as_grid_sample_does(padding: Padding) -> None:
    images = _images(1, 32, 32)
    boxes = torch.tensor([[4.0, 28.0, 8.0, 8.0]])  # bottom left, enlarged 3 times: samples leave the frame
    ours = crop_and_resize(images, boxes, 24, antialias=False, padding=padding)
    torch.testing.assert_close(ours, _grid_sample(images, boxes, 24, padding), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("length", "size"), [(224, 96), (224, 128), (64, 32), (50, 17), (20, 33)])
def test_anti_aliased_full_frame_is_torch_interpolate(length: int, size: int) -> None:
    images = _images(1, length, length)
    boxes = torch.tensor([[length / 2, length / 2, float(length), float(length)]])
    expected = functional.interpolate(images, size=size, mode="bilinear", antialias=True)
    torch.testing.assert_close(
        crop_and_resize(images, boxes, size, antialias=True), expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("size", [9, 24, 60])
def test_anti_aliased_box_is_pillow_resize(size: int) -> None:
    images = _images(4, 48, 80, seed=3)
    boxes = _boxes_inside(4, 48, 80, seed=4)
    ours = crop_and_resize(images, boxes, size, antialias=True)
    for image, box, patch in zip(images, boxes, ours, strict=True):
        x, y, height, width = box.tolist()
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        expected = Image.fromarray(image[0].numpy()).resize(
            (size, size), Image.Resampling.BILINEAR, box=corners
        )
        np.testing.assert_allclose(patch[0].numpy(), np.asarray(expected), atol=1e-3)


@pytest.mark.parametrize(("antialias", "padding"), FILTERS)
@pytest.mark.parametrize("size", [15, 48, 50])
def test_skipping_zeros_changes_nothing(antialias: bool, padding: Padding, size: int) -> None:
    images = _images(5, 150, 130, seed=5)
    boxes = _boxes_inside(5, 150, 130, seed=6)
    boxes[0] = torch.tensor([65.0, 75, 150, 130])  # the whole frame
    boxes[1] = torch.tensor([129.0, 149, 2, 2])  # the last corner, enlarged
    rows, cols = crop_matrices(boxes, (150, 130), size, antialias=antialias, padding=padding)
    expected = rows[:, None] @ images @ cols[:, None].transpose(-1, -2)
    ours = crop_and_resize(images, boxes, size, antialias=antialias, padding=padding)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("antialias", "padding"), FILTERS[:2])
@given(seed=st.integers(0, 10_000), size=st.integers(1, 40))
@settings(max_examples=25)
def test_crop_is_linear_bounded_and_keeps_constants(
    antialias: bool, padding: Padding, seed: int, size: int
) -> None:
    first, second = _images(2, 30, 26, seed), _images(2, 30, 26, seed + 1)
    boxes = _boxes_inside(2, 30, 26, seed)

    def crop(images: Tensor) -> Tensor:
        return crop_and_resize(images, boxes, size, antialias=antialias, padding=padding)

    torch.testing.assert_close(crop(2 * first - second), 2 * crop(first) - crop(second), rtol=1e-4, atol=1e-4)
    low, high = first.amin((2, 3), keepdim=True), first.amax((2, 3), keepdim=True)
    assert ((crop(first) >= low - 1e-4) & (crop(first) <= high + 1e-4)).all()
    torch.testing.assert_close(crop(torch.full_like(first, 3.0)), torch.full((2, 2, size, size), 3.0))


@pytest.mark.parametrize("antialias", [True, False])
def test_gradient_of_an_integer_box_is_the_forward_difference(antialias: bool) -> None:
    # Every sample hits a pixel; the derivative of |x| would be zero there.
    images = _images(1, 20, 20)
    weight = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(1))

    def value(x: Tensor) -> Tensor:
        box = torch.stack([x, torch.tensor(10.0), torch.tensor(8.0), torch.tensor(8.0)])[None]
        return (crop_and_resize(images, box, 8, antialias=antialias) * weight).sum()

    x = torch.tensor(10.0, requires_grad=True)
    value(x).backward()
    step = 2.0**-8
    assert x.grad is not None
    assert x.grad.item() == pytest.approx((value(torch.tensor(10 + step)) - value(x)).item() / step, rel=1e-2)
    assert abs(x.grad.item()) > 0.1


def test_gradient_of_the_whole_frame_is_the_forward_difference_of_a_repeated_border() -> None:
    images = _images(1, 6, 6)
    box = torch.tensor([[3.0, 3.0, 6.0, 6.0]], requires_grad=True)
    patch = crop_and_resize(images, box, 6, antialias=False, padding="border")
    weight = torch.randn(patch.shape, generator=torch.Generator().manual_seed(1))
    (patch * weight).sum().backward()
    right = functional.pad(images, (0, 1, 0, 0), mode="replicate").diff(dim=3)
    down = functional.pad(images, (0, 0, 0, 1), mode="replicate").diff(dim=2)
    assert box.grad is not None
    expected = torch.stack([(right * weight).sum(), (down * weight).sum()])
    torch.testing.assert_close(box.grad[0, :2], expected, rtol=1e-4, atol=1e-5)


def test_side_longer_than_the_image_is_cut_to_it() -> None:
    images = _images(1, 200, 200)
    whole = crop_and_resize(images, torch.tensor([[100.0, 100, 200, 200]]), 32, antialias=True)
    longer = crop_and_resize(images, torch.tensor([[100.0, 100, 900, 400]]), 32, antialias=True)
    torch.testing.assert_close(longer, whole)


def test_zero_padding_is_for_plain_crops_only() -> None:
    with pytest.raises(ValueError, match="padding 'zeros' needs antialias false"):
        PatchConfig(padding="zeros")
    assert PatchConfig(padding="zeros", antialias=False).padding == "zeros"


def test_crop_stays_in_float32_under_autocast() -> None:
    images, boxes = _images(1, 30, 30), _boxes_inside(1, 30, 30)
    expected = crop_and_resize(images, boxes, 8, antialias=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        patch = crop_and_resize(images, boxes, 8, antialias=True)
    assert patch.dtype == torch.float32
    assert torch.equal(patch, expected)
