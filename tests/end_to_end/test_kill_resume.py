"""``kill -9`` at any moment, then the same command: the same bytes as an uninterrupted run.

The fold job alone is killed in tests/workflows/folds/test_fold.py; here the whole command is, with its process group.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "kill_resume.py"


@pytest.mark.slow
def test_killed_runs_end_like_an_uninterrupted_one(
    tmp_path: Path, tiny_cohort: Path, tiny_config: Path
) -> None:
    stages = ["simulation", "training", "gathering"]
    command = [sys.executable, str(SCRIPT), "--cohort", str(tiny_cohort), "--config", str(tiny_config)]
    done = subprocess.run(
        [*command, "--kills", "3", "--at", *stages, "--work", str(tmp_path / "work")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["identical"] is True
    assert len(result["kills"]) == 3
    assert result["kills"][0]["stage"] in ("simulation", "preparation")
    assert {kill["stage"] for kill in result["kills"]} & {"training", "gathering"}
    assert [run["exit_code"] for run in result["runs"]] == [0] * len(result["runs"])
    assert not any(run["different"] or run["damaged"] or run["leftovers"] for run in result["runs"])
