"""``--runtime``: a bundle or an export in stages that run with PyTorch, ONNX Runtime or OpenVINO."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt
import torch

from neurofocus import __version__
from neurofocus.early_exit.runner import ExitStages
from neurofocus.errors import BundleError, ConfigError
from neurofocus.files import cache_dir, lock_beside, locked
from neurofocus.inference.graph_files import MANIFEST, GraphRuntime, Precision, open_graphs, read_export
from neurofocus.inference.onnx_stages import CaseArrays, GraphState, OnnxStages
from neurofocus.inference.torch_stages import CaseFrames, TorchStages
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.export import ExportManifest
from neurofocus.workflows.bundle import read_bundle
from neurofocus.workflows.export import export_onnx

__all__ = [
    "OnTensors",
    "Runtime",
    "WholeAnswer",
    "answer_whole",
    "check_runtime",
    "open_exported",
    "open_stages",
]

Runtime = Literal["torch", "onnx", "openvino"]
Order = Literal["time", "weight"]
_LOGGER = logging.getLogger("neurofocus.workflows.runtime")


@dataclass(frozen=True)
class WholeAnswer:
    """What a model answered for one case without stopping early.

    Attributes:
        probabilities: of the last exit step, [K].
        frame_indices: the focus frames in time, int64 [F].
        boxes: of those frames, [F, 4].
        frame_weights: over the glance frames, [T].
    """

    probabilities: npt.NDArray[np.float64]
    frame_indices: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float64]
    frame_weights: npt.NDArray[np.float64]


class OnTensors:
    """`OnnxStages` for cases of tensors, so that callers need not know the runtime."""

    def __init__(self, stages: OnnxStages) -> None:
        self.stages = stages
        self.glance_probabilities = stages.glance_probabilities
        self.focus = stages.focus

    @property
    def num_global_exits(self) -> int:
        """How many of the model's exit steps need no focus frame."""
        return self.stages.num_global_exits

    def glance(self, cases: Sequence[CaseFrames]) -> list[GraphState]:
        """Look at every case with f_G."""
        return self.stages.glance([_arrays(case) for case in cases])


def check_runtime(runtime: str, precision: str, device: str) -> tuple[Runtime, Precision]:
    """Return what the options say.

    Raises:
        ConfigError: a value that is not accepted, or that goes with another runtime.
    """
    if runtime not in get_args(Runtime):
        raise ConfigError(f"--runtime {runtime!r}: accepted are {', '.join(get_args(Runtime))}")
    if precision not in get_args(Precision):
        raise ConfigError(f"--precision {precision!r}: accepted are {', '.join(get_args(Precision))}")
    if precision != "f32" and runtime != "openvino":
        raise ConfigError(f"--precision {precision}: goes with --runtime openvino, not {runtime}")
    if runtime != "torch" and device not in ("auto", "cpu"):
        raise ConfigError(f"--device {device}: --runtime {runtime} computes on the CPU; use torch on a GPU")
    return cast(Runtime, runtime), cast(Precision, precision)


def open_stages(
    source: Path,
    runtime: Runtime,
    *,
    device: torch.device | str = "cpu",
    order: Order = "time",
    precision: Precision = "f32",
) -> list[ExitStages[CaseFrames, Any]]:
    """Return the stages of every fold model, for ``early_exit.runner.run_with_exits``.

    Args:
        source: folder of a bundle; for another runtime than torch also of an export.
        runtime: what computes.
        device: for torch.
        order: which focus frames come first.
        precision: of OpenVINO.

    Raises:
        BundleError: the folder is neither, damaged, or holds a model without stages.
        ConfigError: the runtime is not installed.
    """
    if runtime == "torch":
        models = read_bundle(source, device)[1]
        staged = [model for model in models if isinstance(model, UniAdaFocus)]
        if len(staged) < len(models):
            raise BundleError(f"{source}: holds the baseline {models[0].kind}, which has no exits")
        return [TorchStages(model, order=order) for model in staged]
    return [
        OnTensors(stages) for stages in open_exported(source, runtime, order=order, precision=precision)[1]
    ]


def open_exported(
    source: Path, runtime: GraphRuntime, *, order: Order = "time", precision: Precision = "f32"
) -> tuple[ExportManifest, list[OnnxStages]]:
    """Return an export's manifest and stages; a bundle is exported into the cache first, once.

    Arguments and errors as ``open_stages``.
    """
    folder = source if (source / MANIFEST).exists() else _exported(source)
    manifest = read_export(folder)
    model = manifest.config.model
    stages = [
        OnnxStages(
            open_graphs(folder, manifest, fold, runtime=runtime, precision=precision), model, order=order
        )
        for fold in range(len(manifest.folds))
    ]
    return manifest, stages


def answer_whole(stages: OnnxStages, case: CaseFrames) -> WholeAnswer:
    """Run every stage on a case of one crop."""
    states = stages.glance([_arrays(case)])
    config, state = stages.config, states[0]
    last = 1 if config.classifies_clips else config.num_focus_frames
    probabilities = stages.focus(states, [last])[0]
    assert state.frame_indices is not None
    assert state.boxes is not None
    assert state.frame_weights is not None
    return WholeAnswer(
        probabilities,
        state.frame_indices[0],
        state.boxes[0].astype(np.float64),
        state.frame_weights[0].astype(np.float64),
    )


def _exported(bundle: Path) -> Path:
    """Return a bundle's export in the cache; what lies there agreed with the model when it was written."""
    manifest = read_bundle(bundle)[0]
    folder = cache_dir() / "exports" / f"{manifest.sha256[:20]}-{__version__}"
    with locked(lock_beside(folder)):
        if not folder.exists():
            _LOGGER.info("%s: is exported to ONNX and checked, once for this bundle", bundle)
            export_onnx(bundle, folder, tell=_LOGGER.info)
    return folder


def _arrays(case: CaseFrames) -> CaseArrays:
    return CaseArrays(
        case.frames.cpu().numpy(), None if case.glance_frames is None else case.glance_frames.cpu().numpy()
    )
