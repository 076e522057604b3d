"""One explained case with a known answer, shared by the tests of the pictures."""

import numpy as np
import pytest
from numpy.typing import NDArray

from neurofocus.data.frames import FrameGrid, frame_grid
from neurofocus.data.volume import Volume
from neurofocus.explain.projection import to_scan_grid
from neurofocus.explain.saliency import CaseSaliency, ModelSaliency
from neurofocus.explain.summary import CaseSummary, ExplainedCase
from neurofocus.schema.run import PrepareConfig

FRAME_SIZE = 64
SPOT_MM = (30.0, -20.0, -10.0)  # on the subject's right


def small_grid() -> FrameGrid:
    return frame_grid(PrepareConfig(pixel_mm=2.8), FRAME_SIZE)


def spot_on_grid(grid: FrameGrid, center_mm: tuple[float, float, float], sd_mm: float) -> NDArray[np.float32]:
    shape = (grid.num_frames, grid.frame_size, grid.frame_size)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    world = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    spot = np.exp(-((world - np.array(center_mm)) ** 2).sum(axis=-1) / (2 * sd_mm**2))
    return (spot / spot.max()).astype(np.float32)


def ellipsoid_scan() -> Volume:
    """A bright ellipsoid with noise, 3 mm voxels, stored left to right, front to back, top to bottom."""
    affine = np.array([[3.0, 0, 0, -84], [0, -3.0, 0, 84], [0, 0, -3.0, 90], [0, 0, 0, 1]])
    index = np.stack(np.meshgrid(*(np.arange(n) for n in (57, 66, 58)), indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    inside = (((world - [0, -17, 5]) / [68, 86, 70]) ** 2).sum(axis=-1) < 1
    noise = np.random.default_rng(0).normal(scale=0.1, size=inside.shape)
    return Volume((inside * (1 + noise)).astype(np.float32), affine, "sub-SIM001_T1w")


def make_case(*, synthetic: bool = True, title: str = "sub-SIM001_T1w") -> ExplainedCase:
    grid, scan = small_grid(), ellipsoid_scan()
    volume = spot_on_grid(grid, SPOT_MM, 8.0)
    frames = spot_on_grid(grid, (0.0, -17.0, 5.0), 40.0) * 2
    chosen = np.array([10, 20, 25, 30])
    boxes = np.array([[32.0, 32, 30, 30], [40, 36, 40, 30], [20, 20, 28, 28], [32, 32, 64, 64]])
    model = ModelSaliency(
        frames=chosen,
        boxes=boxes,
        weights=np.array([0.5, 2.0, 1.5, 0.2]),
        relevance=np.array([0.05, 0.2, 0.1, 0.05]),
        probabilities=np.array([0.25, 0.75]),
    )
    summary = CaseSummary(
        title=title,
        predicted="AD",
        probabilities={"CN": 0.25, "AD": 0.75},
        explained="AD",
        gflops=1.5,
        model={"name": "demo", "weights": "0123456789abcdef"},
        warnings=("qform and sform differ by 2.0 mm; sform is used",),
        synthetic=synthetic,
        intended_use="Research use only.",
    )
    on_scan = to_scan_grid(volume, grid, np.eye(4), scan.array.shape, scan.affine)
    return ExplainedCase(summary, scan, on_scan, frames, grid, CaseSaliency(volume, (model, model), 1))


@pytest.fixture(scope="session")
def case() -> ExplainedCase:
    return make_case()
