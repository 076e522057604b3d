"""What a person sees of a training: a bar on a terminal, one line an epoch in a log, TensorBoard scalars."""

import logging
import sys
import time
from collections.abc import Callable
from multiprocessing import parent_process
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from neurofocus.training.state import EpochRecord

__all__ = ["EpochProgress", "ScalarLog"]

_LOGGER = logging.getLogger("neurofocus.training")


class EpochProgress:
    """Shows how far a fold is, on standard error.

    Args:
        name: of the training, such as "fold 1".
        epochs: of the whole training.
        iterations: of an epoch.
    """

    def __init__(self, name: str, epochs: int, iterations: int) -> None:
        self.name = name
        self.epochs = epochs
        self._started = time.perf_counter()
        self._bar = tqdm(
            total=iterations,
            desc=name,
            unit="batch",
            leave=False,
            file=sys.stderr,
            # Bars of folds that run together would overwrite each other.
            disable=not sys.stderr.isatty() or parent_process() is not None,
        )

    def __enter__(self) -> Self:
        """Start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar."""
        self._bar.close()

    def advance(self, engine: Any) -> None:
        """Count one batch; an Ignite handler."""
        self._bar.update()
        self._bar.set_postfix(loss=f"{engine.state.output:.3f}", refresh=False)

    def report(self, record: EpochRecord, *, kept: int) -> None:
        """Write the line of a finished epoch."""
        now = time.perf_counter()
        self._bar.clear()
        _LOGGER.info(
            "%s  epoch %d/%d  loss %.3f%s%s  kept epoch %d  %.1f s",
            self.name,
            record.epoch,
            self.epochs,
            record.losses["total"],
            _validated(record),
            _diagnosed(record),
            kept,
            now - self._started,
        )
        self._started = now
        self._bar.reset()


class ScalarLog:
    """Writes scalars for TensorBoard; an epoch that is repeated after an interruption replaces the older one.

    Args:
        folder: of the event files.
        on: off writes nothing and imports nothing.
        first: finished epochs so far.
    """

    def __init__(self, folder: Path, *, on: bool, first: int) -> None:
        self._add: Callable[[str, float, int], None] | None = None
        self._close: Callable[[], None] = _nothing
        if on:
            from torch.utils.tensorboard import SummaryWriter

            writer = SummaryWriter(str(folder), purge_step=first + 1)
            self._add, self._close = writer.add_scalar, writer.close

    def __enter__(self) -> Self:
        """Start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush and close the event file."""
        self._close()

    def add(self, record: EpochRecord) -> None:
        """Write one epoch."""
        if self._add is None:
            return
        values: dict[str, float | None] = {f"training/{name}": value for name, value in record.losses.items()}
        values["learning_rate_factor"] = record.learning_rate_factor
        values["validation/loss"] = record.validation_loss
        values |= {f"policy/{name}": value for name, value in record.diagnostics.items()}
        values |= {f"validation/{name}": value for name, value in record.measures.items()}
        for name, value in values.items():
            if value is not None:
                self._add(name, value, record.epoch)


def _validated(record: EpochRecord) -> str:
    if record.validation_loss is None:
        return ""
    shown = [f"  validation loss {record.validation_loss:.4f}"]
    for name, value in record.measures.items():
        shown.append(f"  {name.replace('_', ' ')} {'-' if value is None else f'{value:.3f}'}")
    return "".join(shown)


def _diagnosed(record: EpochRecord) -> str:
    return "".join(f"  {name.replace('_', ' ')} {value:.2f}" for name, value in record.diagnostics.items())


def _nothing() -> None:
    """Do nothing."""
