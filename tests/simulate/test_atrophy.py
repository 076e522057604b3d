import numpy as np
import pytest
from scipy import ndimage

from neurofocus.simulate.atrophy import MEAN_CHANGE, Atrophy
from neurofocus.simulate.deformation import exponentiate, jacobian
from neurofocus.simulate.grid import sample
from neurofocus.simulate.studio import Studio


def test_severity_one_gives_the_published_changes(studio: Studio) -> None:
    model = studio.atrophy
    changes = model.region_changes(model.inverse_displacement(1.0, 1.0))
    for name, wanted in MEAN_CHANGE.items():
        assert changes[name] == pytest.approx(wanted, abs=0.03), name


@pytest.mark.parametrize("severity", [1.0, 1.3, 1.5])
def test_hippocampus_follows_the_severity(studio: Studio, severity: float) -> None:
    model = studio.atrophy
    inverse = model.inverse_displacement(severity, severity)
    assert 100 * model.region_changes(inverse)["hippocampus"] == pytest.approx(-22 * severity, abs=3.0)
    assert jacobian(inverse, model.grid).min() > 0.2
    assert model.smallest_jacobian(inverse) > 0.2


def test_region_changes_agree_with_the_mean_forward_jacobian(studio: Studio) -> None:
    model = studio.atrophy
    forward = exponentiate(model.temporal + model.ventricular, model.grid)
    weights = model.regions[0]
    measured = float((jacobian(forward, model.grid) * weights).sum() / weights.sum()) - 1
    pulled = model.region_changes(model.inverse_displacement(1.0, 1.0))["hippocampus"]
    assert measured == pytest.approx(pulled, abs=0.02)


def test_the_components_are_separate(studio: Studio) -> None:
    model = studio.atrophy
    temporal = model.region_changes(model.inverse_displacement(1.0, 0.0))
    ventricular = model.region_changes(model.inverse_displacement(0.0, 1.0))
    assert abs(temporal["lateral_ventricle"]) < 0.03
    assert abs(ventricular["hippocampus"]) < 0.05
    assert model.region_changes(model.inverse_displacement(0.0, 0.0))["hippocampus"] == pytest.approx(0.0)


@pytest.mark.parametrize("severities", [(3.5, 3.5), (-1.5, -1.5), (3.5, -1.5), (-1.5, 3.5)])
def test_extreme_draws_do_not_fold(studio: Studio, severities: tuple[float, float]) -> None:
    model = studio.atrophy
    inverse = model.inverse_displacement(*severities)
    assert jacobian(inverse, model.grid).min() > 0
    assert model.smallest_jacobian(inverse) > 0.2


def test_folding_is_refused(studio: Studio) -> None:
    folded = np.zeros_like(studio.atrophy.temporal)
    folded[0] = -2.0 * studio.atrophy.grid.points()[0]
    with pytest.raises(ArithmeticError, match="folds"):
        studio.atrophy.smallest_jacobian(folded)


def test_the_field_is_exactly_zero_far_from_the_regions(studio: Studio) -> None:
    model: Atrophy = studio.atrophy
    distance = ndimage.distance_transform_edt(model.regions.max(axis=0) < 0.5, sampling=model.grid.spacing)
    far = distance > 16.5
    assert far.any()
    assert not np.any((model.temporal + model.ventricular)[:, far])


def test_most_intensity_change_lies_near_the_regions(studio: Studio) -> None:
    model, anatomy = studio.atrophy, studio.anatomy
    points = model.grid.points()
    moved = points + model.inverse_displacement(1.0, 1.0)
    before, after = (sample(anatomy.t1, anatomy.grid, place) for place in (points, moved))
    change = np.abs(after - before)
    distance = ndimage.distance_transform_edt(model.regions.max(axis=0) < 0.5, sampling=model.grid.spacing)
    assert change[distance <= 6].sum() / change.sum() >= 0.70
