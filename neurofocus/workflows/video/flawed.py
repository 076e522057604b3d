"""Clips that are damaged or not whole and were used as far as they are there: told once, with their names."""

import logging

from neurofocus.data.video.dataset import VideoDataset
from neurofocus.training.distributed import gather_cases, is_main
from neurofocus.training.state import EpochRecord

__all__ = ["FlawReport"]

_LOGGER = logging.getLogger("neurofocus.workflows.video")
_SHOWN = 3


class FlawReport:
    """Tells of the flawed clips of data sets; processes that share the work call it together.

    Args:
        datasets: whose clips are read, here or by workers.
    """

    def __init__(self, *datasets: VideoDataset | None) -> None:
        self._datasets = [dataset for dataset in datasets if dataset is not None]
        self._told: set[str] = set()

    def after_epoch(self, record: EpochRecord) -> None:
        """Tell of what an epoch has met."""
        self.tell()

    def tell(self) -> list[str]:
        """Log the clips found flawed since the last call, and return the names of all."""
        found = [
            name for dataset in self._datasets for _, name in sorted(gather_cases(dataset.flawed).items())
        ]
        new = [name for name in found if name not in self._told]
        if new and is_main():
            more = ", ..." if len(new) > _SHOWN else ""
            _LOGGER.warning(
                "%d of %d clips are damaged or shorter than listed and are used as far as they are there (%s%s); "
                "'neurofocus video check --thorough' says what they lack, --strict-video refuses them",
                len(new),
                sum(map(len, self._datasets)),
                ", ".join(new[:_SHOWN]),
                more,
            )
        self._told.update(new)
        return found
