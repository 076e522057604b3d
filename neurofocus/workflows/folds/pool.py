"""Several folds at a time, each in a process of its own: on a CPU faster than giving one fold all cores."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from pathlib import Path

import torch

from neurofocus.errors import NeurofocusError
from neurofocus.processes import can_spawn, end_with_parent
from neurofocus.workflows.folds.fold import run_fold
from neurofocus.workflows.folds.job import FoldJob
from neurofocus.workflows.folds.lock import FoldBusyError

__all__ = ["run_folds", "run_free_folds"]

_LOGGER = logging.getLogger(__name__)
_SPAWN = get_context("spawn")  # a forked process would inherit torch's threads, and hang


def run_folds(jobs: Iterable[tuple[FoldJob, Path]], *, device: torch.device, parallel: int) -> None:
    """Run folds, ``parallel`` at a time.

    The first error ends all of them; so does an interrupt. Finished epochs are on disk, and the same call goes on
    from there.

    Args:
        jobs: (job, folder), see ``run_fold``.
        device: where to compute; all folds share it.
        parallel: 1 runs them here, one after the other.

    Raises:
        NeurofocusError: as ``run_fold`` raises it; or a process was killed.
        RuntimeError: a mistake in the program ended a process.
    """
    if parallel == 1 or not can_spawn():
        for job, folder in jobs:
            run_fold(job, folder, device=device)
        return
    waiting = iter(jobs)
    running: dict[Connection, SpawnProcess] = {}
    with _forwarded_logs() as logs:
        try:
            while True:
                while len(running) < parallel and (found := next(waiting, None)) is not None:
                    running.update([_start(*found, device, logs)])
                if not running:
                    return
                for connection in wait(list(running)):
                    assert isinstance(connection, Connection)
                    _finish(connection, running.pop(connection))
        finally:
            for process in running.values():
                process.terminate()
                process.join()


def run_free_folds(jobs: Iterable[tuple[FoldJob, Path]], *, device: torch.device) -> None:
    """Run, one after the other, the folds that are neither done nor in another process's hands.

    Raises:
        NeurofocusError: as ``run_fold`` raises it.
    """
    for job, folder in jobs:
        try:
            run_fold(job, folder, device=device, patience=0)
        except FoldBusyError:
            _LOGGER.info("fold %d: another process is working on it", job.fold)


def _start(
    job: FoldJob, folder: Path, device: torch.device, logs: "Queue[logging.LogRecord]"
) -> tuple[Connection, SpawnProcess]:
    here, there = _SPAWN.Pipe(duplex=False)
    level = logging.getLogger("neurofocus").getEffectiveLevel()
    process = _SPAWN.Process(
        target=_work, args=(job, folder, device, logs, level, there), name=f"fold {job.fold}"
    )
    process.start()
    there.close()  # the worker holds the only writing end now: its death is the end of the stream
    return here, process


def _finish(connection: Connection, process: SpawnProcess) -> None:
    """Raise what a fold that ended has raised."""
    try:
        error: Exception | None = connection.recv()
    except EOFError:
        process.join()
        raise _death(process) from None
    process.join()
    if error is not None:
        raise error


def _death(process: SpawnProcess) -> Exception:
    if process.exitcode is not None and process.exitcode > 0:
        return RuntimeError(f"{process.name}: a mistake in the program; its traceback is above")
    return NeurofocusError(
        f"{process.name}: its process was killed (exit code {process.exitcode}; -9 often means too little memory); "
        "free memory and run the same command again"
    )


def _work(
    job: FoldJob,
    folder: Path,
    device: torch.device,
    logs: "Queue[logging.LogRecord]",
    level: int,
    answer: Connection,
) -> None:
    """Run one fold in a process of its own and answer with its error, if any."""
    end_with_parent()
    logger = logging.getLogger("neurofocus")
    logger.handlers = [QueueHandler(logs)]
    logger.propagate = False
    logger.setLevel(level)
    try:
        run_fold(job, folder, device=device)
    except NeurofocusError as error:
        answer.send(error)
    else:
        answer.send(None)


@contextmanager
def _forwarded_logs() -> "Iterator[Queue[logging.LogRecord]]":
    """Hand the log lines of the workers to this process's loggers."""
    queue: Queue[logging.LogRecord] = _SPAWN.Queue()
    listener = QueueListener(queue, _Forward())
    listener.start()
    try:
        yield queue
    finally:
        listener.stop()


class _Forward(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)
