"""A network in the pieces that conditional exits need, whatever computes it: the one place that knows the runtimes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurofocus.inference.graph_files import GraphRuntime
from neurofocus.inference.onnx_stages import CaseArrays, ExitGraphs, GraphState, OnnxStages
from neurofocus.inference.torch_stages import CaseFrames, TorchStages
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import ModelConfig

__all__ = ["CaseView", "ExportedModel", "Network", "Order", "Seen", "Stages", "seen_of", "stages_of", "whole"]

Order = Literal["time", "weight"]
Floats = npt.NDArray[np.float64]


class CaseView(Protocol):
    """What can be read off the state of a case; arrays have a leading axis of crops."""

    @property
    def frame_indices(self) -> Tensor | npt.NDArray[np.int64] | None:
        """The focus frames in the order in which they are looked at, [V, F]; None: undecided."""
        ...

    @property
    def boxes(self) -> Tensor | npt.NDArray[np.float32] | None:
        """On those frames, [V, F, 4]."""
        ...

    @property
    def frame_weights(self) -> Tensor | npt.NDArray[np.float32] | None:
        """Over the glance frames, [V, T]."""
        ...

    @property
    def num_seen(self) -> int:
        """Focus frames seen so far."""
        ...


class Stages(Protocol):
    """What ``early_exit.runner`` needs of a network, for cases of tensors.

    Attributes:
        device: where it is computed.
        runtime: by what.
    """

    device: torch.device
    runtime: str

    @property
    def num_global_exits(self) -> int:
        """How many of the exit steps need no focus frame."""
        ...

    def glance(self, cases: Sequence[CaseFrames]) -> list[Any]:
        """Look at every case once; return what is kept of each, a `CaseView`."""
        ...

    def glance_probabilities(self, states: Sequence[Any]) -> Floats:
        """Return the answers after the glance, [n, K]; asked only if there is such an exit."""
        ...

    def focus(self, states: Sequence[Any], steps: Sequence[int]) -> Floats:
        """Look at what each case's first so many focus exits need, and return the answers after them, [n, K]."""
        ...


@dataclass(frozen=True)
class ExportedModel:
    """A model whose graphs another runtime than PyTorch has opened.

    Attributes:
        graphs: of the model.
        config: of the model.
        runtime: what runs them, on the CPU.
    """

    graphs: ExitGraphs
    config: ModelConfig
    runtime: GraphRuntime

    @property
    def num_global_exits(self) -> int:
        """How many of the model's exit steps need no focus frame."""
        return OnnxStages(self.graphs, self.config).num_global_exits


Network = UniAdaFocus | ExportedModel


@dataclass(frozen=True)
class Seen:
    """What a model looked at before it answered for one case, its first crop.

    Attributes:
        frames: the focus frames in time, as places among the candidates, [F].
        boxes: on those frames, [F, 4].
        weights: over the glance frames, [T]; None: it stopped before it weighed them.
    """

    frames: npt.NDArray[np.int64]
    boxes: Floats
    weights: Floats | None


def stages_of(network: Network, *, order: Order = "time") -> Stages:
    """Return a network's stages.

    Args:
        network: a model of PyTorch in evaluation mode, or an exported one.
        order: which focus frames come first.
    """
    if isinstance(network, ExportedModel):
        return _OnTensors(OnnxStages(network.graphs, network.config, order=order), network.runtime)
    return TorchStages(network, order=order)


def whole(network: Network, case: CaseFrames) -> tuple[Floats, Seen]:
    """Run every stage on one case; return its answer [K], and what was looked at."""
    stages, config = stages_of(network), network.config
    states = stages.glance([case])
    answers = stages.focus(states, [1 if config.classifies_clips else config.num_focus_frames])
    return answers[0], seen_of(states[0])


def seen_of(state: CaseView) -> Seen:
    """Return what was looked at so far."""
    if state.frame_indices is None or state.boxes is None or state.frame_weights is None:
        return Seen(np.zeros(0, np.int64), np.zeros((0, 4)), None)
    indices = _array(state.frame_indices)[0, : state.num_seen]
    in_time = indices.argsort()
    boxes = _array(state.boxes)[0, : state.num_seen].astype(np.float64)
    return Seen(indices[in_time], boxes[in_time], _array(state.frame_weights)[0].astype(np.float64))


class _OnTensors:
    """`OnnxStages` for cases of tensors."""

    device = torch.device("cpu")

    def __init__(self, stages: OnnxStages, runtime: GraphRuntime) -> None:
        self._stages = stages
        self.runtime: str = runtime
        self.num_global_exits = stages.num_global_exits
        self.glance_probabilities, self.focus = stages.glance_probabilities, stages.focus

    def glance(self, cases: Sequence[CaseFrames]) -> list[GraphState]:
        """Look at every case with f_G."""
        return self._stages.glance([_arrays(case) for case in cases])


def _arrays(case: CaseFrames) -> CaseArrays:
    return CaseArrays(_array(case.frames), None if case.glance_frames is None else _array(case.glance_frames))


def _array(values: Tensor | npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.cpu().numpy() if isinstance(values, Tensor) else values
