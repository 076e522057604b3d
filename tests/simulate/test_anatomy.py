import numpy as np

from neurofocus.simulate.anatomy import REGIONS
from neurofocus.simulate.grid import Grid, sample
from neurofocus.simulate.studio import Studio


def test_grid_indices_and_affine_agree() -> None:
    grid = Grid(shape=(4, 5, 6), origin=(-10.0, 4.0, 2.0), spacing=2.0)
    points = grid.points()
    np.testing.assert_allclose(points[:, 1, 2, 3], (grid.affine @ [1, 2, 3, 1])[:3])
    np.testing.assert_allclose(grid.index(points)[:, 3, 4, 5], [3, 4, 5], atol=1e-6)


def test_covering_grid_holds_the_box_on_the_lattice() -> None:
    grid = Grid.covering(np.array([-7.5, 0.0, 3.1]), np.array([9.0, 4.0, 8.0]), 2.0)
    assert grid.origin == (-8.0, 0.0, 2.0)
    last = grid.points()[:, -1, -1, -1]
    assert (last >= [9.0, 4.0, 8.0]).all()
    assert (last < np.array([9.0, 4.0, 8.0]) + 2.0).all()


def test_sample_is_linear_and_zero_outside() -> None:
    grid = Grid(shape=(5, 5, 5), origin=(0.0, 0.0, 0.0), spacing=2.0)
    values = (grid.points()[0] * 3 + grid.points()[2]).astype(np.float32)
    points = np.array([[1.5, 100.0], [3.0, 0.0], [2.5, 0.0]], np.float32)
    np.testing.assert_allclose(sample(values, grid, points), [1.5 * 3 + 2.5, 0.0], atol=1e-5)


def test_regions_have_plausible_volumes_and_places(studio: Studio) -> None:
    anatomy = studio.anatomy
    points = anatomy.field_grid.points()
    volumes = dict(zip(REGIONS, anatomy.regions.sum(axis=(1, 2, 3)) * 8.0, strict=True))  # both sides, mm3
    assert 5000 < volumes["hippocampus"] < 8000  # two of 2.5 to 4 mL
    assert 2000 < volumes["amygdala"] < 4500
    assert 10000 < volumes["lateral_ventricle"] < 30000
    assert volumes["temporal_horn"] < 2500
    centres = [
        np.average(np.abs(points[0]), weights=region) for region in anatomy.regions
    ]  # distance from the midline
    assert centres[REGIONS.index("temporal_horn")] > centres[REGIONS.index("hippocampus")] + 5


def test_regions_are_symmetric_disjoint_and_inside_the_brain(studio: Studio) -> None:
    anatomy = studio.anatomy
    points = anatomy.field_grid.points()
    left = anatomy.regions[:, points[0] < 0].sum(axis=1)
    right = anatomy.regions[:, points[0] > 0].sum(axis=1)
    np.testing.assert_allclose(left, right, rtol=0.02)  # the template is exactly symmetric
    assert anatomy.regions.sum(axis=0).max() < 1.01
    assert sample(anatomy.brain, anatomy.grid, points)[anatomy.regions.max(axis=0) > 0.5].min() > 0.5


def test_ventricle_holds_fluid_and_hippocampus_tissue(studio: Studio) -> None:
    anatomy = studio.anatomy
    t1 = sample(anatomy.t1, anatomy.grid, anatomy.field_grid.points())
    core = [t1[region > 0.9].mean() for region in anatomy.regions]
    fluid, tissue = core[REGIONS.index("lateral_ventricle")], core[REGIONS.index("hippocampus")]
    assert fluid < 0.45
    assert 0.6 < tissue < 0.75
