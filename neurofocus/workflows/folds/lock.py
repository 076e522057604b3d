"""One run at a time in the folder of a training."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from neurofocus.errors import NeurofocusError
from neurofocus.files import sweep_partial
from neurofocus.training.distributed import is_main, main_first

__all__ = ["LOCK_SECONDS", "FoldBusyError", "alone_in"]

# Long enough for the data workers of a killed run to notice and let go of its lock.
LOCK_SECONDS = 30.0


class FoldBusyError(NeurofocusError):
    """Another process is working on the training."""


@contextmanager
def alone_in(folder: Path, name: str, patience: float) -> Iterator[None]:
    """Keep other runs out of a training's folder; of processes that share it, the first holds the lock.

    Args:
        folder: of the training; made if need be, and swept of what a killed run left.
        name: of the training, for the message, such as "fold 1".
        patience: seconds to wait for another run.

    Raises:
        FoldBusyError: the other run is still at it.
    """
    if not is_main():
        with main_first():  # until the first one has the lock and has swept
            pass
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder, name, patience):
        with main_first():
            sweep_partial(folder)
        yield


@contextmanager
def _locked(folder: Path, name: str, patience: float) -> Iterator[None]:
    lock = FileLock(folder / ".lock", timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        raise FoldBusyError(
            f"{folder}: another process is working on {name}; wait until it is done, or choose another --out"
        ) from None
    try:
        yield
    finally:
        lock.release()
