"""Is the attention real? Saliency scored against regions where the truth is known."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from neurofocus.data.frames import FrameGrid
from neurofocus.data.geometry import apply_affine, voxel_sizes
from neurofocus.explain.projection import frame_to_world
from neurofocus.explain.saliency import CaseSaliency

__all__ = ["LocalizationScores", "localization_scores", "region_on_grid"]


@dataclass(frozen=True)
class LocalizationScores:
    """How well the saliency and the policy of one case meet a known region.

    Attributes:
        energy_share: share of the saliency's sum that lies inside the region.
        volume_share: share of the brain's volume (on the frame grid) that the region fills.
        energy_ratio: energy_share / volume_share; 1 is chance.
        pointing_hit: whether the saliency's peak lies within the tolerance of the region.
        peak_distance_mm: from the peak to the region; 0 inside.
        auprc: area under the precision-recall curve over brain voxels (average precision).
        chance_auprc: what random saliency gets: the share of the brain's voxels inside the region.
        patch_distance_mm: mean distance from the focus boxes' centres to the region; 0 inside.
        slice_recall: share of the chosen frames whose plane lies in the given range.
        uniform_slice_recall: the same share under uniform sampling of the grid's frames.
    """

    energy_share: float
    volume_share: float
    energy_ratio: float
    pointing_hit: bool
    peak_distance_mm: float
    auprc: float
    chance_auprc: float
    patch_distance_mm: float
    slice_recall: float
    uniform_slice_recall: float

    def as_dict(self) -> dict[str, float]:
        """Return the scores as plain numbers."""
        return {name: float(value) for name, value in asdict(self).items()}


def localization_scores(
    saliency: CaseSaliency,
    region: NDArray[np.bool_],
    brain: NDArray[np.bool_],
    *,
    grid: FrameGrid,
    slice_range_mm: tuple[float, float] = (-31.0, -5.0),
    tolerance_mm: float = 0.0,
) -> LocalizationScores:
    """Score one case's saliency and focus boxes against a region.

    Args:
        saliency: on the frame grid.
        region: [T, H, W] the truth (``region_on_grid`` makes it from a template-space volume).
        brain: [T, H, W] what counts as brain; the part of the region outside it is ignored.
        grid: the frame grid.
        slice_range_mm: template range along the frame axis that the frames should cover; the default is the
            hippocampus on coronal frames.
        tolerance_mm: how far from the region the peak may lie for a hit.

    Raises:
        ValueError: if the shapes differ, or the region does not lie inside the brain or fills all of it.
    """
    inside = _checked(saliency.volume, region, brain)
    from scipy.ndimage import distance_transform_edt
    from sklearn.metrics import average_precision_score

    voxel_mm = voxel_sizes(grid.affine)
    distance = np.asarray(distance_transform_edt(~inside, sampling=voxel_mm))
    total = float(saliency.volume.sum())
    energy = float(saliency.volume[inside].sum()) / total if total > 0 else 0.0
    volume = float(inside.sum() / brain.sum())
    peak = np.unravel_index(int(np.argmax(saliency.volume)), saliency.volume.shape)
    peak_mm = float(distance[peak])
    return LocalizationScores(
        energy_share=energy,
        volume_share=volume,
        energy_ratio=energy / volume,
        pointing_hit=total > 0 and peak_mm <= tolerance_mm,
        peak_distance_mm=peak_mm,
        auprc=float(average_precision_score(inside[brain], saliency.volume[brain])),
        chance_auprc=volume,
        patch_distance_mm=_patch_distance(saliency, distance, grid),
        slice_recall=_slice_recall(_chosen(saliency), grid, slice_range_mm),
        uniform_slice_recall=_slice_recall(np.arange(grid.num_frames), grid, slice_range_mm),
    )


def region_on_grid(
    truth: NDArray[np.float32], affine: NDArray[np.float64], grid: FrameGrid, *, threshold: float
) -> NDArray[np.bool_]:
    """Return where a template-space map reaches a threshold, on the frame grid [T, H, W].

    Args:
        truth: [X, Y, Z] for example the absolute log-Jacobian of a simulated change, or a 0/1 mask.
        affine: [4, 4] voxel -> template mm.
        grid: the frame grid.
        threshold: on the trilinearly resampled map.
    """
    from scipy.ndimage import affine_transform

    to_truth = np.linalg.inv(affine) @ grid.affine
    shape = (grid.num_frames, grid.frame_size, grid.frame_size)
    values = affine_transform(
        np.asarray(truth, dtype=np.float32),
        to_truth[:3, :3],
        offset=to_truth[:3, 3],
        output_shape=shape,
        order=1,
        mode="grid-constant",
    )
    return np.asarray(values >= threshold)


def _checked(
    volume: NDArray[np.float32], region: NDArray[np.bool_], brain: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    if not volume.shape == region.shape == brain.shape:
        raise ValueError(f"saliency {volume.shape}, region {region.shape} and brain {brain.shape} must agree")
    inside = region & brain
    if not inside.any() or inside.sum() == brain.sum():
        raise ValueError(
            f"the region must be a proper part of the brain: {int(inside.sum())} of {int(brain.sum())} voxels"
        )
    return np.asarray(inside)


def _chosen(saliency: CaseSaliency) -> NDArray[np.int64]:
    return np.concatenate([model.frames for model in saliency.per_model])


def _patch_distance(saliency: CaseSaliency, distance: NDArray[np.float64], grid: FrameGrid) -> float:
    """Return the mean distance of the boxes' centres to the region, read at the nearest grid voxel."""
    to_index = np.asarray(np.linalg.inv(grid.affine), dtype=np.float64)
    values = []
    for model in saliency.per_model:
        for box in frame_to_world(model.frames, model.boxes, grid):
            index = np.rint(apply_affine(to_index, box.center)).astype(int)
            t, i, j = np.clip(index, 0, np.array(distance.shape) - 1)
            values.append(distance[t, i, j])
    return float(np.mean(values))


def _slice_recall(frames: NDArray[np.int64], grid: FrameGrid, range_mm: tuple[float, float]) -> float:
    """Return the share of frames whose plane lies in the range along the template axis of the frames."""
    axis = int(np.argmax(np.abs(grid.affine[:3, 0])))
    middle = (grid.frame_size - 1) / 2
    index = np.stack([frames, np.full(len(frames), middle), np.full(len(frames), middle)], axis=1)
    planes = apply_affine(grid.affine, index)[:, axis]
    return float(np.mean((planes >= range_mm[0]) & (planes <= range_mm[1])))
