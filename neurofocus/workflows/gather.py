"""All folds are done: predictions.tsv, metrics.json, bundle/ and report.html from what they left."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.torch import load_file

from neurofocus.data.dataset import evaluation_frames
from neurofocus.data.frames import FrameGrid, frame_grid
from neurofocus.data.preprocess import PreparedCase
from neurofocus.evaluation.summary import summarise
from neurofocus.files import sha256_file, write_json
from neurofocus.schema.bundle import BundleManifest, FoldEntry
from neurofocus.schema.model import without_initial_weights
from neurofocus.schema.run import RunConfig
from neurofocus.simulate.cohort import bayes_ceiling
from neurofocus.tables import write_tsv
from neurofocus.training.inference import predict_frames
from neurofocus.workflows.bundle import INTENDED_USE, ModelBundle, load_bundle, pack_weights, save_bundle
from neurofocus.workflows.cohort.setup import CohortSetup
from neurofocus.workflows.exit_curves import exit_curves
from neurofocus.workflows.exit_seconds import read_exit_seconds
from neurofocus.workflows.folds.record import BEST_WEIGHTS, FoldResult
from neurofocus.workflows.report.notes import beside_expectations
from neurofocus.workflows.report.report import Example, ReportData, write_report

__all__ = ["gather", "scored_rows"]

_EXAMPLES = 4
_KEYS = ["participant_id", "session_id"]  # a scan
_THRESHOLD_RULE = (
    "binary: the threshold with the best balanced accuracy on the inner validation part; else argmax"
)
# What lies at the left, right, bottom and top edge of a frame (data.frames: neurological display).
_LETTERS = {"coronal": ("L", "R", "I", "S"), "axial": ("L", "R", "P", "A"), "sagittal": ("A", "P", "I", "S")}
_WORLD_AXIS = {"coronal": "y", "axial": "z", "sagittal": "x"}


def gather(
    out: Path,
    record: dict[str, Any],
    config: RunConfig,
    setup: CohortSetup,
    *,
    cases: Sequence[PreparedCase],
    results: Sequence[FoldResult],
) -> dict[str, Any]:
    """Write everything that needs all folds and return the content of metrics.json.

    Args:
        out: the run folder.
        record: what run.json holds.
        config: of the run.
        setup: the cohort and its folds.
        cases: prepared scans in the table's order, for the example pictures and warnings.
        results: every fold.
    """
    predictions = pd.concat([result.predictions for result in results], ignore_index=True)
    predictions = predictions.sort_values(["participant_id", "session_id"], ignore_index=True)
    write_tsv(out / "predictions.tsv", predictions)
    simulated = setup.spec.simulation is not None and (setup.root / "truth").is_dir()
    metrics = summarise(
        predictions,
        tuple(setup.spec.classes),
        threshold_rule=_THRESHOLD_RULE,
        synthetic=setup.synthetic,
        bayes_ceiling=bayes_ceiling(setup.root) if simulated else None,
        seed=config.seed,
    )
    metrics["exits"] = exit_curves(results, tuple(setup.spec.classes), config.exit, seed=config.seed)
    metrics["expectations"] = beside_expectations(metrics, setup.spec.expectations)
    write_json(out / "metrics.json", metrics)
    provenance = _provenance(out, record, config, results)
    bundle = _write_bundle(
        out / "bundle", config, setup, metrics=metrics, results=results, provenance=provenance
    )
    report = ReportData(
        title=f"Cross-validation of {setup.spec.name}",
        spec=setup.spec,
        metrics=metrics,
        predictions=predictions,
        cohort=setup.table,
        folds=setup.folds.frame,
        flow=setup.cohort.flow,
        provenance=provenance,
        config=config.model_dump(mode="json"),
        examples=_examples(config, setup, bundle, cases=cases, predictions=predictions),
        exit_seconds=read_exit_seconds(out, config),
        warnings=[
            *(finding.text for finding in setup.checks.warnings),
            *setup.cohort.warnings,
            *_case_warnings(setup, cases),
        ],
    )
    write_report(out / "report.html", report)
    return metrics


def scored_rows(results: Sequence[FoldResult], table: pd.DataFrame) -> list[list[int]]:
    """Return of each fold's test scans, in the order of its predictions, the places in the cohort's table."""
    places = table[_KEYS].reset_index(drop=True).reset_index()
    return [result.predictions[_KEYS].merge(places, on=_KEYS)["index"].tolist() for result in results]


def _provenance(
    out: Path, record: dict[str, Any], config: RunConfig, results: Sequence[FoldResult]
) -> dict[str, Any]:
    return {
        "cohort": config.cohort,
        "seed": config.seed,
        "created": record["created"],
        "config_sha256": record["config_sha256"],
        "folds_sha256": sha256_file(out / "folds.tsv"),
        "predictions_sha256": sha256_file(out / "predictions.tsv"),
        "threads": sorted({result.validation["threads"] for result in results}),
        "devices": sorted({result.validation["device"] for result in results}),
        "best_epochs": [result.validation["best_epoch"] for result in results],
        **record["provenance"],
    }


def _write_bundle(
    folder: Path,
    config: RunConfig,
    setup: CohortSetup,
    *,
    metrics: dict[str, Any],
    results: Sequence[FoldResult],
    provenance: dict[str, Any],
) -> ModelBundle:
    manifest = BundleManifest(
        name=setup.spec.name,
        created=provenance["created"],
        synthetic=setup.synthetic,
        intended_use=INTENDED_USE,
        classes=tuple(setup.spec.classes),
        # Where the encoders' first weights lay is nobody's business, and prediction needs none.
        config=config.model_copy(update={"model": without_initial_weights(config.model)}),
        folds=tuple(
            FoldEntry(
                file=f"fold-{result.fold}.safetensors",
                sha256="0" * 64,
                threshold=result.threshold,
                exits=result.exits,
            )
            for result in results
        ),
        gflops_per_model=float(results[0].validation["gflops"]),
        metrics=metrics,
        provenance=provenance,
    )
    weights = [
        pack_weights(load_file(result.folder / BEST_WEIGHTS), config.bundle.weights) for result in results
    ]
    if folder.exists():  # of an earlier gathering: the same folds, made again
        shutil.rmtree(folder)
    save_bundle(folder, manifest, weights)
    return load_bundle(folder)


def _examples(
    config: RunConfig,
    setup: CohortSetup,
    bundle: ModelBundle,
    *,
    cases: Sequence[PreparedCase],
    predictions: pd.DataFrame,
) -> list[Example]:
    """Return a few test scans as their own fold's model saw them: of every class the first in the table."""
    grid = frame_grid(config.prepare, config.model.frame_size)
    table = setup.table.reset_index(drop=True)
    rows = table[_KEYS].reset_index().merge(predictions, on=_KEYS).sort_values(["label", "index"])
    per_class = max(1, _EXAMPLES // len(setup.spec.classes))
    return [
        _example(config, bundle, grid, frames=cases[int(row["index"])].frames, row=row)
        for _, row in rows.groupby("label", sort=True).head(per_class).iterrows()
    ]


def _example(
    config: RunConfig,
    bundle: ModelBundle,
    grid: FrameGrid,
    *,
    frames: NDArray[np.float32],
    row: "pd.Series[Any]",
) -> Example:
    model = bundle.models[int(row["fold"]) - 1]
    shown, positions = evaluation_frames(frames, config.model.num_frames)
    _, output = predict_frames(model, shown.unsqueeze(0))
    chosen = positions[output.frame_indices[0].numpy()]
    axis = config.prepare.axis
    world = int(np.argmax(np.abs(grid.affine[:3, 0])))
    return Example(
        participant_id=str(row["participant_id"]),
        label=str(row["label"]),
        predicted=str(row["predicted"]),
        probability=float(row[f"prob_{row['predicted']}"]),
        frames=frames[chosen],
        boxes=output.boxes[0].numpy(),
        positions_mm=[float(grid.affine[world, 3] + grid.affine[world, 0] * index) for index in chosen],
        axis=_WORLD_AXIS[axis],
        letters=_LETTERS[axis],
    )


def _case_warnings(setup: CohortSetup, cases: Sequence[PreparedCase]) -> list[str]:
    names = setup.table["participant_id"]
    return [
        f"{name}: {warning}" for name, case in zip(names, cases, strict=True) for warning in case.warnings
    ]
