"""``neurofocus tune``: search training settings inside each training part.

Every outer fold has a search of its own, on its own training part (appendix H.3 holds a quarter of it out), so the
people that a fold tests never take part in choosing its settings.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofocus.schema.search import SearchSpace
from neurofocus.workflows.device import choose_device
from neurofocus.workflows.run_setup import RunRequest, fold_folder, set_up_run
from neurofocus.workflows.search.search import FoldSearch, search_fold

__all__ = ["TuneResult", "tune"]

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class TuneResult:
    """What a search left behind.

    Attributes:
        out: its folder; ``cv --tuned`` takes it.
        best: one entry a fold: fold, settings, validation_loss, trials.
    """

    out: Path
    best: tuple[Mapping[str, Any], ...]


def tune(request: RunRequest, space: SearchSpace, *, trials: int, device: str = "auto") -> TuneResult:
    """Search the settings of one fold or of all, or take part in a search that others began.

    Args:
        request: configuration, data, folder and fold; settings that are not searched stay as they are.
        space: what may change.
        trials: how many trainings a fold.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        NeurofocusError: whatever the user can mend, in one line.
    """
    chosen = choose_device(device)
    run = set_up_run(request)
    numbers = [request.fold] if isinstance(request.fold, int) else range(1, run.config.data.folds + 1)
    found = []
    for number in numbers:
        search = FoldSearch(run.fold_job(number), space, trials, fold_folder(request.out, number))
        best = search_fold(search, device=chosen)
        _LOGGER.info(
            "fold %d: best validation loss %.4f of %d trials", number, best["validation_loss"], trials
        )
        found.append(best)
    return TuneResult(request.out, tuple(found))
