"""A model of PyTorch in the pieces that conditional exits need; see ``early_exit.runner``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurofocus.model.frame_sampling import by_weight, take_frames
from neurofocus.model.outputs import GlanceOutput
from neurofocus.model.uni_adafocus import UniAdaFocus

__all__ = ["CaseFrames", "CaseState", "TorchStages"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CaseFrames:
    """What a model sees of one case; of several crops, their probabilities are averaged.

    Attributes:
        frames: the T0 candidates for focus, [V, T0, C, H, W] of V crops.
        glance_frames: the T_G frames for the glance where the streams differ, [V, T, C, H, W].
    """

    frames: Tensor
    glance_frames: Tensor | None = None


@dataclass
class CaseState:
    """What is kept of a case between its steps, every tensor with a leading axis of V crops.

    Attributes:
        frames: the candidates, where they came from: only chosen ones are moved to the model's device.
        global_maps: e^G, until the policy has decided.
        global_features: its spatial mean, [V, T, D].
        frame_indices: the focus frames in the order in which they are looked at, [V, F]; None: undecided.
        boxes: of those frames, [V, F, 4].
        frame_weights: over the glance frames, [V, T]; None: undecided.
        local_features: of the frames seen so far, one tensor [V, n, D'] a chunk.
    """

    frames: Tensor
    global_maps: Tensor | None
    global_features: Tensor
    frame_indices: Tensor | None = None
    boxes: Tensor | None = None
    frame_weights: Tensor | None = None
    local_features: list[Tensor] = field(default_factory=list)

    @property
    def num_seen(self) -> int:
        """Focus frames seen so far."""
        return sum(chunk.shape[1] for chunk in self.local_features)


class TorchStages:
    """The four stages of a model, for cases that stop at different steps.

    Args:
        model: in evaluation mode, on its device.
        order: which focus frames come first; without effect where f_L needs all of them at once.
        prepare: from a case's pixels, uint8 say, to what an encoder takes, frame by frame; done on the model's device,
            for frames that are looked at only. None: they are ready.

    Attributes:
        device: the model's.
        runtime: torch.

    Raises:
        ValueError: the model is in training mode.
    """

    runtime: str = "torch"

    def __init__(
        self,
        model: UniAdaFocus,
        *,
        order: Literal["time", "weight"] = "time",
        prepare: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if model.training:
            raise ValueError("conditional exits need a model in evaluation mode; call model.eval()")
        self.model = model
        self.order = order
        self._prepare = prepare
        self.device = next(model.parameters()).device

    @property
    def num_global_exits(self) -> int:
        """How many of the model's exit steps need no focus frame."""
        return self.model.num_global_exits

    @torch.no_grad()
    def glance(self, cases: Sequence[CaseFrames]) -> list[CaseState]:
        """Look at every case with f_G (Eq. 1)."""
        seen = self.model.glance(self._prepared(torch.cat([self._glanced(case) for case in cases])))
        crops = [len(case.frames) for case in cases]
        rows = zip(
            cases, torch.split(seen.global_maps, crops), torch.split(seen.global_features, crops), strict=True
        )
        return [CaseState(case.frames, maps, features) for case, maps, features in rows]

    @torch.no_grad()
    def glance_probabilities(self, states: Sequence[CaseState]) -> Floats:
        """Return the answers after the glance, [n, K]."""
        features = torch.cat([state.global_features for state in states])
        return self._probabilities(self.model.classify_glance(features), states)

    @torch.no_grad()
    def focus(self, states: Sequence[CaseState], steps: Sequence[int]) -> Floats:
        """Look at the focus frames of each case's first ``steps`` focus exits, those not yet seen (Eq. 2).

        Returns:
            The answers after those steps, [n, K].
        """
        config = self.model.config
        num_frames = [config.num_focus_frames] * len(states) if config.classifies_clips else steps
        if undecided := [state for state in states if state.frame_indices is None]:
            self._decide(undecided)
        self._look(states, num_frames)
        found = np.empty((len(states), self.model.config.num_classes))
        ranked = sorted(range(len(states)), key=lambda place: num_frames[place])
        for _, group in groupby(ranked, key=lambda place: num_frames[place]):
            places = list(group)
            chosen = [states[place] for place in places]
            glanced = torch.cat([state.global_features for state in chosen])
            focused = torch.cat([torch.cat(state.local_features, dim=1) for state in chosen])
            found[places] = self._probabilities(self.model.classifier.last_step(glanced, focused), chosen)
        return found

    def _decide(self, states: Sequence[CaseState]) -> None:
        """Choose frames and boxes (sections 4.1.2 and 4.2); the maps are not needed after that."""
        maps = torch.cat([state.global_maps for state in states if state.global_maps is not None])
        features = torch.cat([state.global_features for state in states])
        decision = self.model.decide(GlanceOutput(maps, features))
        indices = self.model.select_frames(decision)
        if self.order == "weight" and not self.model.local_encoder.mixes_frames:
            indices = indices.gather(
                1, by_weight(decision.frame_weights, self.model.config.num_frames, indices)
            )
        boxes = self.model.place_boxes(decision, indices)
        crops = [len(state.frames) for state in states]
        parts = (torch.split(part, crops) for part in (indices, boxes, decision.frame_weights))
        for state, chosen, places, weights in zip(states, *parts, strict=True):
            state.global_maps, state.frame_indices, state.boxes = None, chosen, places
            state.frame_weights = weights

    def _look(self, states: Sequence[CaseState], num_frames: Sequence[int]) -> None:
        """Run f_L on the patches that each case has not seen yet, all cases in one call."""
        config = self.model.config
        images, boxes, shapes = [], [], []
        for state, number in zip(states, num_frames, strict=True):
            assert state.frame_indices is not None
            assert state.boxes is not None
            chosen = slice(state.num_seen, number)
            indices = state.frame_indices[:, chosen].to(state.frames.device)
            images.append(self._prepared(take_frames(state.frames, indices).flatten(0, 1)))
            boxes.append(state.boxes[:, chosen].flatten(0, 1))
            shapes.append(indices.shape)
        patches = self.model.resample(torch.cat(images), torch.cat(boxes), config.patch_size)
        clip = config.num_focus_frames if self.model.local_encoder.mixes_frames else 1
        features = self.model.encode_patches(patches.view(-1, clip, *patches.shape[1:])).flatten(0, 1)
        pieces = torch.split(features, [crops * number for crops, number in shapes])
        for state, piece, shape in zip(states, pieces, shapes, strict=True):
            state.local_features.append(piece.view(*shape, -1))

    def _probabilities(self, logits: Tensor, states: Sequence[CaseState]) -> Floats:
        """Return each case's mean over its crops, in float64, of logits [all crops, K]."""
        probabilities = logits.double().softmax(-1).cpu()
        means = [rows.mean(0) for rows in torch.split(probabilities, [len(state.frames) for state in states])]
        return np.asarray(torch.stack(means).numpy(), dtype=np.float64)

    def _glanced(self, case: CaseFrames) -> Tensor:
        """Return the frames of the glance alone: the others need be neither moved nor prepared."""
        return self.model.glance_frames(case.frames if case.glance_frames is None else case.glance_frames)

    def _prepared(self, frames: Tensor) -> Tensor:
        """Return frames [N, C, H, W] or [V, T, C, H, W] as an encoder takes them, on the model's device."""
        moved = frames.to(self.device, non_blocking=True)
        return moved if self._prepare is None else self._prepare(moved)
