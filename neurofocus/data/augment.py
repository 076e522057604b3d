"""Training augmentation of one MRI case: one affine, bias field, gamma and noise for all of its frames.

MONAI draws and computes the pieces. Three things are ours, because the frames are z-scored inside a brain
mask and 0 outside it: the affine is composed in millimetres (frames are further apart than pixels) and only
the chosen frames are resampled; intensities are shifted to start at 0 before they are multiplied or raised
to a power; and the background stays exactly 0.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurofocus.schema.run import AugmentConfig

__all__ = ["Augmenter"]

FloatArray = npt.NDArray[np.float32]


class Augmenter:
    """Augments the chosen frames of a case; the draw depends on the given seed only.

    Args:
        config: the ranges.
        grid_affine: [4, 4], (frame, row, column) index -> template world millimetres; gives the spacing and
            which axis runs from left to right.
    """

    def __init__(self, config: AugmentConfig, grid_affine: npt.NDArray[np.float64]) -> None:
        self.config = config
        directions = np.asarray(grid_affine, dtype=np.float64)[:3, :3]
        self.spacing_mm = np.linalg.norm(directions, axis=0)
        self.left_right_axis = int(np.argmax(np.abs(directions[0]) / self.spacing_mm))

    def __call__(self, frames: FloatArray, chosen: npt.NDArray[np.int64], seed: int) -> FloatArray:
        """Return the augmented frames at ``chosen``.

        Args:
            frames: all frames of the case [T, H, W], 0 outside the brain mask.
            chosen: the indices of the frames that the model will see [T0].
            seed: decides the draw.

        Returns:
            Frames [T0, H, W]; 0 outside the moved mask, and in it the mean and standard deviation of before
            (noise adds its share).
        """
        random = np.random.RandomState(seed % 2**32)
        if self.config.flip_left_right and random.uniform() < 0.5:
            frames = np.flip(frames, axis=self.left_right_axis)
        moved, mask = self._move(frames, chosen, random)
        return self._change_intensity(moved, mask, random) if mask.any() else moved

    def _move(
        self, frames: FloatArray, chosen: npt.NDArray[np.int64], random: np.random.RandomState
    ) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Resample the chosen frames under one random affine; return them and their mask, both [T0, H, W].

        Frames and mask are interpolated together and divided, so that the brain's edge is not diluted by the
        background.
        """
        from monai.transforms import Resample

        config = self.config
        if not (config.rotate_degrees or config.translate_mm or config.scale_fraction):
            still = np.ascontiguousarray(frames[chosen])
            return still, still != 0
        grid = _sampling_grid(self._draw_affine(random), frames.shape, chosen)
        pair = torch.from_numpy(np.stack([frames, frames != 0]).astype(np.float32))
        resample = Resample(mode="bilinear", padding_mode="zeros", norm_coords=True)
        values, weights = _plain(resample(pair, grid))
        mask = weights >= 0.5
        moved = np.divide(values, weights, out=np.zeros_like(values), where=mask)
        return moved, mask

    def _draw_affine(self, random: np.random.RandomState) -> npt.NDArray[np.float64]:
        """Draw the affine [3, 4] from output to input index, both counted from the centre of the grid."""
        from monai.transforms import RandAffineGrid

        config = self.config
        draw = RandAffineGrid(
            rotate_range=[float(np.radians(config.rotate_degrees))] * 3,
            translate_range=[config.translate_mm] * 3,
            scale_range=[config.scale_fraction] * 3,
            dtype=np.float64,
        )
        draw.set_random_state(state=random)
        draw(spatial_size=(1, 1, 1))
        in_mm = np.asarray(draw.get_transformation_matrix())
        scale = np.diag([*self.spacing_mm, 1.0])
        affine: npt.NDArray[np.float64] = (np.linalg.inv(scale) @ in_mm @ scale)[:3]
        return affine

    def _change_intensity(
        self, frames: FloatArray, mask: npt.NDArray[np.bool_], random: np.random.RandomState
    ) -> FloatArray:
        """Apply bias field, gamma and noise inside the mask [T0, H, W] of the frames [T0, H, W]."""
        from monai.transforms import RandAdjustContrast, RandBiasField, RandGaussianNoise

        config = self.config
        inside = frames[mask]
        mean, sd, lowest = float(inside.mean()), float(inside.std()), float(inside.min())
        span = config.bias_field
        gamma = RandAdjustContrast(prob=config.probability, gamma=config.gamma)
        field = RandBiasField(prob=config.probability, coeff_range=(-span, span))
        noise = RandGaussianNoise(prob=config.probability, std=config.noise_sd * sd)
        # Background 0 equals the lowest intensity, so gamma's own minimum is the one inside the mask.
        image = np.where(mask, frames - lowest, 0.0)[None].astype(np.float32)
        for transform in (field, gamma):
            image = _apply(transform, image, random)
        changed = image[0][mask]
        spread = float(changed.std())
        image[0][mask] = (changed - changed.mean()) * (sd / spread if spread > 0 else 0.0) + mean
        image = _apply(noise, image, random)
        return np.where(mask, image[0], 0.0).astype(np.float32)


def _apply(transform: Any, image: FloatArray, random: np.random.RandomState) -> FloatArray:
    """Run one MONAI random transform on [1, T0, H, W] with our random state."""
    transform.set_random_state(state=random)
    return _plain(transform(torch.from_numpy(image)))


def _plain(result: torch.Tensor) -> FloatArray:
    """Return MONAI's tensor as an array."""
    array: FloatArray = result.as_subclass(torch.Tensor).numpy()
    return array


def _sampling_grid(
    affine: npt.NDArray[np.float64], shape: tuple[int, ...], chosen: npt.NDArray[np.int64]
) -> torch.Tensor:
    """Return where each output voxel is read [4, T0, H, W], in indices counted from the centre.

    Plain broadcasting: the sums are the same for any number of threads, as a matrix product's need not be.
    """
    centre = [(size - 1) / 2 for size in shape]
    t = (np.asarray(chosen, dtype=np.float64) - centre[0])[:, None, None]
    row = (np.arange(shape[1]) - centre[1])[None, :, None]
    column = (np.arange(shape[2]) - centre[2])[None, None, :]
    grid = np.ones((4, len(chosen), shape[1], shape[2]), dtype=np.float32)
    for axis in range(3):
        a_t, a_row, a_column, shift = affine[axis]
        grid[axis] = a_t * t + a_row * row + (a_column * column + shift)
    return torch.from_numpy(grid)
