"""A scan processed twice under two names is found among people who share one brain; a clean cohort passes."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from neurofocus.ingest.checks.near_duplicates import MIN_PEOPLE, find_near_duplicates, remainders

SIZE = 24


def heads(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return people of one base brain: shifts, sizes, brightness and a little that is personal."""
    return drawn_heads(count, seed).copy()


@cache
def drawn_heads(count: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    base = ndimage.gaussian_filter(rng.standard_normal((SIZE, SIZE, SIZE)), 1.5)
    found = []
    for _ in range(count):
        moved = ndimage.affine_transform(
            base, np.diag(rng.normal(1, 0.02, 3)), rng.normal(0, 0.2, 3), mode="nearest"
        )
        own = ndimage.gaussian_filter(rng.standard_normal(base.shape), 1.0)
        found.append(standard(moved / base.std() + 0.6 * own / own.std()))
    return np.stack(found)


def standard(image: NDArray[np.floating]) -> NDArray[np.float32]:
    return ((image - image.mean()) / image.std()).astype(np.float32)


def processed(image: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Return the scan as another program left it: noise, a smooth bias field, another brightness."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal(image.shape), 8)
    noise = rng.standard_normal(image.shape)
    return standard(3 * image * (1 + 0.1 * field / field.std()) + 0.2 * noise + 7)


def names(count: int) -> list[str]:
    return [f"sub-{number:02}" for number in range(count)]


@pytest.mark.parametrize("count", [2, MIN_PEOPLE - 1, MIN_PEOPLE, 16, 60])
def test_a_clean_cohort_passes_silently(count: int) -> None:
    assert find_near_duplicates(names(count), ["n/a"] * count, heads(count)) == []


@pytest.mark.parametrize("count", [MIN_PEOPLE, 16, 60])
@pytest.mark.parametrize("mirrored", [False, True])
def test_one_scan_processed_twice_is_found(count: int, mirrored: bool) -> None:
    images = heads(count)
    images[5] = processed(images[2][::-1] if mirrored else images[2], 1)
    (finding,) = find_near_duplicates(names(count), ["ses-1"] * count, images)
    (pair,) = finding.figures["pairs"]
    assert pair["participants"] == ["sub-02", "sub-05"]
    assert pair["mirrored"] is mirrored
    assert pair["correlation"] > 0.8
    assert finding.kind == "near-duplicate"
    assert finding.text.startswith("1 pairs of participants")
    assert f"'sub-02' (ses-1) and 'sub-05' (ses-1) {pair['correlation']:.2f}" in finding.text


def scanners(images: NDArray[np.float32], strength: float, share: int) -> NDArray[np.float32]:
    """Return the images as if every so-many-th came from another scanner, whose images differ by one pattern."""
    pattern = ndimage.gaussian_filter(np.random.default_rng(9).standard_normal(images[0].shape), 1.2)
    other = strength * pattern / pattern.std()
    return np.stack([standard(image + other * (number % share == 0)) for number, image in enumerate(images)])


@pytest.mark.parametrize("share", [2, 3, 5])
@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_people_of_one_scanner_are_not_one_person(share: int, strength: float) -> None:
    """A pattern that many share is nobody's own: it must neither be told nor hide two scans of one person."""
    assert find_near_duplicates(names(60), ["n/a"] * 60, scanners(heads(60), 2 * strength, share)) == []
    images = scanners(heads(60), strength, share)
    assert find_near_duplicates(names(60), ["n/a"] * 60, images) == []
    images[share] = processed(images[0], 1)
    (finding,) = find_near_duplicates(names(60), ["n/a"] * 60, images)
    assert [pair["participants"] for pair in finding.figures["pairs"]] == [["sub-00", f"sub-{share:02}"]]


def test_three_copies_are_three_pairs_and_sessions_of_one_person_none() -> None:
    images = heads(30)
    for row in (4, 5, 6, 7):
        images[row] = processed(images[3], row)
    people = names(30)
    people[6] = people[7] = people[3]
    (finding,) = find_near_duplicates(people, ["n/a"] * 30, images)
    pairs = {tuple(pair["participants"]) for pair in finding.figures["pairs"]}
    assert pairs == {("sub-03", "sub-04"), ("sub-03", "sub-05"), ("sub-04", "sub-05"),
                     ("sub-04", "sub-03"), ("sub-05", "sub-03")}  # fmt: skip
    assert len(finding.figures["pairs"]) == 3 * 2 + 1


def test_many_pairs_are_counted_not_listed() -> None:
    images = heads(60)
    for row in range(40, 52):
        images[row] = processed(images[row - 30], row)
    (finding,) = find_near_duplicates(names(60), ["n/a"] * 60, images)
    assert finding.text.startswith("12 pairs of participants")
    assert "; and 2 more; if they are one person" in finding.text


def test_what_everyone_shares_is_taken_out() -> None:
    """A shift of the average head is nobody's own: it leaves next to nothing."""
    images = heads(40)
    plain, mirrored = remainders(images)
    assert plain.shape == mirrored.shape == (40, SIZE**3)
    np.testing.assert_allclose(np.linalg.norm(plain, axis=1), 1.0, atol=1e-5)
    sharp = images - ndimage.gaussian_filter(images, 1.5, axes=(1, 2, 3))
    slope = np.gradient(sharp.mean(axis=0))[1].ravel()
    assert np.abs(plain @ (slope / np.linalg.norm(slope))).max() < 1e-4
