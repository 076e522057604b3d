"""How far a long piece of work is: a bar on a terminal, a plain line now and then in a log."""

import logging
import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

__all__ = ["ScanProgress"]

_LOGGER = logging.getLogger("neurofocus.workflows")
_SECONDS = 60.0


class ScanProgress:
    """Shows how many scans are done, on standard error.

    Args:
        total: scans in all.
        doing: what is done to them, such as "preparing".
    """

    def __init__(self, total: int, doing: str) -> None:
        self._total, self._doing = total, doing
        self._done = 0
        self._spoke = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total, desc=f"{doing} scans", unit="scan", leave=False, disable=not self._terminal
        )

    def __enter__(self) -> Self:
        """Start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar."""
        self._bar.close()

    def reach(self, done: int, total: int | None = None) -> None:
        """Say how many scans are done by now; ``total`` is not looked at."""
        self._bar.update(done - self._done)
        self._done = done
        if not self._terminal and time.monotonic() - self._spoke >= _SECONDS:
            self._spoke = time.monotonic()
            _LOGGER.info("%s scans: %d of %d", self._doing, done, self._total)
