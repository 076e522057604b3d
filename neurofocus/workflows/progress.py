"""How far a long piece of work is: a bar on a terminal, a plain line now and then in a log."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

__all__ = ["scan_progress"]

_LOGGER = logging.getLogger("neurofocus.workflows")
_SECONDS = 60.0


@contextmanager
def scan_progress(total: int, doing: str) -> Iterator[Callable[[int, int], None]]:
    """Show on standard error how many scans are done.

    Args:
        total: scans in all.
        doing: what is done to them, such as "preparing".

    Yields:
        What to call with how many are done by now, and of how many.
    """
    terminal = sys.stderr.isatty()
    shown, spoke = 0, time.monotonic()
    with tqdm(total=total, desc=f"{doing} scans", unit="scan", leave=False, disable=not terminal) as bar:

        def reach(done: int, of: int) -> None:
            nonlocal shown, spoke
            bar.update(done - shown)
            shown = done
            if not terminal and time.monotonic() - spoke >= _SECONDS:
                spoke = time.monotonic()
                _LOGGER.info("%s scans: %d of %d", doing, done, of)

        yield reach
