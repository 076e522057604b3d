from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from neurofocus.schema.cohort import SimulationConfig
from neurofocus.simulate.grid import sample
from neurofocus.simulate.severity import Severity, Subject, draw_subject
from neurofocus.simulate.studio import Studio, load_studio, save_studio
from neurofocus.simulate.subject import Rendering, render, scan_grid

CONFIG = SimulationConfig(severity=1.5, voxel_mm=4.0, subjects=8, seed=3)
NOTHING = Severity((0.0, 0.0), (0.0, 0.0), (0.0, 0.0))


@pytest.fixture(scope="module")
def ill() -> Subject:
    return next(s for s in (draw_subject(CONFIG, k) for k in range(2)) if s.diseased)


@pytest.fixture(scope="module")
def rendering(ill: Subject, studio: Studio) -> Rendering:
    return render(CONFIG, ill, studio)


def test_rendering_is_reproducible(rendering: Rendering, ill: Subject, studio: Studio) -> None:
    again = render(CONFIG, ill, studio)
    np.testing.assert_array_equal(rendering.stored, again.stored)
    assert rendering.change is not None and again.change is not None
    np.testing.assert_array_equal(rendering.change, again.change)


def test_a_studio_survives_its_file(rendering: Rendering, ill: Subject, studio: Studio, tmp_path) -> None:
    save_studio(studio, tmp_path / "studio.npz")
    again = render(CONFIG, ill, load_studio(tmp_path / "studio.npz"))
    np.testing.assert_array_equal(rendering.stored, again.stored)


def test_subjects_and_seeds_differ(rendering: Rendering, ill: Subject, studio: Studio) -> None:
    other = render(CONFIG, replace(ill, index=ill.index + 2), studio)
    assert (other.stored != rendering.stored).mean() > 0.1


def test_the_label_touches_the_scan_only_through_the_anatomy(
    rendering: Rendering, ill: Subject, studio: Studio
) -> None:
    """Same severities, other label: the very same bytes. So blur, noise and contrast cannot tell the label."""
    healthy = replace(ill, label="CN", diseased=False)
    control = render(CONFIG, healthy, studio)
    np.testing.assert_array_equal(rendering.stored, control.stored)
    assert control.change is None


def test_healthy_and_diseased_scans_are_equally_sharp_away_from_the_regions(
    rendering: Rendering, ill: Subject, studio: Studio
) -> None:
    """Against the healthy twin with its own severities, only the neighbourhood of the regions changes."""
    twin = replace(ill, diseased=False, severity=replace(ill.severity, disease=(0.0, 0.0)))
    control = render(CONFIG, twin, studio)
    near = _near_regions(studio, reach_mm=24.0)
    assert (rendering.stored != control.stored)[near].any()
    np.testing.assert_array_equal(rendering.stored[~near], control.stored[~near])


def _near_regions(studio: Studio, reach_mm: float) -> np.ndarray:
    grid = scan_grid(studio.anatomy, CONFIG.voxel_mm)
    inside = sample(studio.atrophy.regions.max(axis=0), studio.atrophy.grid, grid.points()) > 0.1
    return ndimage.distance_transform_edt(~inside, sampling=grid.spacing) <= reach_mm


def test_change_map_lies_near_the_regions(rendering: Rendering, studio: Studio) -> None:
    change = rendering.change
    assert change is not None
    near = _near_regions(studio, reach_mm=10.0)  # 6 mm, and 4 mm for the personal shape
    assert change.max() > 0.1
    assert change[near].sum() / change.sum() >= 0.70


def test_a_healthy_reference_subject_is_the_template(ill: Subject, studio: Studio) -> None:
    """No severities and no personal shape: brain and template brain coincide, up to the asymmetry of 1.5 mm."""
    config = CONFIG.model_copy(update={"shape_variability": 0.0})
    plain = render(config, replace(ill, severity=NOTHING, diseased=False), studio)
    grid = scan_grid(studio.anatomy, CONFIG.voxel_mm)
    brain = sample(studio.anatomy.brain, studio.anatomy.grid, grid.points()) > 0.5
    overlap = 2 * (brain & (plain.stored > 0)).sum() / (brain.sum() + (plain.stored > 0).sum())
    assert overlap > 0.93
    assert plain.region_changes["hippocampus"] == pytest.approx(0.0, abs=1e-6)
    flipped = plain.stored[::-1]  # the grid is symmetric about the midline
    assert (np.abs(flipped.astype(float) - plain.stored) > 200).mean() > 0.001


def test_measured_volumes_follow_the_drawn_severities(rendering: Rendering, ill: Subject) -> None:
    temporal, _ = ill.severity.total
    expected = (1 - 0.22) ** temporal - 1
    assert rendering.region_changes["hippocampus"] == pytest.approx(expected, abs=0.06)
    assert rendering.smallest_jacobian > 0.2
