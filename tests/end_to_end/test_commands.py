"""The two commands of the README in processes of their own, as a person runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = str(Path(sys.executable).with_name("neurofocus"))


def run(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_cross_validate_then_predict(
    tmp_path: Path, tiny_cohort: Path, tiny_config: Path, tiny_run: Path, tiny_scan: Path
) -> None:
    """In another process, the run that the other tests share comes out the same, byte by byte."""
    done = run("cv", "--cohort", tiny_cohort, "--config", tiny_config, "--device", "cpu", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("SYNTHETIC cohort")
    assert "Warning" not in done.stderr
    out = tmp_path / "runs" / "tiny"
    for name in ("predictions.tsv", "metrics.json", "folds.tsv", "bundle/fold-1.safetensors"):
        assert (out / name).read_bytes() == (tiny_run / name).read_bytes(), name
    done = run("predict", tiny_scan, "--model", out / "bundle", "--out", "answers", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    (document,) = json.loads(done.stdout)
    stem = tiny_scan.name.removesuffix(".nii.gz")
    written = json.loads((tmp_path / "answers" / f"{stem}_prediction.json").read_text(encoding="utf-8"))
    assert document == {"scan": tiny_scan.name} | written
    assert len(list((tmp_path / "answers").iterdir())) == 4


@pytest.mark.slow
def test_folds_as_parallel_jobs(tmp_path: Path, tiny_cohort: Path, tiny_config: Path, tiny_run: Path) -> None:
    """As on a cluster: every fold a process, started together; whichever ends last gathers."""
    arguments = [
        "cv",
        "--cohort",
        str(tiny_cohort),
        "--config",
        str(tiny_config),
        "--device",
        "cpu",
        "--json",
    ]
    jobs = [
        subprocess.Popen([PROGRAM, *arguments, "--fold", number], cwd=tmp_path, stdout=subprocess.PIPE)
        for number in ("1", "2")
    ]
    answers = [json.loads(job.communicate()[0]) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0]
    assert any(answer["complete"] for answer in answers)
    for name in ("predictions.tsv", "metrics.json", "folds.tsv", "bundle/fold-2.safetensors"):
        assert (tmp_path / "runs" / "tiny" / name).read_bytes() == (tiny_run / name).read_bytes(), name


def test_a_reader_that_stops_listening_is_no_bug(tmp_path: Path) -> None:
    """``neurofocus cohort show demo | head -1`` ends quietly."""
    listener = subprocess.Popen(
        [PROGRAM, "cohort", "show", "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert listener.stdout is not None
    assert listener.stderr is not None
    listener.stdout.close()
    error = listener.stderr.read()
    listener.stderr.close()
    listener.wait()
    assert b"Traceback" not in error
