from dataclasses import replace

import numpy as np
import pytest

from neurofocus.simulate.acquisition import draw_scanner, noise_free, scan, tissue_signal
from neurofocus.simulate.grid import Grid
from neurofocus.simulate.studio import Studio

GRID = Grid(shape=(50, 52, 48), origin=(-50.0, -52.0, -48.0), spacing=2.0)
PLAIN = replace(
    draw_scanner("SITE-A", np.random.default_rng(0), confounded=False),
    gain=1000.0,
    snr=20.0,
    bias=0.0,
    texture=0.0,
    gamma=1.0,
    shifts=(0.0, 0.0, 0.0),
)
ONES = np.ones(GRID.shape, np.float32)


def test_noise_is_rician_at_the_asked_level() -> None:
    bright = scan(ONES, ONES, PLAIN, GRID, np.random.default_rng(1)).astype(float)
    assert bright.mean() == pytest.approx(1000 * (1 + 0.5 / 20**2), rel=0.002)
    assert bright.std() == pytest.approx(1000 / 20, rel=0.02)
    dark = scan(0 * ONES, ONES, PLAIN, GRID, np.random.default_rng(1)).astype(float)
    assert dark.mean() == pytest.approx(1000 / 20 * np.sqrt(np.pi / 2), rel=0.02)  # Rayleigh


def test_background_is_zero_and_values_are_clipped_to_12_bits() -> None:
    inside = ONES.copy()
    inside[:10] = 0.0
    stored = scan(ONES, inside, replace(PLAIN, gain=4200.0), GRID, np.random.default_rng(1))
    assert stored.dtype == np.int16
    assert not stored[:10].any()
    assert stored.max() == 4095


def test_bias_field_spans_what_is_asked_and_is_smooth() -> None:
    quiet = replace(PLAIN, snr=1e4, bias=0.4)
    stored = scan(ONES, ONES, quiet, GRID, np.random.default_rng(2)).astype(float)
    assert np.log(stored.max() / stored.min()) == pytest.approx(0.4, abs=0.01)
    assert np.abs(np.diff(np.log(stored), axis=0)).max() < 0.03


def test_point_spread_blurs_and_keeps_the_sum() -> None:
    point = np.zeros(GRID.shape, np.float32)
    point[25, 25, 25] = 1.0
    blurred = noise_free(point, replace(PLAIN, blur_mm=1.5), 2.0)
    assert blurred.sum() == pytest.approx(1.0, rel=1e-3)
    assert blurred.max() < 0.5


def test_contrast_keeps_the_order_of_tissues(studio: Studio) -> None:
    anatomy = studio.anatomy
    for seed in range(5):
        for site in ("SITE-A", "SITE-B"):
            scanner = draw_scanner(site, np.random.default_rng(seed), confounded=True)
            signal = tissue_signal(anatomy, scanner)
            fluid = (anatomy.gray + anatomy.white < 0.05) & (anatomy.t1 > 0)
            means = [signal[place].mean() for place in (fluid, anatomy.gray > 0.9, anatomy.white > 0.95)]
            assert means[0] < means[1] < means[2]
            assert means[2] == pytest.approx(1.0, abs=0.1)
            assert not signal[anatomy.brain == 0].any()


def test_sites_differ_little_unless_confounded() -> None:
    def mean_snr(site: str, *, confounded: bool) -> float:
        draws = [draw_scanner(site, np.random.default_rng(k), confounded=confounded) for k in range(200)]
        return float(np.mean([scanner.snr for scanner in draws]))

    assert abs(mean_snr("SITE-A", confounded=False) - mean_snr("SITE-B", confounded=False)) < 8
    assert mean_snr("SITE-A", confounded=True) > 2 * mean_snr("SITE-B", confounded=True)
