import numpy as np
import pytest
from sklearn.datasets import load_digits

from neurofocus.simulate.digits.glyphs import digit_images, hide_half, images_of_part, scramble
from neurofocus.simulate.digits.recipe import PARTS, Part


def _used(part: Part) -> set[int]:
    return {int(index) for indices in images_of_part(part).values() for index in indices}


def test_no_image_is_in_two_parts_and_none_is_left_out() -> None:
    train, validation, test = (_used(part) for part in ("train", "validation", "test"))
    assert len(train) + len(validation) + len(test) == 1797
    assert train | validation | test == set(range(1797))
    assert _used("stills") == train


@pytest.mark.parametrize("part", PARTS)
def test_every_part_has_every_digit(part: Part) -> None:
    target = load_digits().target
    for digit, indices in images_of_part(part).items():
        assert len(indices) >= 15
        assert (target[indices] == digit).all()


def test_images_are_scikit_learns_in_unit_range() -> None:
    images, digits = digit_images()
    np.testing.assert_allclose(images * 16, load_digits().images)
    assert images.max() == 1 and images.min() == 0
    assert len(digits) == len(images)


@pytest.mark.parametrize(
    ("half", "rows", "columns"),
    [
        (0, range(0), range(0)),
        (1, range(4), range(8)),
        (2, range(4, 8), range(8)),
        (3, range(8), range(4)),
        (4, range(8), range(4, 8)),
    ],
)
def test_a_hidden_half_is_blank_and_the_other_untouched(half: int, rows: range, columns: range) -> None:
    image = np.full((8, 8), 0.5, np.float32)
    seen = hide_half(image[None], np.array([half]))[0]
    expected = image.copy()
    expected[np.ix_(rows, columns)] = 0
    np.testing.assert_array_equal(seen, expected)


def test_scrambling_keeps_the_ink_and_moves_every_kind_of_block() -> None:
    image = digit_images()[0][3]
    for seed in range(20):
        strokes = scramble(image, np.random.default_rng(seed))
        np.testing.assert_allclose(np.sort(strokes, axis=None), np.sort(image, axis=None))
        assert not np.array_equal(strokes, image)
