"""A trained video model as a bundle, and what to predict with: a bundle, or a released checkpoint."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from neurofocus.errors import BundleError, ConfigError
from neurofocus.inference.graph_files import GraphRuntime, Precision
from neurofocus.inference.stages import ExportedModel, Network
from neurofocus.ingest.video.class_names import read_class_file
from neurofocus.model.build import Model
from neurofocus.model.checkpoints import load_released
from neurofocus.model.cost import measure_cost
from neurofocus.schema.bundle import BundleManifest, FoldEntry
from neurofocus.schema.model import without_initial_weights
from neurofocus.schema.run import RunConfig
from neurofocus.training.state import TrainingState
from neurofocus.workflows.bundle import pack_weights, read_bundle, save_bundle
from neurofocus.workflows.runtime import is_export, open_exported
from neurofocus.workflows.video.evaluate import VideoEvaluation
from neurofocus.workflows.video.exits import ClipExits, read_exits
from neurofocus.workflows.video.source import VideoData

__all__ = ["VideoModel", "able_to_stop", "load_exported_video", "load_video_model", "write_video_bundle"]

_INTENDED_USE = "Research on video recognition. Not for decisions about people."


@dataclass(frozen=True)
class VideoModel:
    """What answers for a clip.

    Attributes:
        model: in evaluation mode, on its device; or an exported one.
        config: of the model and its frames.
        classes: names in index order; empty: unknown, as a released checkpoint holds none.
        source: name and SHA-256 or file of the weights, for results.
        synthetic: whether it was trained on simulated videos.
        exits: when clips may stop early; none: they never do.
        bfloat16: whether commands let its encoders compute in bfloat16.
    """

    model: Model | ExportedModel
    config: RunConfig
    classes: tuple[str, ...]
    source: dict[str, str]
    synthetic: bool = False
    exits: ClipExits | None = None
    bfloat16: bool = False

    def of_torch(self, option: str) -> Model:
        """Return the model for an option that an export cannot serve.

        Raises:
            ConfigError: it is an exported one.
        """
        if isinstance(self.model, ExportedModel):
            raise ConfigError(
                f"{option}: needs the model in PyTorch; leave out --runtime {self.model.runtime} and give the bundle"
            )
        return self.model


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
    exits = found.exits
    entry = FoldEntry(file="fold-1.safetensors", sha256="0" * 64, exits=exits.plan if exits else None)
    manifest = BundleManifest(
        name=data.spec.name,
        created=record["created"],
        synthetic=data.synthetic,
        intended_use=_INTENDED_USE,
        classes=data.classes,
        config=config.model_copy(update={"model": without_initial_weights(config.model)}),
        folds=(entry,),
        gflops_per_model=measure_cost(config.model).gflops,
        metrics={"pooled": found.metrics["pooled"], "split": found.metrics["split"]},
        provenance={
            "dataset": data.spec.name,
            "clips_sha256": data.digest(),
            "config_sha256": record["config_sha256"],
            "kept_epoch": state.best.epoch,
            **({"exits": exits.model_dump(exclude={"plan"})} if exits else {}),
            **record["provenance"],
        },
    )
    if folder.exists():
        shutil.rmtree(folder)
    save_bundle(folder, manifest, [pack_weights(state.best_weights, config.bundle.weights)])
    return folder


def load_video_model(
    source: Path,
    device: torch.device,
    *,
    config: RunConfig | None = None,
    classes: Path | None = None,
    exits: Path | None = None,
) -> VideoModel:
    """Load a bundle folder, or a released checkpoint under a configuration.

    Args:
        source: the folder, or the checkpoint file.
        device: where to compute.
        config: of a checkpoint, which does not hold its own.
        classes: class file of a checkpoint.
        exits: file of thresholds; none: those of the bundle, if there are any.

    Raises:
        BundleError: it is not there, damaged, of scans, or of another model.
        ConfigError: a checkpoint without configuration, or a bundle with one; thresholds of another model.
    """
    video = _load(source, device, config, classes)
    return video if exits is None else replace(video, exits=read_exits(exits, video.of_torch("--exits")))


def able_to_stop(video: VideoModel, *, option: str = "--budget") -> tuple[Network, ClipExits]:
    """Return a model and thresholds that clips can stop with.

    Args:
        video: the model.
        option: that needs thresholds.

    Raises:
        ConfigError: there are no thresholds.
    """
    if video.exits is None or not isinstance(video.model, Network):
        raise ConfigError(
            f"{option}: {video.source['name']} holds no exit thresholds; 'video evaluate --solve-exits SPLIT' solves them on "
            "labelled clips that are not scored and writes exits.json, which --exits takes"
        )
    return video.model, video.exits


def _load(source: Path, device: torch.device, config: RunConfig | None, classes: Path | None) -> VideoModel:
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
    source: Path, runtime: GraphRuntime, *, precision: Precision = "f32", exits: Path | None = None
) -> VideoModel:
    """Load an export of a bundle for videos, or the bundle itself, which is exported into the cache once.

    Args:
        source: folder of the export or the bundle.
        runtime: what computes.
        precision: of OpenVINO.
        exits: file of thresholds of the bundle's model; none: those of the export, if there are any.

    Raises:
        BundleError: it is not there, damaged, or of scans.
        ConfigError: the runtime is not installed; thresholds of another model, or for an export without its bundle.
    """
    bundle, networks = open_exported(source, runtime, precision=precision)
    _require_videos(source, bundle)
    found = _described(networks[0], bundle)
    found.source["runtime"] = runtime
    if precision != "f32":
        found.source["precision"] = precision
    if exits is None:
        return found
    if is_export(source):
        raise ConfigError(
            f"--exits {exits}: belongs to the weights of a bundle, which an export does not hold; give the bundle as --model"
        )
    return replace(found, exits=read_exits(exits, read_bundle(source)[1][0]))


def _from_bundle(folder: Path, device: torch.device) -> VideoModel:
    manifest, models = read_bundle(folder, device)
    _require_videos(folder, manifest)
    return _described(models[0], manifest)


def _require_videos(folder: Path, manifest: BundleManifest) -> None:
    if manifest.config.dataset is None:
        raise BundleError(
            f"{folder}: is a bundle for scans; use 'neurofocus predict', or give a bundle of 'video train'"
        )


def _described(model: Model | ExportedModel, manifest: BundleManifest) -> VideoModel:
    """Return a model with what its bundle says about it."""
    source = {"name": manifest.name, "created": manifest.created, "sha256": manifest.sha256}
    plan = manifest.folds[0].exits
    exits = ClipExits(plan=plan, **manifest.provenance["exits"]) if plan else None
    return VideoModel(model, manifest.config, manifest.classes, source, manifest.synthetic, exits)
