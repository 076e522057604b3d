"""Prepare all scans of a cohort in parallel processes; one bad scan does not stop the others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurofocus.data.cache import CaseCache
from neurofocus.data.cases import CaseRequest
from neurofocus.data.frames import FrameGrid
from neurofocus.data.preprocess import PreparedCase
from neurofocus.errors import VolumeError
from neurofocus.processes import can_spawn, run_in_workers
from neurofocus.schema.run import PrepareConfig

__all__ = ["PreparedCohort", "prepare_cohort"]


@dataclass(frozen=True)
class PreparedCohort:
    """What came of a cohort.

    Attributes:
        cases: Prepared scans, in the order of the table.
        rows: The table position of each of ``cases``.
        failures: (participant_id, one-line reason) of every scan that could not be prepared.
    """

    cases: list[PreparedCase]
    rows: list[int]
    failures: list[tuple[str, str]]


def prepare_cohort(
    table: pd.DataFrame,
    prepare: PrepareConfig,
    *,
    grid: FrameGrid,
    cache_folder: Path,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> PreparedCohort:
    """Prepare every scan of a cohort table through the cache.

    Args:
        table: Columns participant_id, path, space (``template`` or ``native``) and orientation (``header``, or
            three letters as ``read_volume`` takes them).
        prepare: What to do.
        grid: Where the frames lie.
        cache_folder: What is prepared stays there, also if another scan fails or the run is killed.
        jobs: Scans prepared at a time, each in a process of its own.
        progress: Called with (done, all) after each scan.

    Raises:
        NeurofocusError: if the cache folder is full or not writable.
        CohortError: if a worker process was killed.
    """
    requests = [
        CaseRequest(
            path=Path(path),
            prepare=prepare,
            grid=grid,
            in_template=space == "template",
            orientation=orientation,
        )
        for path, space, orientation in zip(table["path"], table["space"], table["orientation"], strict=True)
    ]
    results: dict[int, PreparedCase | str] = {}
    for position, result in _run(cache_folder, requests, jobs):
        results[position] = result
        if progress is not None:
            progress(len(results), len(requests))
    names = [str(name) for name in table["participant_id"]]
    rows = [position for position in range(len(requests)) if isinstance(results[position], PreparedCase)]
    return PreparedCohort(
        cases=[case for row in rows if isinstance(case := results[row], PreparedCase)],
        rows=rows,
        failures=[
            (names[row], str(results[row])) for row in sorted(results) if isinstance(results[row], str)
        ],
    )


def _run(folder: Path, requests: list[CaseRequest], jobs: int) -> Iterator[tuple[int, PreparedCase | str]]:
    """Yield (position, case or reason) as scans are done: those on disk first, the rest by processes."""
    cache = CaseCache(folder)
    missing = []
    for position, request in enumerate(requests):
        found = cache.find(request)
        if found is None:
            missing.append(position)
        else:
            yield position, found
    if jobs == 1 or len(missing) <= 1 or not can_spawn():
        for position in missing:
            yield position, _one(cache, requests[position])
        return
    killed = (
        f"{folder}: a worker process ended abruptly; if it said nothing above, memory was most likely short. "
        "Run the same command again, with fewer data.prepare_jobs: finished scans are kept"
    )
    calls = [(folder, requests[position]) for position in missing]
    for number, reason in run_in_workers(_work, calls, jobs=min(jobs, len(missing)), killed=killed):
        position = missing[number]
        # The array comes from disk, where the worker put it: cheaper than a pipe, and verified.
        yield position, reason if reason is not None else _one(cache, requests[position])


def _one(cache: CaseCache, request: CaseRequest) -> PreparedCase | str:
    """Return a prepared case, or the reason why not."""
    try:
        return cache.get_or_prepare(**request)
    except VolumeError as error:
        return str(error)


def _work(folder: Path, request: CaseRequest) -> str | None:
    """Prepare one scan into the cache in a worker process; return the reason if it failed."""
    result = _one(CaseCache(folder), request)
    return result if isinstance(result, str) else None
