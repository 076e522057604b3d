"""Opens an export's graphs with ONNX Runtime or OpenVINO. Runs without PyTorch."""

import hashlib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from neurofocus.errors import BundleError, ConfigError
from neurofocus.inference.onnx_stages import ExitGraphs, Graph
from neurofocus.schema.base import first_problem
from neurofocus.schema.export import ExportFile, ExportManifest

__all__ = [
    "MANIFEST",
    "GraphRuntime",
    "Precision",
    "need_package",
    "open_graph",
    "open_graphs",
    "read_export",
    "require_runtime",
    "verified",
]

GraphRuntime = Literal["onnx", "openvino"]
Precision = Literal["f32", "bf16"]
Array = npt.NDArray[Any]

MANIFEST = "export.json"


def need_package(name: str, *, wanted_by: str, extra: str) -> Any:
    """Import an optional package and return it.

    Args:
        name: of the module.
        wanted_by: what needs it, as the user wrote it.
        extra: that brings it.

    Raises:
        ConfigError: it is not installed, or its own libraries are not.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"{wanted_by}: needs {name}, which cannot be imported ({error}); pip install 'neurofocus[{extra}]'"
        ) from None


def require_runtime(runtime: GraphRuntime) -> None:
    """Refuse a runtime that is not installed.

    Raises:
        ConfigError: naming what to install.
    """
    _package(runtime)


def read_export(folder: Path) -> ExportManifest:
    """Read an export's manifest.

    Raises:
        BundleError: there is none, or it is not one of ours.
    """
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
    except OSError:
        raise BundleError(
            f"{folder}: not an export (no readable {MANIFEST}); make one with 'neurofocus export BUNDLE --out DIR'"
        ) from None
    try:
        return ExportManifest.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(
            f"{path}: {first_problem(error)}; export the bundle again with this version of neurofocus"
        ) from None


def open_graphs(
    folder: Path,
    manifest: ExportManifest,
    fold: int,
    *,
    runtime: GraphRuntime,
    precision: Precision = "f32",
    threads: int | None = None,
) -> ExitGraphs:
    """Verify and open one fold's graphs.

    Args:
        folder: of the export.
        manifest: its.
        fold: which fold's, from 0.
        runtime: what runs them, on the CPU.
        precision: of products; bf16 with OpenVINO only.
        threads: of the runtime; none: its own choice.

    Raises:
        BundleError: a file is missing or damaged.
        ConfigError: the runtime is not installed, or does not know the precision.
    """
    entry = manifest.folds[fold]
    if runtime == "onnx" and precision != "f32":
        raise ConfigError(
            f"--precision {precision}: ONNX Runtime computes in f32 here; use --runtime openvino"
        )

    def opened(file: ExportFile, kind: Precision) -> Graph:
        return open_graph(verified(folder, file), runtime=runtime, precision=kind, threads=threads)

    return ExitGraphs(
        glance=opened(entry.glance, precision),
        decide=opened(entry.decide, "f32"),  # bfloat16 would place boxes no finer than half a pixel
        focus=opened(entry.focus, precision),
        classifier=opened(entry.classifier, precision),
    )


def open_graph(
    path: Path, *, runtime: GraphRuntime, precision: Precision = "f32", threads: int | None = None
) -> Graph:
    """Open one graph; arguments and errors as ``open_graphs``."""
    return _OpenVinoGraph(path, precision, threads) if runtime == "openvino" else _OnnxGraph(path, threads)


def _package(runtime: GraphRuntime) -> Any:
    name = {"onnx": "onnxruntime", "openvino": "openvino"}[runtime]
    return need_package(name, wanted_by=f"--runtime {runtime}", extra=runtime)


class _OnnxGraph:
    """A graph in ONNX Runtime."""

    def __init__(self, path: Path, threads: int | None) -> None:
        package = _package("onnx")
        options = package.SessionOptions()
        options.intra_op_num_threads = threads or 0
        self._session = package.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs = frozenset(each.name for each in self._session.get_inputs())
        self._outputs = [each.name for each in self._session.get_outputs()]

    def __call__(self, values: Mapping[str, Array]) -> dict[str, Array]:
        found = self._session.run(
            self._outputs, {name: np.ascontiguousarray(v) for name, v in values.items()}
        )
        return dict(zip(self._outputs, found, strict=True))


class _OpenVinoGraph:
    """A graph in OpenVINO."""

    def __init__(self, path: Path, precision: Precision, threads: int | None) -> None:
        package = _package("openvino")
        # OpenVINO takes bfloat16 by itself where the CPU has it, which moves boxes and answers.
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        self._model = package.Core().compile_model(path, "CPU", settings)
        self.inputs = frozenset(name for each in self._model.inputs for name in each.names)
        # OpenVINO adds names of its own to a result.
        self._outputs = [frozenset(each.names) for each in self._model.outputs]

    def __call__(self, values: Mapping[str, Array]) -> dict[str, Array]:
        found = self._model({name: np.ascontiguousarray(v) for name, v in values.items()})
        return {name: np.array(found[place]) for place, names in enumerate(self._outputs) for name in names}


def verified(folder: Path, file: ExportFile) -> Path:
    """Return the path of an export's file.

    Raises:
        BundleError: it is missing or damaged.
    """
    path = folder / file.file
    try:
        with path.open("rb") as stream:
            seen = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        raise BundleError(f"{path}: missing or not readable; copy the whole export folder again") from None
    if seen != file.sha256:
        raise BundleError(
            f"{path}: damaged (SHA-256 {seen[:12]}..., expected {file.sha256[:12]}...); copy it again"
        )
    return path
