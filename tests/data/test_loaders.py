"""Loaders: order by (seed, fold, epoch); identical batches for any number of workers."""

import multiprocessing
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from neurofocus.data.augment import Augmenter
from neurofocus.data.dataset import Batch, FrameDataset
from neurofocus.data.loaders import EpochBatchSampler, evaluation_loader, training_loader
from neurofocus.schema.run import AugmentConfig


def make_dataset(*, training: bool) -> FrameDataset:
    rng = np.random.default_rng(0)
    cases = [rng.normal(size=(10, 16, 16)).astype(np.float32) for _ in range(9)]
    augmenter = Augmenter(AugmentConfig(probability=1), np.diag([2.0, 1, 1, 1])) if training else None
    return FrameDataset(cases, [0, 1, 2] * 3, 4, augmenter=augmenter, stream=(5, 2) if training else None)


def two_epochs(num_workers: int) -> list[Batch]:
    loader = training_loader(make_dataset(training=True), 4, num_workers=num_workers)
    batches: list[Batch] = []
    for epoch in (3, 4):
        assert isinstance(loader.dataset, FrameDataset) and isinstance(
            loader.batch_sampler, EpochBatchSampler
        )
        loader.dataset.set_epoch(epoch)
        loader.batch_sampler.set_epoch(epoch)
        batches.extend(loader)
    return batches


def test_workers_change_nothing() -> None:
    alone, helped = two_epochs(0), two_epochs(2)
    assert len(alone) == len(helped) == 4
    for one, other in zip(alone, helped, strict=True):
        torch.testing.assert_close(one["frames"], other["frames"], rtol=0, atol=0)
        assert one["index"].tolist() == other["index"].tolist()
        assert one["label"].tolist() == other["label"].tolist()


def test_thread_count_changes_no_batch() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = two_epochs(0)
        torch.set_num_threads(2)
        two = two_epochs(0)
    finally:
        torch.set_num_threads(before)
    for first, second in zip(one, two, strict=True):
        assert torch.equal(first["frames"], second["frames"])


def test_loading_leaves_the_global_random_stream_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    two_epochs(0)
    assert torch.equal(before, torch.get_rng_state())


@settings(max_examples=60)
@given(size=st.integers(2, 40), batch=st.integers(2, 12), seed=st.integers(0, 99), epoch=st.integers(0, 9))
def test_every_case_once_and_no_batch_of_one(size: int, batch: int, seed: int, epoch: int) -> None:
    sampler = EpochBatchSampler(size, batch, (seed, 1))
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert batches == list(sampler)
    assert len(batches) == len(sampler)
    indices = [index for entry in batches for index in entry]
    dropped = size - len(indices)
    assert len(set(indices)) == len(indices) and set(indices) <= set(range(size))
    assert dropped == (1 if size % batch == 1 else 0)
    assert all(2 <= len(entry) <= batch for entry in batches)


def test_order_depends_on_seed_fold_and_epoch() -> None:
    def order(stream: tuple[int, int], epoch: int) -> list[list[int]]:
        sampler = EpochBatchSampler(30, 8, stream)
        sampler.set_epoch(epoch)
        return list(sampler)

    orders = [order((0, 1), 0), order((1, 1), 0), order((0, 2), 0), order((0, 1), 1)]
    assert len({str(entry) for entry in orders}) == 4


def test_too_few_cases_are_refused() -> None:
    with pytest.raises(ValueError, match="a batch needs 2 cases"):
        EpochBatchSampler(1, 4, (0, 1))
    with pytest.raises(ValueError, match="a batch needs 2 cases"):
        EpochBatchSampler(4, 1, (0, 1))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_evaluation_gives_every_case_in_order(num_workers: int) -> None:
    loader: DataLoader[Batch] = evaluation_loader(make_dataset(training=False), 4, num_workers=num_workers)
    assert [batch["index"].tolist() for batch in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]


def test_training_loader_needs_a_stream() -> None:
    with pytest.raises(ValueError, match="stream"):
        training_loader(make_dataset(training=False), 4)


CHILD = """
import multiprocessing, sys, time
import numpy as np
from neurofocus.data.dataset import FrameDataset
from neurofocus.data.loaders import training_loader
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    cases = [np.zeros((4, 8, 8), dtype=np.float32)] * 4
    loader = training_loader(FrameDataset(cases, [0, 1] * 2, 2, stream=(0, 1)), 2, num_workers=2)
    batches = iter(loader)
    next(batches)
    print(*(worker.pid for worker in multiprocessing.active_children()), flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", sorted({"fork", "forkserver"} & set(multiprocessing.get_all_start_methods()))
)
def test_workers_end_with_a_killed_training(method: str) -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD, method], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        workers = [int(pid) for pid in child.stdout.readline().split()]
        assert len(workers) == 2 and all(is_alive(pid) for pid in workers)
        child.kill()
    deadline = time.monotonic() + 120
    while any(is_alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "workers outlive the training"
        time.sleep(0.1)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@settings(max_examples=50)
@given(st.integers(4, 40), st.integers(4, 12), st.integers(1, 4))
def test_processes_divide_every_batch_among_them(size: int, batch: int, processes: int) -> None:
    samplers = [EpochBatchSampler(size, batch, (1, 1), (number, processes)) for number in range(processes)]
    whole = samplers[0].whole_batches()
    parts = list(zip(*samplers, strict=True))
    assert [[case for cases in part for case in cases] for part in parts] == whole
    assert all(cases for part in parts for cases in part)
    rest = size - sum(len(cases) for cases in whole)
    assert rest < max(2, processes)


def test_processes_divide_the_cases_to_evaluate() -> None:
    dataset = make_dataset(training=False)
    found = [
        [batch["index"].tolist() for batch in evaluation_loader(dataset, 2, part=(number, 2))]
        for number in (0, 1)
    ]
    assert found == [[[0, 1], [4, 5], [8]], [[2, 3], [6, 7]]]
