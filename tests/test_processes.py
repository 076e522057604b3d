"""Worker processes belong to the installed package of their parent, and end with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurofocus import processes
from neurofocus.processes import can_spawn, run_in_workers, worker_pool

PROGRAM = """
import neurofocus.processes
from neurofocus.processes import worker_pool

def where():
    return neurofocus.processes.__file__

if __name__ == "__main__":
    with worker_pool(2) as pool:
        print(where())
        print(pool.submit(where).result())
"""


def test_workers_import_what_their_parent_imported(tmp_path: Path) -> None:
    """Also where the working folder holds another package of that name, as a checkout does."""
    (tmp_path / "neurofocus").mkdir()
    (tmp_path / "neurofocus" / "__init__.py").write_text("raise SystemExit('the wrong package')")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "main.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "scripts/main.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    here, there = done.stdout.split()
    assert here == there


def test_programs_from_standard_input_have_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, expected in ((__file__, True), ("<stdin>", False)):
        monkeypatch.setattr(sys.modules["__main__"], "__file__", name, raising=False)
        assert can_spawn() is expected


def test_workers_are_processes() -> None:
    with worker_pool(1) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()


@pytest.mark.parametrize(("jobs", "can"), [(1, True), (2, False)])
def test_one_job_or_no_way_to_start_others_works_here(
    monkeypatch: pytest.MonkeyPatch, jobs: int, can: bool
) -> None:
    monkeypatch.setattr(processes, "can_spawn", lambda: can)
    found = run_in_workers(os.getpid, [(), ()], jobs=jobs, killed="killed")
    assert list(found) == [(0, os.getpid()), (1, os.getpid())]
