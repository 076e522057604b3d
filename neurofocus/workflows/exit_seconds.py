"""What early exit saves on the clock, on the test scans of a cross-validation: exit_seconds.json."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurofocus.data.dataset import evaluation_frames
from neurofocus.files import sha256_file, write_json
from neurofocus.inference.optimise import optimised
from neurofocus.inference.torch_stages import CaseFrames
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.run import RunConfig
from neurofocus.training.reproducible import reproducible
from neurofocus.workflows.bundle import ModelBundle
from neurofocus.workflows.exit_curves import budget_places, rule_at
from neurofocus.workflows.exit_run import clock, ladder_ways, run_ways
from neurofocus.workflows.folds.record import FoldResult

__all__ = ["FoldFrames", "read_exit_seconds", "time_folds", "write_exit_seconds"]

_FILE = "exit_seconds.json"
FoldFrames = Sequence[npt.NDArray[np.float32]]


def time_folds(
    bundle: ModelBundle, results: Sequence[FoldResult], frames: Sequence[FoldFrames]
) -> dict[str, Any]:
    """Run every fold's test scans with each budget of the curves and to each fixed length, in turn.

    Args:
        bundle: of the run, on the device to time.
        results: every fold.
        frames: of each fold's test scans, as prepared, [S, H, W] each.

    Returns:
        "conditional": seconds a scan and model, one figure a budget from the cheapest to the dearest; "fixed": one a
        step; and how they were measured.
    """
    config = bundle.manifest.config
    threads = config.threads or torch.get_num_threads()
    rows = []
    with reproducible(threads=threads, deterministic=config.train.deterministic):
        for model, result, scans in zip(bundle.models, results, frames, strict=True):
            rules = [rule_at(result.exits, place)[1] for place in budget_places(config.exit, result.exits)]
            cases = (
                CaseFrames(evaluation_frames(scan, config.model.num_frames)[0].unsqueeze(0)) for scan in scans
            )
            fast, ways = optimised(model), ladder_ways(result.exits, rules)
            assert isinstance(fast, UniAdaFocus)
            runs = run_ways(fast, cases, ways, batch_size=config.train.batch_size)
            rows.append([run.seconds for run in runs])
        measured = clock(next(bundle.models[0].parameters()).device, config.train.batch_size)
    means = np.average(rows, axis=0, weights=[len(scans) for scans in frames]).tolist()
    number = len(budget_places(config.exit, results[0].exits))
    return {
        "conditional": means[:number],
        "fixed": means[number:],
        "unit": "seconds a scan and model, model only, without reading and preparing",
        **measured,
    }


def write_exit_seconds(out: Path, config: RunConfig, seconds: Mapping[str, Any]) -> None:
    """Keep the seconds of a run, with what they belong to."""
    write_json(out / _FILE, {**_belongs_to(out, config), **seconds})


def read_exit_seconds(out: Path, config: RunConfig) -> dict[str, Any] | None:
    """Return the seconds of a run; None where there are none of these predictions and exits."""
    if not (out / _FILE).is_file():
        return None
    found: dict[str, Any] = json.loads((out / _FILE).read_text(encoding="utf-8"))
    return found if _belongs_to(out, config).items() <= found.items() else None


def _belongs_to(out: Path, config: RunConfig) -> dict[str, Any]:
    return {
        "predictions_sha256": sha256_file(out / "predictions.tsv"),
        "exit": config.exit.model_dump(mode="json"),
    }
