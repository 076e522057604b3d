"""Scans in worker processes: one that kills its worker is found, told and left out, the others go on."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from neurofocus.processes import can_spawn, worker_pool

__all__ = ["run_scans"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def run_scans(
    work: Callable[[Item], Answer], items: Sequence[Item], *, jobs: int, killed: Answer
) -> Iterator[tuple[int, Answer]]:
    """Yield (position, answer) of every item as it is done.

    Only ``jobs`` items are handed out at a time, so that a worker that dies (memory, a crash in a library) leaves
    at most so many suspects. Each of them is tried once more, alone.

    Args:
        work: a function of a module.
        items: its arguments.
        jobs: processes; with 1 or without a way to start them everything runs here.
        killed: the answer for an item that ends its process also when it is alone.
    """
    if jobs == 1 or len(items) <= 1 or not can_spawn():
        for position, item in enumerate(items):
            yield position, work(item)
        return
    waiting = list(range(len(items)))[::-1]
    while waiting:
        suspects: list[int] = []
        yield from _until_broken(work, items, waiting, suspects, jobs=min(jobs, len(waiting)))
        for position in suspects:
            yield position, _alone(work, items[position], killed)


def _until_broken(
    work: Callable[[Item], Answer],
    items: Sequence[Item],
    waiting: list[int],
    suspects: list[int],
    *,
    jobs: int,
) -> Iterator[tuple[int, Answer]]:
    """Work until nothing waits (``waiting`` is taken from its end) or a worker dies (its ``suspects`` are added)."""
    running: dict[Future[Answer], int] = {}
    pool: ProcessPoolExecutor = worker_pool(jobs)
    try:
        while (waiting or running) and not suspects:
            while waiting and len(running) < jobs:
                running[pool.submit(work, items[waiting[-1]])] = waiting[-1]
                waiting.pop()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                position = running.pop(future)
                try:
                    answer = future.result()
                except BrokenProcessPool:
                    suspects += [position, *running.values()]
                    break
                yield position, answer
    except BrokenProcessPool:  # from submitting: the pool broke between two answers
        suspects += list(running.values())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _alone(work: Callable[[Item], Answer], item: Item, killed: Answer) -> Answer:
    with worker_pool(1) as pool:
        try:
            return pool.submit(work, item).result()
        except BrokenProcessPool:
            return killed
