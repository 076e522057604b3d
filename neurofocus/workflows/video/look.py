"""What a model does with one clip: all of its work, or as much as a budget asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurofocus.early_exit.decide import rule_for_budget
from neurofocus.early_exit.runner import run_with_exits
from neurofocus.inference.torch_stages import CaseFrames, CaseState, TorchStages
from neurofocus.model.cost import measure_cost
from neurofocus.model.outputs import ModelOutput
from neurofocus.training.inference import evaluating
from neurofocus.workflows.video.bundle import VideoModel, able_to_stop

__all__ = ["Look", "check_budget", "look_closely", "look_within"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """What came of one clip.

    Attributes:
        probabilities: [K].
        gflops: what the answer cost, 1e9 multiply-adds.
        weights: of the glance frames, [T]; None: the model stopped before it weighed them.
        frames: the focus frames that were looked at, in time, as places among the candidates, [F].
        boxes: on those frames, [F, 4].
        exits: where it stopped, under which budget, and what that budget promises; None: there is none.
    """

    probabilities: Floats
    gflops: float
    weights: Floats | None
    frames: npt.NDArray[np.int64]
    boxes: Floats
    exits: dict[str, Any] | None = None


def look_closely(video: VideoModel, frames: Tensor, glance_frames: Tensor | None) -> Look:
    """Run the whole model on one clip.

    Args:
        video: the model.
        frames: the candidates for focus, [T0, C, H, W].
        glance_frames: the frames for the glance where the streams differ, [T, C, H, W].
    """
    device = next(video.model.parameters()).device
    streams = [stream.unsqueeze(0).to(device) for stream in (frames, glance_frames) if stream is not None]
    with evaluating(video.model):
        output: ModelOutput = video.model(*streams)
    return Look(
        probabilities=output.logits[0, -1].double().softmax(-1).cpu().numpy(),
        gflops=measure_cost(video.config.model).gflops,
        weights=_numbers(output.frame_weights),
        frames=output.frame_indices[0].cpu().numpy(),
        boxes=_numbers(output.boxes),
    )


def check_budget(video: VideoModel, budget: float) -> None:
    """Refuse a budget that ``look_within`` cannot keep.

    Raises:
        ConfigError: the model has no thresholds, or the budget is below its cheapest exit.
    """
    rule_for_budget(able_to_stop(video, video.exits)[1].plan, budget)


def look_within(video: VideoModel, frames: Tensor, glance_frames: Tensor | None, budget: float) -> Look:
    """Run the model on one clip until it is sure enough for a budget; see ``look_closely``.

    Raises:
        ConfigError: the model has no thresholds, or the budget is below its cheapest exit.
    """
    model, exits = able_to_stop(video, video.exits)
    plan = exits.plan
    rule = rule_for_budget(plan, budget)
    with evaluating(model):
        stages = _WatchedStages(model, order=plan.order)
        clip = CaseFrames(frames.unsqueeze(0), None if glance_frames is None else glance_frames.unsqueeze(0))
        (answer,) = run_with_exits(stages, [clip], plan, rule, batch_size=1)
    (state,) = stages.states
    chosen, boxes = torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4)
    if state.frame_indices is not None and state.boxes is not None:
        chosen, boxes = state.frame_indices[0, : state.num_seen], state.boxes[0, : state.num_seen]
    in_time = chosen.argsort()
    return Look(
        probabilities=answer.probabilities,
        gflops=answer.gflops,
        weights=None if state.frame_weights is None else _numbers(state.frame_weights),
        frames=chosen[in_time].cpu().numpy(),
        boxes=boxes[in_time].double().cpu().numpy(),
        exits={
            "budget": budget,
            "gflops_spent": answer.gflops,
            "full_gflops": plan.ladder.gflops[-1],
            "exit_step": answer.step + 1,
            "last_step": plan.ladder.steps[-1] + 1,
            "focus_frames": len(chosen),
            "expected": {"gflops": rule.gflops, "top1": rule.accuracy, "from": exits.solved_on},
        },
    )


class _WatchedStages(TorchStages):
    """Stages whose cases can be looked at afterwards.

    Attributes:
        states: of the cases glanced at last.
    """

    states: list[CaseState]

    def glance(self, cases: Sequence[CaseFrames]) -> list[CaseState]:
        self.states = super().glance(cases)
        return self.states


def _numbers(values: Tensor) -> Floats:
    """Return the first row."""
    return np.asarray(values[0].double().cpu().numpy(), dtype=np.float64)
