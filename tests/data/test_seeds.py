"""Derived seeds: stable, and different wherever a coordinate differs."""

import itertools

from neurofocus.data.seeds import derive_seed


def test_value_is_fixed_forever() -> None:
    # A changed value would make an interrupted run continue with other draws after an upgrade.
    assert derive_seed("frames", 0, 1, 2, 3) == 7078143668349322541


def test_every_coordinate_matters() -> None:
    seeds = [
        derive_seed(purpose, *coordinates)
        for purpose in ("frames", "augment")
        for coordinates in itertools.product(range(4), repeat=3)
    ]
    assert len(set(seeds)) == len(seeds)
    assert derive_seed("a", 1, 11) != derive_seed("a", 11, 1)
    assert all(0 <= seed < 2**63 for seed in seeds)
