"""Rectangles and pixels: Pillow, hand-computed places and the rules of the protocols as oracles."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from neurofocus.data.video.augment import Crop, apply_crop, draw_crop, evaluation_crops, normalise
from neurofocus.schema.video_run import VideoConfig

DEFAULT = VideoConfig()


def picture(height: int, width: int, count: int = 2, seed: int = 0) -> np.ndarray:
    """Frames with edges and noise, [count, height, width, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 1 + height // 8, 1 + width // 8, 3))
    frames = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    return np.clip(frames + rng.integers(-20, 21, frames.shape), 0, 255).astype(np.uint8)


def pillow(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.BILINEAR)).astype(int)


def spot(crop: Crop) -> tuple[int, int, int, int]:
    return crop.top, crop.left, crop.height, crop.width


def test_training_rectangles_are_the_ten_sizes_at_thirteen_places() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(spot(draw_crop((256, 340), 224, DEFAULT, rng, flip=False)) for _ in range(26000))
    sides = [256, 224, 192, 168]  # of 256: 1, .875, .75 and .66, rounded down
    expected: Counter[tuple[int, int, int, int]] = Counter()
    for i, tall in enumerate(sides):
        for j, wide in enumerate(sides):
            if abs(i - j) <= 1:
                down, right = (256 - tall) // 4, (340 - wide) // 4
                for row, column in [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2), (2, 0), (2, 4), (4, 2), (0, 2),
                                    (1, 1), (1, 3), (3, 1), (3, 3)]:  # fmt: skip
                    expected[(row * down, column * right, tall, wide)] += 200
    assert sum(expected.values()) == 26000
    assert drawn.keys() == expected.keys()
    for place, count in expected.items():  # within six standard deviations
        assert abs(drawn[place] - count) < 6 * count**0.5


@settings(max_examples=200)
@given(
    height=st.integers(16, 800),
    width=st.integers(16, 800),
    seed=st.integers(0, 10**6),
    scales=st.sampled_from([(1.0, 0.875, 0.75, 0.66), (1.0,), (0.5, 0.9)]),
    flip=st.booleans(),
)
def test_training_rectangles_lie_in_the_frame(
    height: int, width: int, seed: int, scales: tuple[float, ...], flip: bool
) -> None:
    config = VideoConfig(scales=scales, max_distort=0)
    crop = draw_crop((height, width), 224, config, np.random.default_rng(seed), flip=flip)
    assert crop == draw_crop((height, width), 224, config, np.random.default_rng(seed), flip=flip)
    short = min(crop.frame_size)
    assert short == min(256, height, width)
    assert crop.frame_size[0] / crop.frame_size[1] == pytest.approx(height / width, rel=1.01 / short)
    accepted = {int(short * scale) for scale in scales} | {224}
    assert crop.height == crop.width and crop.height in accepted
    assert crop.flip == flip


def test_a_side_next_to_the_wanted_size_needs_no_resampling() -> None:
    rng = np.random.default_rng(0)
    wide = VideoConfig(scales=(1.0,), short_side=226)
    assert draw_crop((300, 400), 224, wide, rng, flip=False).height == 224
    assert (
        draw_crop((300, 400), 224, VideoConfig(scales=(1.0,), short_side=227), rng, flip=False).height == 227
    )
    # 222 is near, but the frame has no 224 rows.
    assert (
        draw_crop((222, 400), 224, DEFAULT.model_copy(update={"scales": (1.0,)}), rng, flip=False).height
        == 222
    )


def test_the_test_crop_is_the_centre_of_short_side_256() -> None:
    (crop,) = evaluation_crops((360, 480), 224, DEFAULT)
    assert crop.frame_size == (256, 341)  # 256 * 480 / 360 = 341.3
    assert spot(crop) == (16, 58, 224, 224)  # (341 - 224) / 2 = 58.5, to the even one
    (crop,) = evaluation_crops((480, 360), 224, DEFAULT)
    assert (crop.frame_size, spot(crop)) == ((341, 256), (58, 16, 224, 224))
    (crop,) = evaluation_crops((120, 160), 224, DEFAULT)
    assert crop.frame_size == (256, 341)  # small frames are enlarged
    (crop,) = evaluation_crops((96, 96), 96, DEFAULT)
    assert (crop.frame_size, spot(crop)) == ((109, 109), (6, 6, 96, 96))


def test_three_crops_run_along_the_longer_side() -> None:
    config = VideoConfig(test_crops=3)
    found = evaluation_crops((256, 341), 224, config)
    assert [spot(crop)[:2] for crop in found] == [(16, 0), (16, 59), (16, 117)]
    found = evaluation_crops((341, 256), 224, config)
    assert [spot(crop)[:2] for crop in found] == [(0, 16), (59, 16), (117, 16)]
    found = evaluation_crops((300, 300), 224, config)
    assert [spot(crop)[:2] for crop in found] == [(16, 0), (16, 16), (16, 32)]


def test_a_crop_larger_than_the_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"video.short_side 200 is less than model.frame_size 224"):
        evaluation_crops((300, 300), 224, VideoConfig(short_side=200))


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(40, 300),
    width=st.integers(40, 300),
    flip=st.booleans(),
)
def test_pixels_are_pillows_crop_and_resize(seed: int, height: int, width: int, flip: bool) -> None:
    rng = np.random.default_rng(seed)
    tall, wide = int(rng.integers(20, height + 1)), int(rng.integers(20, width + 1))
    top, left = int(rng.integers(0, height - tall + 1)), int(rng.integers(0, width - wide + 1))
    frames = picture(height, width, seed=seed)
    found = apply_crop(frames, Crop((height, width), top, left, tall, wide, flip), 64)
    assert found.shape == (2, 3, 64, 64) and found.dtype == torch.uint8 and found.is_contiguous()
    for one, frame in zip(found.permute(0, 2, 3, 1).numpy().astype(int), frames, strict=True):
        expected = pillow(frame[top : top + tall, left : left + wide], (64, 64))
        apart = np.abs(one - (expected[:, ::-1] if flip else expected))
        assert apart.max() <= 2  # each of the two passes rounds once
        assert (apart > 1).mean() < 1e-3


def test_without_resampling_the_pixels_are_those_of_the_frame() -> None:
    frames = picture(100, 120)
    found = apply_crop(frames, Crop((100, 120), 7, 11, 64, 64), 64)
    np.testing.assert_array_equal(found.permute(0, 2, 3, 1), frames[:, 7:71, 11:75])
    mirrored = apply_crop(frames, Crop((100, 120), 7, 11, 64, 64, flip=True), 64)
    np.testing.assert_array_equal(mirrored.flip(-1), found)


def test_without_antialiasing_four_pixels_make_one() -> None:
    """Bilinear by hand: output pixel i is read at 4 i + 1.5, halfway between pixels 4 i + 1 and 4 i + 2."""
    ramp = np.arange(32, dtype=np.uint8)[None, None, :, None] * 8
    frames = np.broadcast_to(ramp, (1, 32, 32, 3)).copy()
    frames[:, :, 0::4] = 255  # pixels that are skipped
    found = apply_crop(frames, Crop((32, 32), 0, 0, 32, 32), 8, antialias=False)
    np.testing.assert_array_equal(found[0, 0, 0], [(4 * i + 1.5) * 8 for i in range(8)])
    assert apply_crop(frames, Crop((32, 32), 0, 0, 32, 32), 8)[0, 0, 0, 3] > found[0, 0, 0, 3]


def test_frames_of_another_size_or_type_are_refused() -> None:
    crop = Crop((32, 32), 0, 0, 32, 32)
    for frames in (picture(32, 33), picture(32, 32).astype(np.float32), picture(32, 32)[..., :1]):
        with pytest.raises(ValueError, match=r"not uint8 \[N, \(32, 32\), 3\]"):
            apply_crop(frames, crop, 32)
    with pytest.raises(ValueError, match="does not lie in its frame"):
        Crop((32, 32), 1, 0, 32, 32)


def test_normalisation_by_hand() -> None:
    images = torch.tensor([0, 128, 255], dtype=torch.uint8).repeat(2, 3, 1, 1)
    found = normalise(images, "imagenet")
    for colour, (mean, deviation) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        expected = [(value / 255 - mean) / deviation for value in (0, 128, 255)]
        np.testing.assert_allclose(found[1, colour, 0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(normalise(images, "kinetics")[0, 2, 0], [-2, 0.230937, 2.444444], atol=1e-5)
    assert images.dtype == torch.uint8 and found.dtype == torch.float32
