"""Quality measures against values that are known by construction."""

import numpy as np
import pytest

from neurofocus.data.alignment import Alignment
from neurofocus.data.geometry import inverse
from neurofocus.data.scan_quality import MEASURES, measure_scan
from neurofocus.data.standard import to_standard
from neurofocus.data.template import load_template, load_tissues
from neurofocus.data.volume import Volume
from neurofocus.errors import VolumeError
from neurofocus.schema.run import PrepareConfig

PREPARE = PrepareConfig()


def scan_of(array: np.ndarray, affine: np.ndarray | None = None) -> Volume:
    chosen = load_template().affine if affine is None else affine
    return Volume(np.asfortranarray(array, dtype=np.float32), chosen, "scan")


def measured(scan: Volume, world_to_template: np.ndarray | None = None) -> dict[str, float | None]:
    alignment = None if world_to_template is None else Alignment(world_to_template, None, {})
    return measure_scan(scan, to_standard(scan, PREPARE, alignment))


def number(values: dict[str, float | None], name: str) -> float:
    value = values[name]
    assert value is not None
    return value


def test_the_template_itself() -> None:
    template = load_template()
    found = measured(scan_of(template.array))
    assert list(found) == list(MEASURES)
    assert found["affine_determinant"] == pytest.approx(1.0)
    assert found["shear"] == pytest.approx(0.0)
    assert found["template_ncc"] == pytest.approx(1.0, abs=1e-5)
    assert found["mask_dice"] == pytest.approx(1.0), "a stripped scan knows its brain"
    assert found["centroid_offset_mm"] == pytest.approx(0.0, abs=1e-4)
    assert found["brain_volume_ml"] == pytest.approx(template.mask.sum() / 1000)
    assert found["brain_coverage"] == 1.0
    assert found["spacing_max_mm"] == pytest.approx(1.0)


def test_affine_measures_of_a_known_affine() -> None:
    template = load_template()
    linear = np.eye(4)
    linear[:3, :3] = np.array([[1.2, 0.12, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.1]])
    found = measured(scan_of(template.array, inverse(linear) @ template.affine), linear)
    assert found["affine_determinant"] == pytest.approx(1.32)
    assert found["shear"] == pytest.approx(0.1)
    assert found["scale_ratio"] == pytest.approx(1.2)
    assert found["brain_volume_ml"] == pytest.approx(template.mask.sum() / 1000 / 1.32)
    assert number(found, "template_ncc") > 0.999


def test_noise_and_contrast_of_two_flat_tissues() -> None:
    """Grey 60, white 100, normal noise of 5 everywhere: noise 5 %, cnr 40 / sqrt(75), snr 20, cjv 0.25."""
    template = load_template()
    grey, white = load_tissues()
    array = np.where(template.mask, 80.0, 30.0)
    array[grey], array[white] = 60.0, 100.0
    # The tissues' borders carry a step; pseudo-residuals take the median, so that it matters little.
    array += np.random.default_rng(0).normal(0.0, 5.0, array.shape)
    found = measured(scan_of(array))
    assert found["mask_dice"] is None, "nothing says where the brain of a whole head ends"
    assert found["noise_percent"] == pytest.approx(5.0, rel=0.15)
    assert found["snr_white"] == pytest.approx(100 / 5, rel=0.02)
    assert found["cjv"] == pytest.approx(10 / 40, rel=0.02)
    assert found["cnr"] == pytest.approx(40 / np.sqrt(75), rel=0.05)


def test_a_cut_brain_has_a_negative_margin() -> None:
    template = load_template()
    found = measured(scan_of(template.array[:, :, 60:], template.affine @ _shift(0, 0, 60)))
    assert number(found, "brain_coverage") < 0.95
    assert number(found, "edge_margin_mm") < -40


def test_a_shifted_brain_has_an_offset() -> None:
    template = load_template()
    moved = np.zeros_like(template.array)
    moved[6:] = template.array[:-6]
    found = measured(scan_of(moved))
    assert number(found, "template_ncc") < 0.8
    assert 1.0 < number(found, "centroid_offset_mm") <= 6.0
    assert number(found, "mask_dice") < 0.96


def test_no_brain_in_view_is_refused() -> None:
    template = load_template()
    with pytest.raises(VolumeError, match="scan: hardly any brain lies in the scan"):
        to_standard(scan_of(template.array, _shift(900, 0, 0) @ template.affine), PREPARE, None)


def test_a_bias_field_is_divided_out() -> None:
    template = load_template()
    grid = template.affine @ np.diag([8.0, 8, 8, 1])
    log_bias = np.full((25, 30, 24), np.log(2.0), dtype=np.float32)
    scan = scan_of(template.array * 2)
    found = to_standard(scan, PREPARE, Alignment(np.eye(4), (log_bias, grid), {}))
    np.testing.assert_allclose(found.array, template.array, atol=1e-5)


def _shift(*by: float) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, 3] = by
    return affine
