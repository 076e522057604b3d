"""``--runtime``: the models of a bundle or an export, opened by ONNX Runtime or OpenVINO."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast, get_args

import torch

from neurofocus import __version__
from neurofocus.errors import BundleError, ConfigError
from neurofocus.files import cache_dir, lock_beside, locked
from neurofocus.inference.graph_files import (
    MANIFEST,
    GraphRuntime,
    Precision,
    open_graphs,
    read_export,
    require_runtime,
)
from neurofocus.inference.onnx_graphs import GRAPHS
from neurofocus.inference.stages import ExportedModel
from neurofocus.schema.bundle import BundleManifest
from neurofocus.workflows.bundle import ModelBundle, default_bundle, load_bundle, read_manifest
from neurofocus.workflows.device import choose_device
from neurofocus.workflows.export import export_onnx

__all__ = ["Runtime", "check_runtime", "is_export", "load_for_prediction", "open_exported"]

Runtime = Literal["torch", "onnx", "openvino"]
_LOGGER = logging.getLogger("neurofocus.workflows.runtime")


def check_runtime(runtime: str, precision: str, device: str) -> tuple[Runtime, Precision]:
    """Return what the options say.

    Raises:
        ConfigError: a value that is not accepted, or that goes with another runtime; the runtime is not installed.
    """
    if runtime not in get_args(Runtime):
        raise ConfigError(f"--runtime {runtime!r}: accepted are {', '.join(get_args(Runtime))}")
    if precision not in get_args(Precision):
        raise ConfigError(f"--precision {precision!r}: accepted are {', '.join(get_args(Precision))}")
    if precision != "f32" and runtime == "onnx":
        raise ConfigError(
            f"--precision {precision}: goes with --runtime openvino or, for videos, torch, not {runtime}"
        )
    if runtime != "torch":
        if device not in ("auto", "cpu"):
            raise ConfigError(
                f"--device {device}: --runtime {runtime} computes on the CPU; use torch on a GPU"
            )
        require_runtime(cast(GraphRuntime, runtime))
    return cast(Runtime, runtime), cast(Precision, precision)


def load_for_prediction(
    model: str | Path | None, device: str, runtime: str = "torch", *, precision: str = "f32"
) -> ModelBundle:
    """Return a bundle by its folder, or the shipped one.

    Args:
        model: its folder.
        device: auto, cpu, cuda or cuda:N.
        runtime: torch, onnx or openvino: what answers. Answers are explained by PyTorch, whatever gave them: that takes gradients.
        precision: of OpenVINO, f32 or bf16.

    Raises:
        BundleError: the bundle is not acceptable; an export, which cannot explain its answers.
        ConfigError: no such runtime or precision, not installed, or it computes elsewhere.
    """
    folder = default_bundle() if model is None else Path(model)
    kind, exact = check_runtime(runtime, precision, device)
    if kind == "torch":
        if exact != "f32":
            raise ConfigError(
                f"--precision {precision}: for scans it goes with --runtime openvino; their explanation needs {kind} in f32"
            )
        return load_bundle(folder, choose_device(device))
    if is_export(folder):
        raise BundleError(
            f"{folder}: is an export; answers for scans are explained, which takes the bundle it was made from: give that"
        )
    bundle = load_bundle(folder)
    return replace(bundle, exported=open_exported(folder, kind, precision=exact)[1])


def is_export(folder: Path) -> bool:
    """Say whether a folder holds an export."""
    return (folder / MANIFEST).exists()


def open_exported(
    source: Path, runtime: GraphRuntime, *, precision: Precision = "f32"
) -> tuple[BundleManifest, tuple[ExportedModel, ...]]:
    """Return what a bundle says, and its fold models; a bundle is exported into the cache first, once.

    Args:
        source: folder of an export or of a bundle.
        runtime: what computes, in as many threads as PyTorch would.
        precision: of OpenVINO.

    Raises:
        BundleError: the folder is neither, damaged, or holds a model without stages.
        ConfigError: the runtime is not installed.
    """
    require_runtime(runtime)
    folder = source if is_export(source) else _exported(source)
    manifest = read_export(folder)
    config = manifest.bundle.config
    threads = config.threads or torch.get_num_threads()
    graphs = (
        open_graphs(folder, manifest, fold, runtime=runtime, precision=precision, threads=threads)
        for fold in range(len(manifest.folds))
    )
    return manifest.bundle, tuple(ExportedModel(each, config.model, runtime) for each in graphs)


def _exported(bundle: Path) -> Path:
    """Return a bundle's export in the cache; what lies there agreed with the model when it was written."""
    digest = read_manifest(bundle).sha256
    folder = cache_dir() / "exports" / f"{digest[:20]}-{__version__}-{GRAPHS}"
    with locked(lock_beside(folder)):
        if not folder.exists():
            _LOGGER.info("%s: is exported to ONNX and checked, once for this bundle", bundle)
            export_onnx(bundle, folder, tell=_LOGGER.info)
    return folder
