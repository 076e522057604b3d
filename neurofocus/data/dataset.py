"""Cases as a torch Dataset: T0 frames each, freshly drawn and augmented every epoch."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from neurofocus.data.augment import Augmenter
from neurofocus.data.frames import sample_frame_indices
from neurofocus.data.seeds import derive_seed

__all__ = ["Batch", "CaseDataset", "FrameDataset", "evaluation_frames"]

FloatArray = npt.NDArray[np.float32]


class Batch(TypedDict):
    """One item, or a collated batch with a leading axis B."""

    frames: Tensor
    """Frames, float32 [T0, C, H, W]."""
    glance_frames: NotRequired[Tensor]
    """Frames for the glance where they are sampled on their own, float32 [T_G, C, H, W]."""
    label: Tensor
    """Class number, int64."""
    index: Tensor
    """Position of the case in the dataset, int64."""


class CaseDataset(Dataset[Batch]):
    """What a training needs to know of its cases, whether they are scans or videos.

    What is drawn for an item is a function of (seed, fold, epoch, index) alone, so the number of workers and an
    interruption change nothing.

    Args:
        labels: the class number of each case.
        stream: (seed, fold) of a training dataset; None: nothing is drawn.
    """

    def __init__(self, labels: Sequence[int], stream: tuple[int, int] | None) -> None:
        self.labels = [int(label) for label in labels]
        self.stream = stream
        # In shared memory, so that workers that outlive an epoch see the next one.
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]  # torch does not annotate it

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) whose draws the items show; call it before iterating."""
        self._epoch.fill_(epoch)

    def coordinates(self, index: int) -> tuple[int, int, int, int] | None:
        """Return what the draws of an item depend on, (seed, fold, epoch, index); None: nothing is drawn."""
        return None if self.stream is None else (*self.stream, int(self._epoch), index)

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.labels)


class FrameDataset(CaseDataset):
    """T0 frames a scan.

    With ``training``, one frame is drawn from each of T0 equal segments and augmented; else the middle frame
    of each segment is taken.

    Args:
        frames: per case all its frames [T, H, W], normalised, 0 outside the mask; read only when an item is
            asked for, so a lazy sequence will do.
        labels: the class number of each case.
        num_frames: T0.
        augmenter: training augmentation; None with ``training`` off.
        stream: (seed, fold) of a training dataset; None takes middle frames and no augmentation.

    Raises:
        ValueError: if frames and labels differ in length, or an augmenter comes without a stream.
    """

    def __init__(
        self,
        frames: Sequence[FloatArray],
        labels: Sequence[int],
        num_frames: int,
        *,
        augmenter: Augmenter | None = None,
        stream: tuple[int, int] | None = None,
    ) -> None:
        if len(frames) != len(labels):
            raise ValueError(f"{len(frames)} cases but {len(labels)} labels")
        if augmenter is not None and stream is None:
            raise ValueError("augmentation draws random numbers: give the stream (seed, fold)")
        super().__init__(labels, stream)
        self.frames = frames
        self.num_frames = num_frames
        self.augmenter = augmenter

    def __getitem__(self, index: int) -> Batch:
        """Return one case: frames [T0, 1, H, W], label, index."""
        case = self.frames[index]
        coordinates = self.coordinates(index)
        shown = _middle(case, self.num_frames) if coordinates is None else self._draw(case, coordinates)
        return Batch(
            frames=torch.from_numpy(np.ascontiguousarray(shown, dtype=np.float32)).unsqueeze(1),
            label=torch.tensor(self.labels[index], dtype=torch.int64),
            index=torch.tensor(index, dtype=torch.int64),
        )

    def _draw(self, case: FloatArray, coordinates: tuple[int, int, int, int]) -> FloatArray:
        rng = np.random.default_rng(derive_seed("frames", *coordinates))
        chosen = sample_frame_indices(len(case), self.num_frames, rng)
        if self.augmenter is None:
            return np.asarray(case[chosen])
        return self.augmenter(case, chosen, derive_seed("augment", *coordinates))


def evaluation_frames(frames: FloatArray, num_frames: int) -> tuple[Tensor, npt.NDArray[np.int64]]:
    """Return what the model sees of a case at test time: the middle frame of each of T0 segments.

    Args:
        frames: all frames of the case [T, H, W].
        num_frames: T0.

    Returns:
        Frames [T0, 1, H, W] and their indices into ``frames`` [T0].
    """
    chosen = sample_frame_indices(len(frames), num_frames, None)
    shown = np.ascontiguousarray(frames[chosen], dtype=np.float32)
    return torch.from_numpy(shown).unsqueeze(1), chosen


def _middle(case: FloatArray, num_frames: int) -> FloatArray:
    return np.asarray(case[sample_frame_indices(len(case), num_frames, None)])
