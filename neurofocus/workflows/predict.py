"""``neurofocus predict``: one scan becomes probabilities, saliency on its own grid, a picture and a page."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neurofocus import __version__
from neurofocus.data.alignment import timed
from neurofocus.data.dataset import evaluation_frames
from neurofocus.data.frames import FrameGrid, frame_grid
from neurofocus.data.preprocess import PreparedCase, named_in_template, prepare_case
from neurofocus.data.volume import Volume, read_volume, write_volume
from neurofocus.evaluation.thresholds import decide
from neurofocus.explain.overlay import write_overlay
from neurofocus.explain.projection import frame_to_world, to_scan_grid
from neurofocus.explain.saliency import METHOD, CaseSaliency, SaliencyOptions, case_saliency
from neurofocus.explain.summary import CaseSummary, ExplainedCase
from neurofocus.explain.viewer import write_viewer
from neurofocus.files import all_or_none, write_json
from neurofocus.inference.stages import whole
from neurofocus.inference.torch_stages import CaseFrames
from neurofocus.workflows.bundle import ModelBundle
from neurofocus.workflows.exit_budget import BudgetedAnswer, ExitBudget, answer_within, exit_budget
from neurofocus.workflows.runtime import load_for_prediction

__all__ = ["Prediction", "predict", "predict_volume"]

_LOGGER = logging.getLogger("neurofocus.workflows")
_SYNTHETIC = "SYNTHETIC: the model was trained on simulated disease; its answer says nothing about a person"


@dataclass(frozen=True)
class Prediction:
    """The answer for one scan.

    Attributes:
        predicted: the class.
        probabilities: mean of the fold models, class -> probability, in class order.
        document: the content of STEM_prediction.json.
        explained: scan, frames and saliency, as the files show them.
        files: what was written, by kind; empty if nothing was.
        budgeted: what was spent of a budget; None without one.
        seconds: what each stage took, by name; reading the scan and the bundle not counted.
    """

    predicted: str
    probabilities: dict[str, float]
    document: dict[str, Any]
    explained: ExplainedCase
    files: dict[str, Path]
    budgeted: BudgetedAnswer | None
    seconds: dict[str, float]

    def summary_lines(self) -> list[str]:
        """Return the few lines a person reads."""
        shown = ", ".join(f"{name} {value:.3f}" for name, value in self.probabilities.items())
        lines = [f"{self.explained.summary.title}: {self.predicted}  ({shown})"]
        lines += [f"  warning: {line}" for line in self.document["warnings"]]
        if self.budgeted is not None:
            lines.append(f"  {'budget':<10} {self.budgeted.line()}")
        return lines + [f"  {kind:<10} {path}" for kind, path in self.files.items()]


def predict(
    path: str | Path,
    model: str | Path | ModelBundle | None = None,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    budget: float | None = None,
    runtime: str = "torch",
) -> Prediction:
    """Predict one scan.

    Args:
        path: .nii .nii.gz .mgz .nrrd, Analyze .hdr/.img, or a DICOM folder.
        model: a bundle or its folder; none: the small SYNTHETIC bundle that ships with the package.
        out: where the files go; none: nothing is written.
        device: auto, cpu, cuda or cuda:N.
        budget: 1e9 multiply-adds to spend on a scan on average, by all fold models together; none: no limit.
        runtime: torch, onnx or openvino: what answers; a bundle that is loaded already keeps its own.

    Raises:
        VolumeError: the scan is not acceptable.
        BundleError: the bundle is not acceptable.
        ConfigError: the bundle cannot keep to the budget.
    """
    bundle = model if isinstance(model, ModelBundle) else load_for_prediction(model, device, runtime)
    exits = None if budget is None else exit_budget(bundle, budget)
    return predict_volume(
        read_volume(Path(path)), bundle, out=None if out is None else Path(out), exits=exits
    )


def predict_volume(
    volume: Volume, bundle: ModelBundle, *, out: Path | None, exits: ExitBudget | None = None
) -> Prediction:
    """Predict one scan that was read already; see ``predict``.

    With exits, saliency explains the exit steps that answered: what no model looked at has none.
    """
    config = bundle.manifest.config
    grid = frame_grid(config.prepare, config.model.frame_size)
    case = prepare_case(volume, config.prepare, grid, in_template=named_in_template(volume.stem))
    seconds = dict(case.seconds)
    frames, positions = evaluation_frames(case.frames, config.model.num_frames)
    batch = frames.unsqueeze(0).to(next(bundle.models[0].parameters()).device)
    with timed(seconds, "answer"):
        probabilities, budgeted = _answer(bundle, batch, exits)
    target = int(decide(probabilities[None], bundle.threshold)[0])
    options = SaliencyOptions(looks=None if budgeted is None else budgeted.looks)
    with timed(seconds, "saliency"):
        saliency = case_saliency(bundle.models, batch, positions, grid, target=target, options=options)
        on_scan = to_scan_grid(
            saliency.volume, grid, case.world_to_template, volume.array.shape, volume.affine
        )
    explained = ExplainedCase(
        summary=_summary(volume, case, bundle, probabilities=probabilities, target=target, budgeted=budgeted),
        scan=volume,
        scan_saliency=on_scan,
        frames=case.frames,
        grid=grid,
        saliency=saliency,
    )
    document = _document(explained, case, bundle)
    if budgeted is not None:
        document["exits"] = budgeted.document()
    with timed(seconds, "files"):
        files = {} if out is None else _write(out, explained, document)
    _LOGGER.debug("seconds: %s", ", ".join(f"{stage} {spent:.2f}" for stage, spent in seconds.items()))
    predicted, shown = explained.summary.predicted, dict(explained.summary.probabilities)
    return Prediction(predicted, shown, document, explained, files, budgeted, seconds)


def _answer(
    bundle: ModelBundle, batch: Tensor, exits: ExitBudget | None
) -> tuple[NDArray[np.float64], BudgetedAnswer | None]:
    """Return the mean probabilities of the fold models, [K], and what was spent of a budget."""
    if exits is None:
        answers = [whole(network, CaseFrames(batch))[0] for network in bundle.networks]
        return np.mean(answers, axis=0), None
    budgeted = answer_within(exits, bundle, batch)
    return budgeted.probabilities, budgeted


def _summary(
    volume: Volume,
    case: PreparedCase,
    bundle: ModelBundle,
    *,
    probabilities: NDArray[np.float64],
    target: int,
    budgeted: BudgetedAnswer | None,
) -> CaseSummary:
    manifest = bundle.manifest
    whole = manifest.gflops_per_model * len(bundle.models)
    warnings = ((_SYNTHETIC,) if manifest.synthetic else ()) + case.warnings
    return CaseSummary(
        title=volume.stem,
        predicted=manifest.classes[target],
        probabilities=dict(zip(manifest.classes, map(float, probabilities), strict=True)),
        explained=manifest.classes[target],
        gflops=whole if budgeted is None else budgeted.gflops,
        model={
            "name": manifest.name,
            "fold models": str(len(bundle.models)),
            "made": manifest.created,
            "bundle SHA-256": bundle.sha256,
            "neurofocus": __version__,
            **({"runtime": bundle.exported[0].runtime} if bundle.exported else {}),
            **({} if budgeted is None else {"budget": budgeted.line()}),
        },
        warnings=warnings,
        synthetic=manifest.synthetic,
        intended_use=manifest.intended_use,
    )


def _document(explained: ExplainedCase, case: PreparedCase, bundle: ModelBundle) -> dict[str, Any]:
    """Return the content of STEM_prediction.json; it names no person and no folder."""
    summary, manifest = explained.summary, bundle.manifest
    return {
        "predicted": summary.predicted,
        "probabilities": dict(summary.probabilities),
        "threshold": bundle.threshold,
        "synthetic": manifest.synthetic,
        "intended_use": manifest.intended_use,
        "gflops": summary.gflops,
        "gflops_unit": "1e9 multiply-adds, all fold models",
        "frames": _frames(explained.saliency, explained.grid, case),
        "saliency": {"method": METHOD, "explains": summary.explained, "units": "arbitrary, 0 to 1"},
        "quality": {name: round(float(value), 6) for name, value in case.quality.items()},
        "warnings": list(summary.warnings),
        "model": {
            "name": manifest.name,
            "created": manifest.created,
            "sha256": bundle.sha256,
            "fold_models": len(bundle.models),
            **({"runtime": bundle.exported[0].runtime} if bundle.exported else {}),
            "classes": list(manifest.classes),
            "synthetic": manifest.synthetic,
            "cross_validation": manifest.metrics.get("pooled", {}),
            "versions": manifest.provenance.get("versions", {}),
        },
    }


def _frames(saliency: CaseSaliency, grid: FrameGrid, case: PreparedCase) -> list[dict[str, Any]]:
    """Return every fold model's focus frames with their boxes in the scan's world millimetres (RAS+)."""
    found = []
    for number, model in enumerate(saliency.per_model, start=1):
        boxes = frame_to_world(model.frames, model.boxes, grid, case.world_to_template)
        template = frame_to_world(model.frames, model.boxes, grid)
        for position, box in enumerate(boxes):
            found.append(
                {
                    "fold_model": number,
                    "frame": int(model.frames[position]),
                    "weight": float(model.weights[position]),
                    "relevance": float(model.relevance[position]),
                    "center_mm": _rounded(box.center),
                    "corners_mm": [_rounded(corner) for corner in box.corners],
                    "template_center_mm": _rounded(template[position].center),
                }
            )
    return found


def _rounded(point: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 2) for value in point]


def _write(out: Path, explained: ExplainedCase, document: dict[str, Any]) -> dict[str, Path]:
    stem = explained.summary.title
    files = {
        "prediction": out / f"{stem}_prediction.json",
        "saliency": out / f"{stem}_desc-saliency_map.nii.gz",
        "overlay": out / f"{stem}_overlay.png",
        "report": out / f"{stem}_report.html",
    }
    with all_or_none(files.values(), files["prediction"]):
        write_volume(files["saliency"], explained.scan_saliency, explained.scan.affine)
        write_overlay(files["overlay"], explained)
        write_viewer(files["report"], explained, files["overlay"])
        write_json(files["prediction"], document)
    return files
