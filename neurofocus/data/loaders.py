"""Loaders of one fold: the order of the cases is a function of (seed, fold, epoch)."""

import multiprocessing
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from neurofocus.data.dataset import Batch, FrameDataset
from neurofocus.data.seeds import derive_seed
from neurofocus.processes import end_with_parent

__all__ = ["EpochBatchSampler", "evaluation_loader", "training_loader"]


class EpochBatchSampler(Sampler[list[int]]):
    """Shuffled batches; the order depends on (seed, fold, epoch) only.

    Every case comes once an epoch, except that a last batch of one case is dropped: batch normalisation
    cannot use it. Which case that is changes from epoch to epoch.

    Args:
        size: number of cases, at least 2.
        batch_size: cases in a batch, at least 2.
        stream: (seed, fold).

    Raises:
        ValueError: if there are fewer than two cases, or fewer than two in a batch.
    """

    def __init__(self, size: int, batch_size: int, stream: tuple[int, int]) -> None:
        if size < 2 or batch_size < 2:
            raise ValueError(f"batch normalisation needs two cases a batch: {size} cases, batch {batch_size}")
        self.size = size
        self.batch_size = batch_size
        self.stream = stream
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) whose order the next iteration gives."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches, the same every epoch."""
        full, rest = divmod(self.size, self.batch_size)
        return full + (rest > 1)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the positions of the cases of each batch."""
        rng = np.random.default_rng(derive_seed("order", *self.stream, self._epoch))
        order = [int(index) for index in rng.permutation(self.size)]
        for batch in range(len(self)):
            yield order[batch * self.batch_size : (batch + 1) * self.batch_size]


def training_loader(dataset: FrameDataset, batch_size: int, *, num_workers: int = 0) -> DataLoader[Batch]:
    """Return the loader of a training dataset (one with a stream).

    Call ``set_epoch`` of ``loader.dataset`` and of ``loader.batch_sampler`` before each epoch.
    """
    if dataset.stream is None:
        raise ValueError("a training dataset needs its stream (seed, fold)")
    sampler = EpochBatchSampler(len(dataset), batch_size, dataset.stream)
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_start_worker,
        # Its own generator, so that starting an epoch takes nothing from torch's global stream.
        generator=torch.Generator().manual_seed(0),
    )


def evaluation_loader(dataset: FrameDataset, batch_size: int, *, num_workers: int = 0) -> DataLoader[Batch]:
    """Return a loader that gives every case once, in order."""
    order = range(len(dataset))
    batches: Sequence[list[int]] = [
        list(order[start : start + batch_size]) for start in range(0, len(order), batch_size)
    ]
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_start_worker,
        generator=torch.Generator().manual_seed(0),
    )


def _start_worker(worker: int) -> None:
    """Keep a worker on one thread, and end it with the process that feeds on it.

    The workers are the parallelism, and sums keep their order. torch's own watchdog asks for the parent
    process; under the start method "forkserver" that is the server, which outlives a killed training.
    """
    torch.set_num_threads(1)
    if multiprocessing.get_start_method() != "fork":
        end_with_parent()
