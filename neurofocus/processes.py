"""Worker processes: how they start, and that they end with their parent, also when it is killed."""

import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from pathlib import Path

__all__ = ["can_spawn", "end_with_parent", "worker_pool"]


def can_spawn() -> bool:
    """Return whether worker processes can start: they import the main script, which standard input is not."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return main is None or Path(main).exists()


def worker_pool(jobs: int) -> ProcessPoolExecutor:
    """Return a pool of processes that end with this one.

    Spawned: a fork would copy the locks of torch's threads, and a fork server imports the package from the
    working folder (a checkout, say) even if another one is installed.
    """
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=end_with_parent)


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
