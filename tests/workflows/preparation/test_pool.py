"""Work in processes that may die: the deadly item is told, every other one is answered."""

import os
import signal
from pathlib import Path

import pytest

from neurofocus.workflows.preparation import pool as module
from neurofocus.workflows.preparation.pool import run_scans

DEADLY = 7


def square(number: int) -> int:
    if number == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def fail(number: int) -> int:
    raise KeyError(number)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find this module by its file's name, also under pytest's own import mode."""
    monkeypatch.setattr(module, "can_spawn", lambda: True)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    for function in (square, fail):
        monkeypatch.setattr(function, "__module__", "test_pool")


@pytest.fixture
def here() -> object:
    import importlib

    return importlib.import_module("test_pool")


def test_a_deadly_item_is_told_and_the_others_are_answered(here: object) -> None:
    work = here.square  # type: ignore[attr-defined]
    items = list(range(12))
    found = dict(run_scans(work, items, jobs=2, killed=-1))
    assert found == {number: -1 if number == DEADLY else number * number for number in items}


def test_one_process_and_here(here: object) -> None:
    work = here.square  # type: ignore[attr-defined]
    assert dict(run_scans(work, [1, 2, 3], jobs=1, killed=-1)) == {0: 1, 1: 4, 2: 9}
    assert not list(run_scans(work, [], jobs=2, killed=-1))


def test_an_error_is_raised(here: object) -> None:
    with pytest.raises(KeyError):
        list(run_scans(here.fail, [1, 2, 3], jobs=2, killed=-1))  # type: ignore[attr-defined]
