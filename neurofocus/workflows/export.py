"""``neurofocus export``: a bundle's models as ONNX files, checked against the models before anything is left behind."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from neurofocus.data.video.augment import MEAN_AND_DEVIATION
from neurofocus.errors import BundleError, ConfigError, NeurofocusError
from neurofocus.files import atomic_folder, mendable, sha256_file, write_json
from neurofocus.inference.agreement import TOLERANCE, agreement_line, agrees, compare, write_answers
from neurofocus.inference.graph_files import MANIFEST, open_graph
from neurofocus.inference.onnx_export import OPSET, export_graphs, known_answers, require_exporter
from neurofocus.inference.onnx_stages import ExitGraphs, OnnxStages
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.export import ExportFile, ExportManifest, FoldGraphs
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.bundle import read_bundle

__all__ = ["export_onnx"]

_PACKAGES = ("neurofocus", "torch", "onnx", "onnxscript", "onnxruntime")


def export_onnx(
    bundle: Path,
    out: Path,
    *,
    cases: int = 50,
    seed: int = 0,
    tell: Callable[[str], None] = lambda line: None,
) -> ExportManifest:
    """Export every fold model of a bundle, for scans or videos.

    Args:
        bundle: its folder.
        out: the folder to make; must not be there.
        cases: random ones on which model and files are compared, a fold.
        seed: of those cases.
        tell: is given a line about every fold.

    Raises:
        BundleError: the bundle is not acceptable.
        ConfigError: ``out`` is there, or a package is missing.
        NeurofocusError: the files do not agree with the model; nothing is left behind.
    """
    if out.exists():
        raise ConfigError(f"--out {out}: is already there; give a folder that is not, or remove it")
    require_exporter()
    manifest, models = read_bundle(bundle)
    with atomic_folder(out) as temporary, mendable(out):
        folds = []
        for number, model in enumerate(models, start=1):
            if not isinstance(model, UniAdaFocus):
                raise BundleError(
                    f"{bundle}: holds the baseline {model.kind}, which has no stages to export; give a bundle of Uni-AdaFocus"
                )
            found = _export_fold(temporary, number, model, cases=cases, seed=seed)
            tell(agreement_line(number, found.agreement))
            folds.append(found)
        complete = ExportManifest(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            opset=OPSET,
            bundle=manifest,
            folds=tuple(folds),
            preprocessing=_preprocessing(manifest.config),
            versions={name: version(name) for name in _PACKAGES},
        )
        write_json(temporary / MANIFEST, complete.model_dump(mode="json"))
    return complete


def _export_fold(folder: Path, number: int, model: UniAdaFocus, *, cases: int, seed: int) -> FoldGraphs:
    place = folder / f"fold-{number}"
    place.mkdir()
    paths = export_graphs(model, place)
    answers = known_answers(model, cases=cases, seed=seed)
    write_answers(place / "answers.npz", answers)
    graphs = ExitGraphs(*(open_graph(path, runtime="onnx") for path in paths))
    found = compare(OnnxStages(graphs, model.config), answers, runtime="onnx")
    if not agrees(found, model.config):
        raise NeurofocusError(
            f"export: the files do not agree with the model ({agreement_line(number, found)}; accepted are equal frames "
            f"and probabilities within {TOLERANCE:g}); nothing was written: try other versions of onnxscript and "
            "onnxruntime, or report it"
        )
    glance, decide, focus, classifier, known = (
        ExportFile(file=f"{place.name}/{path.name}", sha256=sha256_file(path))
        for path in (*paths, place / "answers.npz")
    )
    return FoldGraphs(
        glance=glance, decide=decide, focus=focus, classifier=classifier, answers=known, agreement=found
    )


def _preprocessing(config: RunConfig) -> dict[str, Any]:
    """Return what the frames are made of; every number is the configuration's."""
    model = config.model
    group = model.num_frames // model.num_glance_frames
    shared = model.streams == "shared"
    facts: dict[str, Any] = {
        "frames": [model.num_frames, model.frame_channels, model.frame_size, model.frame_size],
        "layout": "frame, channel, row, column; float32",
        "boxes": "x and y of the centre, height, width; pixels of the frame from its top left corner",
        "glance_frames": list(range(group // 2, model.num_frames, group))
        if shared
        else "sampled on their own",
    }
    if config.dataset is None:
        low, high = config.prepare.clip_percentiles
        return facts | {
            "kind": "scan",
            "steps": [
                "N4 bias correction" if config.prepare.bias_correction else "no bias correction",
                f"registration to MNI152: {config.prepare.registration}",
                f"brain mask: {config.prepare.brain_mask}",
                f"{config.prepare.axis} slices every {config.prepare.slice_spacing_mm:g} mm",
                f"pixels of {config.prepare.pixel_mm:g} mm",
                f"inside the mask: clipped at percentiles {low:g} and {high:g}, then mean 0 and deviation 1; outside 0",
                "the middle slice of each of num_frames equal parts",
            ],
            "prepare": config.prepare.model_dump(mode="json"),
        }
    mean, deviation = MEAN_AND_DEVIATION[config.video.normalisation]
    return facts | {
        "kind": "video",
        "steps": [
            "num_frames spread evenly over the clip",
            "short side resized, centre crop",
            "(x / 255 - mean) / deviation",
        ],
        "mean": list(mean),
        "deviation": list(deviation),
        "video": config.video.model_dump(mode="json"),
    }
