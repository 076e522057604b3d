"""A trained video model as a bundle, and what to predict with: a bundle, or a released checkpoint."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from neurofocus.errors import BundleError, ConfigError
from neurofocus.inference.graph_files import GraphRuntime, Precision
from neurofocus.inference.onnx_stages import OnnxStages
from neurofocus.ingest.video.class_names import read_class_file
from neurofocus.model.build import Model
from neurofocus.model.checkpoints import load_released
from neurofocus.model.cost import measure_cost
from neurofocus.schema.bundle import BundleManifest, FoldEntry
from neurofocus.schema.model import without_initial_weights
from neurofocus.schema.run import RunConfig
from neurofocus.training.state import TrainingState
from neurofocus.workflows.bundle import pack_weights, read_bundle, save_bundle
from neurofocus.workflows.runtime import open_exported
from neurofocus.workflows.video.evaluate import VideoEvaluation
from neurofocus.workflows.video.source import VideoData

__all__ = ["ExportedVideo", "VideoModel", "load_exported_video", "load_video_model", "write_video_bundle"]

_INTENDED_USE = "Research on video recognition. Not for decisions about people."


@dataclass(frozen=True)
class VideoModel:
    """What answers for a clip.

    Attributes:
        model: in evaluation mode, on its device.
        config: of the model and its frames.
        classes: names in index order; empty: unknown, as a released checkpoint holds none.
        source: name and SHA-256 or file of the weights, for results.
        synthetic: whether it was trained on simulated videos.
    """

    model: Model
    config: RunConfig
    classes: tuple[str, ...]
    source: dict[str, str]
    synthetic: bool = False


@dataclass(frozen=True)
class ExportedVideo:
    """What answers for a clip without PyTorch's kernels: the stages of an export, the rest as in `VideoModel`."""

    stages: OnnxStages
    config: RunConfig
    classes: tuple[str, ...]
    source: dict[str, str]
    synthetic: bool = False


def write_video_bundle(
    folder: Path,
    config: RunConfig,
    data: VideoData,
    state: TrainingState,
    found: VideoEvaluation,
    record: dict[str, Any],
) -> Path:
    """Write the bundle of a training; an older one of the same run is replaced.

    Args:
        folder: the bundle's.
        config: of the run.
        data: the data set.
        state: of the finished training.
        found: its evaluation.
        record: what run.json holds.
    """
    manifest = BundleManifest(
        name=data.spec.name,
        created=record["created"],
        synthetic=data.synthetic,
        intended_use=_INTENDED_USE,
        classes=data.classes,
        config=config.model_copy(update={"model": without_initial_weights(config.model)}),
        folds=(FoldEntry(file="fold-1.safetensors", sha256="0" * 64),),
        gflops_per_model=measure_cost(config.model).gflops,
        metrics={"pooled": found.metrics["pooled"], "split": found.metrics["split"]},
        provenance={
            "dataset": data.spec.name,
            "clips_sha256": data.digest(),
            "config_sha256": record["config_sha256"],
            "kept_epoch": state.best.epoch,
            **record["provenance"],
        },
    )
    if folder.exists():
        shutil.rmtree(folder)
    save_bundle(folder, manifest, [pack_weights(state.best_weights, config.bundle.weights)])
    return folder


def load_video_model(
    source: Path, device: torch.device, *, config: RunConfig | None = None, classes: Path | None = None
) -> VideoModel:
    """Load a bundle folder, or a released checkpoint under a configuration.

    Args:
        source: the folder, or the checkpoint file.
        device: where to compute.
        config: of a checkpoint, which does not hold its own.
        classes: class file of a checkpoint.

    Raises:
        BundleError: it is not there, damaged, of scans, or of another model.
        ConfigError: a checkpoint without configuration, or a bundle with one.
    """
    if not source.exists():
        raise BundleError(
            f"--model {source}: no such file or folder; give the folder 'bundle' of a 'video train', or a checkpoint"
        )
    if source.is_dir():
        if config is not None or classes is not None:
            raise ConfigError(
                f"{source}: a bundle holds its configuration and classes; leave out --config, --set and --classes"
            )
        return _from_bundle(source, device)
    if config is None:
        raise ConfigError(
            f"{source}: a checkpoint does not hold its configuration; add --config NAME, such as activitynet or sthv2 "
            "(see 'neurofocus video list'), or give a bundle folder"
        )
    names = () if classes is None else read_class_file(classes)
    number = len(names) or config.model.num_classes
    fitting = config.model_copy(update={"model": config.model.model_copy(update={"num_classes": number})})
    model = load_released(source, fitting.model).to(device)
    return VideoModel(model, fitting, names, {"name": source.name})


def load_exported_video(
    source: Path, runtime: GraphRuntime, *, precision: Precision = "f32"
) -> ExportedVideo:
    """Load an export of a bundle for videos, or the bundle itself, which is exported into the cache once.

    Raises:
        BundleError: it is not there, damaged, or of scans.
        ConfigError: the runtime is not installed.
    """
    manifest, stages = open_exported(source, runtime, precision=precision)
    if manifest.config.dataset is None:
        raise BundleError(f"{source}: is of a bundle for scans; give one of 'video train'")
    found = {"name": manifest.name, "created": manifest.created, "sha256": manifest.bundle_sha256}
    return ExportedVideo(
        stages[0], manifest.config, manifest.classes, found | {"runtime": runtime}, manifest.synthetic
    )


def _from_bundle(folder: Path, device: torch.device) -> VideoModel:
    manifest, models = read_bundle(folder, device)
    if manifest.config.dataset is None:
        raise BundleError(
            f"{folder}: is a bundle for scans; use 'neurofocus predict', or give a bundle of 'video train'"
        )
    source = {"name": manifest.name, "created": manifest.created, "sha256": manifest.sha256}
    return VideoModel(models[0], manifest.config, manifest.classes, source, manifest.synthetic)
