"""``kill -9`` in the middle of ``neurofocus prepare``, then the same command: nothing is done twice."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

BROKEN = {"sub-03": "cut", "sub-11": "empty", "sub-22": "text", "sub-38": "elsewhere"}


@pytest.mark.slow
def test_forty_scans_four_broken_killed_and_resumed(tmp_path: Path, tiny_config: Path) -> None:
    helpers = _helpers()
    data = helpers.make_cohort(tmp_path / "data", 40, BROKEN)
    (tmp_path / "mini.yaml").write_text(helpers.COHORT, encoding="utf-8")
    out = tmp_path / "out"
    command = [
        *(sys.executable, "-m", "neurofocus.cli", "prepare", "--cohort", str(tmp_path / "mini.yaml")),
        *("--config", str(tiny_config), "--data", str(data), "--out", str(out), "--jobs", "2", "--json"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(list(out.rglob("sub-*_desc-qc.json"))) < 12:
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    records = {path: path.stat().st_mtime_ns for path in out.rglob("sub-*_desc-qc.json")}
    assert 12 <= len(records) < 36
    second = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    document = json.loads(second.stdout)
    assert (document["prepared"], document["kept"]) == (36, len(records))
    assert sorted(row["participant_id"] for row in document["failures"]) == sorted(BROKEN)
    assert all(row["reason"] for row in document["failures"])
    assert all(path.stat().st_mtime_ns == written for path, written in records.items())
    assert not list(out.rglob("*.nf-partial.*"))


def _helpers() -> ModuleType:
    path = Path(__file__).parents[1] / "workflows" / "preparation" / "test_prepare.py"
    spec = importlib.util.spec_from_file_location("prepare_helpers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
