"""An exported model in the pieces that conditional exits need; see ``early_exit.runner``. Runs without PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from neurofocus.schema.model import ModelConfig

__all__ = ["CaseArrays", "ExitGraphs", "Graph", "GraphState", "OnnxStages", "glance_frames"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


class Graph(Protocol):
    """A graph that some runtime has opened."""

    @property
    def inputs(self) -> frozenset[str]:
        """The names of what it takes."""
        ...

    def __call__(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Return its results by name."""
        ...


@dataclass(frozen=True)
class ExitGraphs:
    """One model's graphs; ``inference.onnx_graphs`` says what each of them computes."""

    glance: Graph
    decide: Graph
    focus: Graph
    classifier: Graph


@dataclass(frozen=True)
class CaseArrays:
    """What a model sees of one case; of several crops, their probabilities are averaged.

    Attributes:
        frames: the T0 candidates for focus, float32 [V, T0, C, H, W] of V crops.
        glance_frames: the T_G frames for the glance where the streams differ, [V, T, C, H, W].
    """

    frames: npt.NDArray[np.float32]
    glance_frames: npt.NDArray[np.float32] | None = None


@dataclass
class GraphState:
    """What is kept of a case between its steps, every array with a leading axis of V crops.

    Attributes:
        frames: the candidates.
        glanced: the results of the glance, by name; the maps are dropped when the policy has decided.
        frame_indices: the focus frames in the order in which they are looked at, int64 [V, F]; None: undecided.
        boxes: of those frames, [V, F, 4].
        frame_weights: over the glance frames, [V, T].
        kept_focus: what f_C keeps of the frames seen so far, one array [V, n, S] a chunk.
    """

    frames: npt.NDArray[np.float32]
    glanced: dict[str, Array]
    frame_indices: npt.NDArray[np.int64] | None = None
    boxes: npt.NDArray[np.float32] | None = None
    frame_weights: npt.NDArray[np.float32] | None = None
    kept_focus: list[Array] = field(default_factory=list)

    @property
    def num_seen(self) -> int:
        """Focus frames seen so far."""
        return sum(chunk.shape[1] for chunk in self.kept_focus)


class OnnxStages:
    """The four stages of an exported model, for cases that stop at different steps.

    Args:
        graphs: the model's.
        config: the model's.
        order: which focus frames come first; without effect where f_L needs all of them at once.
    """

    def __init__(
        self, graphs: ExitGraphs, config: ModelConfig, *, order: Literal["time", "weight"] = "time"
    ) -> None:
        self.graphs = graphs
        self.config = config
        self.order = order

    @property
    def num_global_exits(self) -> int:
        """How many of the model's exit steps need no focus frame."""
        if not self.config.classifier.reuse_global:
            return 0
        return 1 if self.config.classifies_clips else self.config.num_glance_frames

    @property
    def num_focus_exits(self) -> int:
        """How many of the model's exit steps need focus frames."""
        return 1 if self.config.classifies_clips else self.config.num_focus_frames

    def glance(self, cases: Sequence[CaseArrays]) -> list[GraphState]:
        """Look at every case with f_G."""
        shown = np.concatenate([glance_frames(case, self.config) for case in cases])
        found = self.graphs.glance({"frames": shown})
        parts = {name: _split(values, [len(case.frames) for case in cases]) for name, values in found.items()}
        return [
            GraphState(case.frames, {name: rows[place] for name, rows in parts.items()})
            for place, case in enumerate(cases)
        ]

    def glance_probabilities(self, states: Sequence[GraphState]) -> Floats:
        """Return the answers after the glance, [n, K]."""
        return _probabilities(np.concatenate([state.glanced["logits"] for state in states]), states)

    def focus(self, states: Sequence[GraphState], steps: Sequence[int]) -> Floats:
        """Look at the focus frames of each case's first ``steps`` focus exits, those not yet seen.

        Returns:
            The answers after those steps, [n, K].
        """
        whole = self.config.classifies_clips
        num_frames = [self.config.num_focus_frames] * len(states) if whole else steps
        if undecided := [state for state in states if state.frame_indices is None]:
            self._decide(undecided)
        self._look(states, num_frames)
        found = np.empty((len(states), self.config.num_classes))
        ranked = sorted(range(len(states)), key=lambda place: num_frames[place])
        for number, group in groupby(ranked, key=lambda place: num_frames[place]):
            places = list(group)
            found[places] = self._answer([states[place] for place in places], number)
        return found

    def _decide(self, states: Sequence[GraphState]) -> None:
        """Choose frames and boxes; the maps are not needed after that."""
        names = sorted(self.graphs.decide.inputs)
        found = self.graphs.decide(
            {name: np.concatenate([state.glanced[name] for state in states]) for name in names}
        )
        indices, boxes = found["frame_indices"], found["boxes"]
        if self.order == "weight" and not self.config.local_encoder.mixes_frames:
            places = np.argsort(-found["chosen_weights"], axis=1, kind="stable")
            indices = np.take_along_axis(indices, places, axis=1)
            boxes = np.take_along_axis(boxes, places[..., None], axis=1)
        crops = [len(state.frames) for state in states]
        rows = (_split(values, crops) for values in (indices, boxes, found["frame_weights"]))
        for state, chosen, cut, weights in zip(states, *rows, strict=True):
            state.frame_indices, state.boxes, state.frame_weights = chosen, cut, weights
            state.glanced = {name: state.glanced[name] for name in state.glanced if name != "global_maps"}

    def _look(self, states: Sequence[GraphState], num_frames: Sequence[int]) -> None:
        """Run f_L on the patches that each case has not seen yet, all cases in one call."""
        clip = self.config.num_focus_frames if self.config.local_encoder.mixes_frames else 1
        images, boxes, shapes = [], [], []
        for state, number in zip(states, num_frames, strict=True):
            assert state.frame_indices is not None
            assert state.boxes is not None
            chosen = slice(state.num_seen, number)
            indices = state.frame_indices[:, chosen]
            taken = state.frames[np.arange(len(indices))[:, None], indices]
            images.append(taken.reshape(-1, clip, *taken.shape[2:]))
            boxes.append(state.boxes[:, chosen].reshape(-1, clip, 4))
            shapes.append(indices.shape)
        kept = self.graphs.focus({"images": np.concatenate(images), "boxes": np.concatenate(boxes)})[
            "kept_focus"
        ]
        pieces = _split(kept.reshape(-1, kept.shape[-1]), [crops * number for crops, number in shapes])
        for state, piece, shape in zip(states, pieces, shapes, strict=True):
            state.kept_focus.append(piece.reshape(*shape, -1))

    def _answer(self, states: Sequence[GraphState], number: int) -> Floats:
        """Return the answers of cases that have all seen ``number`` focus frames, [n, K]."""
        given: dict[str, Array] = {
            "kept_focus": np.concatenate([np.concatenate(state.kept_focus, axis=1) for state in states])
        }
        if "head" in self.graphs.classifier.inputs:
            given["head"] = np.array([number - 1])
        if "kept_glance" in self.graphs.classifier.inputs:
            given["kept_glance"] = np.concatenate([state.glanced["kept_glance"] for state in states])
        return _probabilities(self.graphs.classifier(given)["logits"], states)


def glance_frames(case: CaseArrays, config: ModelConfig) -> npt.NDArray[np.float32]:
    """Return the frames of a case that f_G sees, [V, T, C, H, W]: of shared streams the middle of each group."""
    if case.glance_frames is not None:
        return case.glance_frames
    group = config.num_frames // config.num_glance_frames
    return case.frames[:, group // 2 :: group]


def _split(values: Array, sizes: Sequence[int]) -> list[Array]:
    return np.split(values, np.cumsum(sizes)[:-1])


def _probabilities(logits: Array, states: Sequence[GraphState]) -> Floats:
    """Return each case's mean over its crops, in float64, of logits [all crops, K]."""
    values = logits.astype(np.float64)
    powers = np.exp(values - values.max(-1, keepdims=True))
    probabilities = powers / powers.sum(-1, keepdims=True)
    crops = [len(state.frames) for state in states]
    return np.stack([rows.mean(0) for rows in _split(probabilities, crops)])
