"""How many frames files have that tell it only to who decodes them all: known after the first time, to all workers."""

import os
from collections.abc import Iterable
from pathlib import Path

import torch

__all__ = ["FrameCounts"]


class FrameCounts:
    """Frame counts of files, in memory that worker processes share; a file that changed is unknown again.

    Args:
        paths: the files that may be asked for; of others nothing is kept.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._rows = {name: row for row, name in enumerate(dict.fromkeys(map(os.fspath, paths)))}
        # Size, time of the last change (ns) and number of frames of each file [N, 3].
        self._table = torch.zeros((len(self._rows), 3), dtype=torch.int64)
        self._table.share_memory_()  # type: ignore[no-untyped-call]  # torch does not annotate it

    def known(self, path: Path) -> int:
        """Return how many frames a file has; 0 if that is not known of the file as it is now."""
        row = self._rows.get(os.fspath(path))
        if row is None:
            return 0
        *state, count = self._table[row].tolist()
        return int(count) if state == _state(path) else 0

    def note(self, path: Path, count: int) -> None:
        """Keep how many frames a file has."""
        row = self._rows.get(os.fspath(path))
        if row is not None:
            self._table[row] = torch.tensor([*_state(path), count])


def _state(path: Path) -> list[int]:
    """Return what changes when a file is replaced: its size and the time of its last change (ns)."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
