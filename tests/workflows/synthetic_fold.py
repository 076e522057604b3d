"""A tiny SYNTHETIC fold job that is learned in seconds."""

from pathlib import Path

import numpy as np
import pandas as pd

from neurofocus.schema.load import load_run_config
from neurofocus.schema.search import SearchSpace
from neurofocus.workflows.folds.fold import run_fold
from neurofocus.workflows.folds.job import FoldJob
from neurofocus.workflows.search.search import FoldSearch, search_fold

SPACE = SearchSpace.model_validate(
    {
        "space": {
            "train.learning_rates.global_encoder": {"low": 1e-4, "high": 1e-2, "log": True},
            "train.batch_size": {"low": 6, "high": 9, "whole": True},
            "augment.probability": {"choices": [0.0, 0.5]},
        }
    }
)
SIZES = {"train": 32, "validation": 12, "test": 12}


def make_job(*overrides: str) -> FoldJob:
    """Return a job whose class 1 has a bright square at a random place of the middle frames."""
    config = load_run_config(Path(__file__).with_name("tiny.yaml"), list(overrides))
    rng = np.random.default_rng(0)
    roles = [role for role, size in SIZES.items() for _ in range(size)]
    labels = [number % 2 for number in range(len(roles))]
    frames = []
    for label in labels:
        case = rng.normal(size=(8, 32, 32)).astype(np.float32)
        row, column = rng.integers(6, 18, size=2)
        case[:, row : row + 8, column : column + 8] += 2.0 * label
        case[:, :3], case[:, -3:], case[:, :, :3], case[:, :, -3:] = 0, 0, 0, 0
        frames.append(case)
    cases = pd.DataFrame(
        {
            "participant_id": [f"sub-SIM{number:03d}" for number in range(len(roles))],
            "session_id": "n/a",
            "label": labels,
            "role": roles,
        }
    )
    return FoldJob(config, 2, ("healthy", "disease"), cases, frames, np.diag([3.0, 2.0, 2.0, 1.0]))


def run(folder: Path, overrides: list[str]) -> None:
    """Run the job; for a child process that a test kills."""
    run_fold(make_job(*overrides), folder)


def search(folder: Path, trials: int, epochs: int, space: SearchSpace = SPACE) -> None:
    """Take part in a search over the job; for child processes, one of which a test kills."""
    job = make_job(f"train.epochs={epochs}", "threads=1")
    search_fold(FoldSearch(job, space, trials=trials, folder=folder))
