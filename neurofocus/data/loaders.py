"""Loaders of one fold: the order of the cases is a function of (seed, fold, epoch)."""

import multiprocessing
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from neurofocus.data.dataset import Batch, CaseDataset
from neurofocus.data.seeds import derive_seed
from neurofocus.errors import NeurofocusError
from neurofocus.processes import end_with_parent

__all__ = ["EpochBatchSampler", "evaluation_loader", "training_loader"]


class EpochBatchSampler(Sampler[list[int]]):
    """Shuffled batches; the order depends on (seed, fold, epoch) only.

    Every case comes once an epoch, except that a last batch of one case is dropped (batch normalisation cannot
    use it), or of fewer cases than processes. Which cases those are changes from epoch to epoch.

    Args:
        size: number of cases, at least 2.
        batch_size: cases in a batch, at least 2.
        stream: (seed, fold).
        part: (number of this process, how many share each batch); each takes a run of neighbours.

    Raises:
        ValueError: if there are fewer than two cases, or fewer than two or than processes in a batch.
    """

    def __init__(
        self, size: int, batch_size: int, stream: tuple[int, int], part: tuple[int, int] = (0, 1)
    ) -> None:
        self._least = max(2, part[1])
        if size < self._least or batch_size < self._least:
            raise ValueError(
                f"a batch needs {self._least} cases (two, and one a process): {size} cases, batch {batch_size}"
            )
        self.size = size
        self.batch_size = batch_size
        self.stream = stream
        self.part = part
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) whose order the next iteration gives."""
        rng = np.random.default_rng(derive_seed("order", *self.stream, epoch))
        order = [int(index) for index in rng.permutation(self.size)]
        self._batches = [
            order[start : start + self.batch_size]
            for start in range(0, len(self) * self.batch_size, self.batch_size)
        ]

    def __len__(self) -> int:
        """Return the number of batches, the same every epoch and in every process."""
        full, rest = divmod(self.size, self.batch_size)
        return full + (rest >= self._least)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the positions of this process's cases of each batch."""
        for batch in self.whole_batches():
            yield batch[self.mine(len(batch))]

    def whole_batches(self) -> list[list[int]]:
        """Return the positions of the cases of each batch of the epoch, those of other processes included."""
        return self._batches

    def mine(self, cases: int) -> slice:
        """Return which of a batch's cases are this process's."""
        number, processes = self.part
        return slice(cases * number // processes, cases * (number + 1) // processes)


class _CaseLoader(DataLoader[Batch]):
    """A loader that passes on what the user can mend as it was said: torch puts the worker's traceback before it."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch names its own class of iterators
        try:
            yield from super().__iter__()
        except NeurofocusError as error:
            name, colon, text = str(error).rstrip().rpartition("\n")[2].partition(": ")
            if not colon or not name.endswith(type(error).__name__):
                raise
            raise type(error)(text) from error


def training_loader(
    dataset: CaseDataset, batch_size: int, *, num_workers: int = 0, part: tuple[int, int] = (0, 1)
) -> DataLoader[Batch]:
    """Return the loader of a training dataset (one with a stream).

    Call ``set_epoch`` of ``loader.dataset`` and of ``loader.batch_sampler`` before each epoch.
    """
    if dataset.stream is None:
        raise ValueError("a training dataset needs its stream (seed, fold)")
    sampler = EpochBatchSampler(len(dataset), batch_size, dataset.stream, part)
    return _loader(dataset, sampler, num_workers)


def evaluation_loader(
    dataset: CaseDataset, batch_size: int, *, num_workers: int = 0, part: tuple[int, int] = (0, 1)
) -> DataLoader[Batch]:
    """Return a loader that gives every case once, in order; of several processes each takes every n-th batch."""
    order = range(len(dataset))
    batches: Sequence[list[int]] = [
        list(order[start : start + batch_size]) for start in range(0, len(order), batch_size)
    ][part[0] :: part[1]]
    return _loader(dataset, batches, num_workers)


def _loader(
    dataset: CaseDataset, batches: EpochBatchSampler | Sequence[list[int]], num_workers: int
) -> DataLoader[Batch]:
    return _CaseLoader(
        dataset,
        batch_sampler=batches,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_start_worker,
        # Its own generator, so that starting an epoch takes nothing from torch's global stream.
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
