"""Crops for prediction are those that the model learned with."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurofocus.inference.fast_crop import sample_patches
from neurofocus.model.patches import Padding, crop_and_resize

shares = st.floats(0, 1, allow_subnormal=False)


@given(
    shape=st.tuples(st.integers(5, 40), st.integers(5, 40)),
    size=st.integers(2, 24),
    action=st.tuples(shares, shares, shares, shares),
    padding=st.sampled_from(["border", "zeros"]),
    seed=st.integers(0, 99),
)
def test_the_crop_is_that_of_the_matrices(
    shape: tuple[int, int], size: int, action: tuple[float, ...], padding: Padding, seed: int
) -> None:
    height, width = shape
    images = torch.rand(1, 2, height, width, generator=torch.Generator().manual_seed(seed))
    sides = (2 + action[2] * (height - 2), 2 + action[3] * (width - 2))
    center = (sides[1] / 2 + action[1] * (width - sides[1]), sides[0] / 2 + action[0] * (height - sides[0]))
    boxes = torch.tensor([[*center, *sides]])
    found = sample_patches(images, boxes, size, antialias=False, padding=padding)
    expected = crop_and_resize(images, boxes, size, antialias=False, padding=padding)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_every_image_has_its_own_box_and_a_side_beyond_the_image_is_cut() -> None:
    images = torch.rand(3, 1, 20, 30, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[10.0, 8.0, 6.0, 12.0], [15.0, 10.0, 40.0, 60.0], [20.0, 12.0, 16.0, 7.0]])
    found = sample_patches(images, boxes, 8, antialias=False)
    torch.testing.assert_close(found, crop_and_resize(images, boxes, 8, antialias=False), atol=1e-5, rtol=0)
    assert not torch.allclose(found[0], found[1])


def test_a_ramp_is_sampled_where_the_box_says() -> None:
    images = torch.arange(36.0).view(1, 1, 6, 6)
    patch = sample_patches(images, torch.tensor([[3.0, 2.0, 2.0, 4.0]]), 4, antialias=False)
    torch.testing.assert_close(patch[0, 0, :, 0], torch.tensor([5.5, 8.5, 11.5, 14.5]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("padding", ["border", "zeros"])
def test_anti_aliased_crops_are_left_to_the_matrices(padding: Padding) -> None:
    images = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    boxes = torch.tensor([[12.0, 12.0, 20.0, 18.0], [9.0, 10.0, 12.0, 12.0]])
    found = sample_patches(images, boxes, 6, antialias=True, padding=padding)
    assert torch.equal(found, crop_and_resize(images, boxes, 6, antialias=True, padding=padding))
