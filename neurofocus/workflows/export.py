"""``neurofocus export``: a bundle's models as ONNX files, checked against the models before anything is left behind."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from neurofocus.data.video.augment import MEAN_AND_DEVIATION
from neurofocus.errors import BundleError, ConfigError, NeurofocusError
from neurofocus.files import atomic_folder, mendable, sha256_file, write_json
from neurofocus.inference.agreement import TOLERANCE, compare_graphs
from neurofocus.inference.graph_files import MANIFEST, open_graph
from neurofocus.inference.onnx_export import OPSET, export_graphs
from neurofocus.inference.onnx_stages import ExitGraphs
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.bundle import BundleManifest, FoldEntry
from neurofocus.schema.export import Agreement, ExportManifest, FoldGraphs, GraphFile
from neurofocus.schema.run import RunConfig
from neurofocus.workflows.bundle import read_bundle

__all__ = ["agreement_line", "export_onnx"]

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
    manifest, models = read_bundle(bundle)
    with atomic_folder(out) as temporary, mendable(out):
        folds = []
        for number, (entry, model) in enumerate(zip(manifest.folds, models, strict=True), start=1):
            if not isinstance(model, UniAdaFocus):
                raise BundleError(
                    f"{bundle}: holds the baseline {model.kind}, which has no stages to export; give a bundle of Uni-AdaFocus"
                )
            found = _export_fold(temporary, number, entry, model, cases=cases, seed=seed)
            tell(agreement_line(number, found.agreement))
            folds.append(found)
        complete = _manifest(manifest, tuple(folds))
        write_json(temporary / MANIFEST, complete.model_dump(mode="json"))
    return complete


def agreement_line(number: int, found: Agreement) -> str:
    """Return one line on how a fold's files compare with its model."""
    return (
        f"fold {number}: {found.equal_frames:.1%} of {found.cases} cases with equal frames; largest difference "
        f"{found.probability_difference:.1e} of a probability, {found.box_difference:.1e} pixels of a box"
    )


def _export_fold(
    folder: Path, number: int, entry: FoldEntry, model: UniAdaFocus, *, cases: int, seed: int
) -> FoldGraphs:
    place = folder / f"fold-{number}"
    place.mkdir()
    paths = export_graphs(model, place)
    graphs = ExitGraphs(*(open_graph(path, runtime="onnx") for path in paths))
    found = compare_graphs(model, graphs, runtime="onnx", cases=cases, seed=seed)
    _refuse_disagreement(number, found, model)
    files = [GraphFile(file=f"{place.name}/{path.name}", sha256=sha256_file(path)) for path in paths]
    return FoldGraphs(
        glance=files[0],
        decide=files[1],
        focus=files[2],
        classifier=files[3],
        threshold=entry.threshold,
        exits=getattr(entry, "exits", None),
        agreement=found,
    )


def _refuse_disagreement(number: int, found: Agreement, model: UniAdaFocus) -> None:
    near = found.box_difference <= TOLERANCE * model.config.frame_size
    if found.equal_frames < 1 or not near or found.probability_difference > TOLERANCE:
        raise NeurofocusError(
            f"export: the files do not agree with the model ({agreement_line(number, found)}; accepted are equal frames "
            f"and probabilities within {TOLERANCE:g}); nothing was written: try other versions of onnxscript and "
            "onnxruntime, or report it"
        )


def _manifest(bundle: BundleManifest, folds: tuple[FoldGraphs, ...]) -> ExportManifest:
    return ExportManifest(
        name=bundle.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        synthetic=bundle.synthetic,
        intended_use=bundle.intended_use,
        classes=bundle.classes,
        config=bundle.config,
        opset=OPSET,
        folds=folds,
        gflops_per_model=bundle.gflops_per_model,
        preprocessing=_preprocessing(bundle.config),
        bundle_sha256=bundle.sha256,
        versions={name: version(name) for name in _PACKAGES},
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
