"""Worker processes: how they start and share work, and that they end with their parent, also when it is killed."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import current_process, get_context, parent_process
from pathlib import Path
from typing import Any, TypeVar

from neurofocus.errors import CohortError

__all__ = ["can_spawn", "end_with_parent", "require_main_guard", "run_in_workers", "worker_pool"]

Answer = TypeVar("Answer")


def can_spawn() -> bool:
    """Return whether worker processes can start: they import the main script, which standard input is not."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return main is None or Path(main).exists()


def require_main_guard(doing: str) -> None:
    """Refuse to start work while a spawned process imports its parent's script.

    Without a main guard in it, the process would come to the same call and wait for ever for the lock that its own
    parent holds; multiprocessing marks this phase in the same way for itself.

    Raises:
        RuntimeError: in such a process.
    """
    if getattr(current_process(), "_inheriting", False):
        raise RuntimeError(f"put the code that {doing} under: if __name__ == '__main__':")


def worker_pool(jobs: int) -> ProcessPoolExecutor:
    """Return a pool of processes that end with this one.

    Spawned: a fork would copy the locks of torch's threads, and a fork server imports the package from the
    working folder (a checkout, say) even if another one is installed.
    """
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=end_with_parent)


def run_in_workers(
    work: Callable[..., Answer], calls: Sequence[tuple[Any, ...]], *, jobs: int, killed: str
) -> Iterator[tuple[int, Answer]]:
    """Yield (position, answer) of every call as it is done; what has not begun is dropped at the first error.

    Args:
        work: a function of a module.
        calls: its arguments, one tuple a call.
        jobs: processes; 1 works in this one, and so does a program that cannot start others.
        killed: the message if a worker was killed.

    Raises:
        CohortError: ``killed``.
    """
    if jobs <= 1 or not can_spawn():
        for position, call in enumerate(calls):
            yield position, work(*call)
        return
    with worker_pool(jobs) as pool:
        pending = {pool.submit(work, *call): position for position, call in enumerate(calls)}
        try:
            for future in as_completed(pending):
                yield pending[future], future.result()
        except BrokenProcessPool as error:
            raise CohortError(killed) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def end_with_parent() -> None:
    """Make a worker end when its parent is killed; without this it would wait for work for ever.

    For use as a process pool's initializer. An interrupt from the keyboard is the parent's to handle: it
    cancels what is left.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
