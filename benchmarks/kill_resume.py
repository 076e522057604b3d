"""Does a killed cross-validation end as an uninterrupted one? Kills ``neurofocus cv`` with SIGKILL and compares.

Usage: python benchmarks/kill_resume.py --cohort demo --kills 10 --seed 0 [--config FILE] [--set A.B=VALUE]…
       [--at simulation training …] [--work DIR]

One run is left alone (the reference). Then runs with a cache of their own are killed, with their whole process
group, at random moments (uniform over a quarter of the reference's duration after each start, so that a run is
killed several times, ever further on), and started again until they end; a new run begins until enough kills are
spent. ``--at`` kills shortly after a stage was first seen instead. Every kill is followed by a look at every
checkpoint. Prints one JSON document; exit code 1 if anything differs, is damaged or left behind. Linux and macOS.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from neurofocus.errors import BundleError
from neurofocus.files import sha256_file
from neurofocus.training.checkpoint import read_checkpoint

STAGES = ("start", "simulation", "preparation", "training", "gathering")
COMPARED = ("predictions.tsv", "metrics.json", "folds.tsv", "cohort.tsv", "bundle/fold-1.safetensors")
POLL_SECONDS = 0.02
PARTIAL = ".nf-partial"
_STARTS = 4  # about how often a run is killed before it ends


@dataclass
class Trial:
    """One run folder with its own cache, and what was seen of it."""

    folder: Path
    arguments: list[str]
    stages: list[str] = field(default_factory=list)

    @property
    def out(self) -> Path:
        return self.folder / "run"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def stage(self) -> str:
        """Tell from the files where the run stands."""
        folds = [path for path in self.out.glob("fold-*") if path.is_dir()]
        if folds:
            unfinished = [path for path in folds if not (path / "DONE").exists()]
            expected = json.loads((self.out / "run.json").read_text(encoding="utf-8"))["config"]["data"][
                "folds"
            ]
            return "training" if unfinished or len(folds) < expected else "gathering"
        if (self.out / "folds.tsv").exists():
            return "preparation"
        if any(self.cache.glob("simulated/.*.work/*.json")):
            return "simulation"
        return "start"

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start the command in a process group of its own; end the group with the block."""
        environment = {**os.environ, "NEUROFOCUS_CACHE": str(self.cache)}
        program = str(Path(sys.executable).with_name("neurofocus"))  # the environment need not be activated
        command = [program, "cv", "--out", str(self.out), "--device", "cpu", *self.arguments]
        with (self.folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):  # it has ended, and nobody of its group is left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def run(self, *, kill_when: Callable[[float], bool] | None = None) -> int | None:
        """Run to the end and return the exit code, or kill when told to and return None."""
        start = time.monotonic()
        with self.started() as process:
            while process.poll() is None:
                if kill_when is not None and kill_when(time.monotonic() - start):
                    return None
                time.sleep(POLL_SECONDS)
            return process.returncode

    def damaged(self) -> list[str]:
        """Return the checkpoints that cannot be read; an interrupted writer must not leave any."""
        found = []
        for path in self.out.glob("fold-*/last.safetensors"):
            try:
                read_checkpoint(path)
            except BundleError as error:
                found.append(str(error))
        for path in self.out.glob("fold-*/best.safetensors"):
            try:
                load_file(path)
            except SafetensorError as error:
                found.append(f"{path}: {error}")
        return found

    def leftovers(self) -> list[str]:
        """Return temporary files and folders that outlived the finished run."""
        roots = [self.out, self.cache]
        hidden = [path for root in roots for path in root.rglob(f".*{PARTIAL}.*")]
        unfinished = [*self.cache.glob("simulated/.*.work"), *self.cache.glob("simulated/.*.building")]
        return [str(path.relative_to(self.folder)) for path in [*hidden, *unfinished]]


def kill_rule(
    trial: Trial, rng: random.Random, duration: float, stage: str | None
) -> Callable[[float], bool]:
    """Return when to kill: at a random moment, or shortly after a stage was first seen."""
    if stage is None:
        moment = rng.uniform(0.0, duration / _STARTS)
        return lambda elapsed: elapsed >= moment
    delay, seen = rng.uniform(0.0, 0.3), [0.0]

    def rule(elapsed: float) -> bool:
        if not seen[0] and STAGES.index(trial.stage()) >= STAGES.index(stage):
            seen[0] = elapsed
        return bool(seen[0]) and elapsed >= seen[0] + delay

    return rule


def killed_run(
    trial: Trial, rng: random.Random, duration: float, *, kills: int, at: list[str]
) -> tuple[list[dict[str, Any]], int]:
    """Kill one run up to ``kills`` times, then let it end; return the kills and the exit code."""
    done: list[dict[str, Any]] = []
    while len(done) < kills:
        start = time.monotonic()
        stage = at[len(done)] if at else None
        code = trial.run(kill_when=kill_rule(trial, rng, duration, stage))
        if code is not None:
            return done, code
        after = round(time.monotonic() - start, 2)
        done.append(
            {"run": trial.folder.name, "after_s": after, "stage": trial.stage(), "damaged": trial.damaged()}
        )
        print(f"killed {done[-1]}", file=sys.stderr)
    code = trial.run()
    return done, -1 if code is None else code


def compare(reference: Trial, trial: Trial) -> list[str]:
    """Return the files that differ from the reference, byte by byte."""
    return [
        name
        for name in COMPARED
        if not (trial.out / name).is_file()
        or sha256_file(trial.out / name) != sha256_file(reference.out / name)
    ]


def check(work: Path, arguments: list[str], *, kills: int, at: list[str], seed: int) -> dict[str, Any]:
    """Run the reference and the killed runs; return what is printed."""
    rng = random.Random(seed)
    reference = make_trial(work, "reference", arguments)
    start = time.monotonic()
    if reference.run() != 0:
        raise SystemExit(
            f"the uninterrupted run failed: {(reference.folder / 'log.txt').read_text()[-2000:]}"
        )
    duration = time.monotonic() - start
    spent: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    while len(spent) < kills:
        trial = make_trial(work, f"run-{len(runs) + 1}", arguments)
        done, code = killed_run(trial, rng, duration, kills=kills - len(spent), at=at[len(spent) :])
        spent += done
        runs.append(
            {
                "run": trial.folder.name,
                "kills": len(done),
                "exit_code": code,
                "different": compare(reference, trial) if code == 0 else list(COMPARED),
                "damaged": trial.damaged(),
                "leftovers": trial.leftovers(),
            }
        )
    problems = [
        run for run in runs if run["exit_code"] or run["different"] or run["damaged"] or run["leftovers"]
    ]
    return {
        "identical": not problems and not any(kill["damaged"] for kill in spent),
        "uninterrupted_s": round(duration, 1),
        "predictions_sha256": sha256_file(reference.out / "predictions.tsv"),
        "kills": spent,
        "runs": runs,
    }


def make_trial(work: Path, name: str, arguments: list[str]) -> Trial:
    folder = work / name
    folder.mkdir(parents=True)
    return Trial(folder, arguments)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cohort", default="demo")
    parser.add_argument("--config")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at", nargs="+", choices=STAGES, default=[], help="a stage for each of the kills")
    parser.add_argument("--work", type=Path, help="keep everything here; default: a temporary folder")
    given = parser.parse_args()
    if given.at and len(given.at) != given.kills:
        parser.error("--at needs one stage a kill")
    arguments = ["--cohort", given.cohort, *(["--config", given.config] if given.config else [])]
    arguments += [part for override in given.overrides for part in ("--set", override)]
    work = given.work or Path(tempfile.mkdtemp(prefix="kill-resume-"))
    try:
        result = check(work, arguments, kills=given.kills, at=given.at, seed=given.seed)
    finally:
        if given.work is None:
            shutil.rmtree(work, ignore_errors=True)
    print(json.dumps(result, indent=2))
    return 0 if result["identical"] else 1


if __name__ == "__main__":
    sys.exit(main())
