"""Folds as jobs: submitit's local executor, and a Slurm whose commands are small scripts."""

import os
import stat
import sys
from pathlib import Path

import pytest
import submitit
import torch
from filelock import FileLock

from neurofocus.errors import ConfigError, NeurofocusError
from neurofocus.schema.load import load_run_config
from neurofocus.schema.run import RunConfig
from neurofocus.workflows import fold_jobs as module
from neurofocus.workflows.cohort.combined import CohortData
from neurofocus.workflows.cross_validate import cross_validate
from neurofocus.workflows.fold_jobs import FoldWork, JobPlan, cross_validate_in_jobs, parse_jobs, run_jobs

# sbatch runs the script in the background and remembers it; srun runs what it is given; sacct tells the state.
SBATCH = """
number=$((100 + $(ls "$STATE" | wc -l)))
touch "$STATE/$number"
script=$(sed "s/%j/$number/g; s/%t/0/g" "$1")
(SLURM_JOB_ID=$number SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_LOCALID=0 SLURM_NODEID=0 SLURM_JOB_NUM_NODES=1 \\
  SLURM_JOB_NODELIST=here bash -c "$script" > /dev/null 2>&1; echo COMPLETED > "$STATE/$number") > /dev/null 2>&1 &
echo "Submitted batch job $number"
"""
SRUN = """
while [ "${1#--}" != "$1" ]; do
  case "$1" in
    --output) out=$2; shift 2;;
    --error) error=$2; shift 2;;
    *) shift;;
  esac
done
exec "$@" > "$out" 2> "$error"
"""
SACCT = """
echo "JobID|State|NodeList"
for file in "$STATE"/*; do state=$(cat "$file"); echo "$(basename "$file")|${state:-RUNNING}|here"; done
"""


@pytest.fixture
def config(tiny_config: Path, tiny_cohort: Path) -> RunConfig:
    return load_run_config(tiny_config, [f"cohort={tiny_cohort}"])


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands of a Slurm; returns the folder with one file a job."""
    state, commands = tmp_path / "state", tmp_path / "bin"
    state.mkdir()
    commands.mkdir()
    for name, body in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT, "scancel": "true"}.items():
        path = commands / name
        path.write_text(f"#!/bin/bash\nSTATE={state}\n{body}", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    return state


@pytest.mark.slow
def test_two_local_jobs_end_with_the_predictions_of_one_process(
    config: RunConfig, tiny_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    result = cross_validate_in_jobs(config, JobPlan(2), out=out, device="cpu")
    assert result.complete
    assert (out / "predictions.tsv").read_bytes() == (tiny_run / "predictions.tsv").read_bytes()
    jobs = len(list((out / "jobs").glob("*_submitted.pkl")))
    assert jobs == 2
    again = cross_validate_in_jobs(config, JobPlan(2), out=out, device="cpu")
    assert again.metrics == result.metrics
    assert len(list((out / "jobs").glob("*_submitted.pkl"))) == jobs  # nothing was left to start


@pytest.mark.slow
def test_slurm_runs_a_job_a_fold_and_a_second_call_waits_for_it(
    config: RunConfig, tiny_run: Path, tmp_path: Path, slurm: Path
) -> None:
    out = tmp_path / "run"
    plan = JobPlan(None, {"partition": "gpu", "mem_gb": "4"})
    result = cross_validate_in_jobs(config, plan, out=out, device="cpu")
    assert result.complete
    assert (out / "predictions.tsv").read_bytes() == (tiny_run / "predictions.tsv").read_bytes()
    assert sorted(entry.name for entry in slurm.iterdir()) == ["100", "101"]
    (script, *_) = (out / "jobs").glob("*.sh")
    assert "#SBATCH --partition=gpu" in script.read_text(encoding="utf-8")
    # One fold is lost, its job still runs: the next call waits for that job and submits no other.
    (out / "fold-2" / "DONE").unlink()
    (slurm / "101").write_text("")
    result_file = out / "jobs" / "101_0_result.pkl"
    content = result_file.read_bytes()
    result_file.unlink()
    submitit.SlurmJob.watcher.clear()
    waits = _Waits(lambda: (cross_validate(config, out=out, fold=2), result_file.write_bytes(content)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neurofocus.workflows.fold_jobs.time.sleep", waits)
        assert cross_validate_in_jobs(config, plan, out=out, device="cpu").complete
    assert waits.times >= 1
    assert len(list(slurm.iterdir())) == 2


class _Waits:
    """Stands for time.sleep: ends the job at the first wait."""

    def __init__(self, end_job: object) -> None:
        self.end_job = end_job
        self.times = 0

    def __call__(self, seconds: float) -> None:
        self.times += 1
        if self.times == 1:
            assert callable(self.end_job)
            self.end_job()


@pytest.mark.slow
def test_what_a_job_cannot_do_reaches_the_caller(config: RunConfig, tmp_path: Path) -> None:
    bad = config.model_copy(deep=True, update={"train": config.train.model_copy(update={"amp": "fp16"})})
    with pytest.raises(NeurofocusError, match=r"worker 1: train\.amp: fp16 needs a CUDA device"):
        cross_validate_in_jobs(bad, JobPlan(1), out=tmp_path / "run", device="cpu")


def test_free_folds_are_taken_and_the_last_one_gathers(
    config: RunConfig, tiny_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    held = FileLock(out / "fold-1" / ".lock")
    cross_validate(config, out=out, fold=2)
    with held:
        result = cross_validate(config, out=out, fold="next")
        assert not result.complete
        assert result.message == "still to be run: fold 1 (of 2 in all)"
    assert cross_validate(config, out=out, fold="next").complete
    assert (out / "predictions.tsv").read_bytes() == (tiny_run / "predictions.tsv").read_bytes()


def test_jobs_of_one_machine_share_its_cores(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(module, "cross_validate", lambda *_, **__: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    try:
        for sharing, threads in ((1, 6), (2, 3), (4, 1), (9, 1)):
            torch.set_num_threads(6)
            assert FoldWork(config, CohortData(), Path("out"), "cpu", sharing)("next") is None
            assert seen.pop() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (None, [], None),
        ("3", [], JobPlan(3)),
        ("slurm", ["partition=gpu", "comment=a=b"], JobPlan(None, {"partition": "gpu", "comment": "a=b"})),
    ],
)
def test_plans(text: str | None, options: list[str], expected: JobPlan | None) -> None:
    assert parse_jobs(text, options) == expected


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("0", [], "--jobs '0': accepted are a number of processes"),
        ("lsf", [], "--jobs 'lsf': accepted are"),
        ("slurm", ["gpu"], "--slurm 'gpu': write it as KEY=VALUE"),
        ("2", ["partition=gpu"], "--slurm 'partition=gpu': has a meaning with --jobs slurm only"),
        (None, ["partition=gpu"], "with --jobs slurm only"),
    ],
)
def test_mistakes(text: str | None, options: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_jobs(text, options)


def test_without_slurm_or_submitit(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = FoldWork(config, CohortData(), tmp_path, "cpu")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="the command 'sbatch' is not here"):
        run_jobs(work, [1], tmp_path / "jobs", JobPlan(None))
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ConfigError, match=r"needs the package submitit; .*neurofocus\[slurm\]"):
        run_jobs(work, [1], tmp_path / "jobs", JobPlan(1))


def test_an_unknown_option_of_slurm(config: RunConfig, tmp_path: Path, slurm: Path) -> None:
    with pytest.raises(ConfigError, match=r"--slurm: unknown option .*parition"):
        run_jobs(
            FoldWork(config, CohortData(), tmp_path, "cpu"),
            [1],
            tmp_path / "jobs",
            JobPlan(None, {"parition": "x"}),
        )
