"""What a model does with one clip: all of its work, or as much as a budget asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from neurofocus.early_exit.decide import rule_for_budget
from neurofocus.early_exit.runner import run_with_exits
from neurofocus.inference.stages import ExportedModel, Seen, Stages, seen_of, stages_of, whole
from neurofocus.inference.torch_stages import CaseFrames
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
        seen: what the model looked at.
        exits: where it stopped, under which budget, and what that budget promises; None: there is none.
    """

    probabilities: Floats
    gflops: float
    seen: Seen
    exits: dict[str, Any] | None = None


def look_closely(video: VideoModel, frames: Tensor, glance_frames: Tensor | None) -> Look:
    """Run the whole model on one clip.

    Args:
        video: the model.
        frames: the candidates for focus, [T0, C, H, W].
        glance_frames: the frames for the glance where the streams differ, [T, C, H, W].
    """
    gflops = measure_cost(video.config.model).gflops
    if isinstance(video.model, ExportedModel):
        probabilities, seen = whole(video.model, _case(frames, glance_frames))
        return Look(probabilities, gflops, seen)
    device = next(video.model.parameters()).device
    streams = [stream.unsqueeze(0).to(device) for stream in (frames, glance_frames) if stream is not None]
    with evaluating(video.model):
        output: ModelOutput = video.model(*streams)
    indices, boxes, weights = output.frame_indices, output.boxes, output.frame_weights
    return Look(
        probabilities=output.logits[0, -1].double().softmax(-1).cpu().numpy(),
        gflops=gflops,
        seen=Seen(indices[0].cpu().numpy(), _numbers(boxes), _numbers(weights)),
    )


def check_budget(video: VideoModel, budget: float) -> None:
    """Refuse a budget that ``look_within`` cannot keep.

    Raises:
        ConfigError: the model has no thresholds, or the budget is below its cheapest exit.
    """
    rule_for_budget(able_to_stop(video)[1].plan, budget)


def look_within(video: VideoModel, frames: Tensor, glance_frames: Tensor | None, budget: float) -> Look:
    """Run the model on one clip until it is sure enough for a budget; see ``look_closely``.

    Raises:
        ConfigError: the model has no thresholds, or the budget is below its cheapest exit.
    """
    network, exits = able_to_stop(video)
    plan = exits.plan
    rule = rule_for_budget(plan, budget)
    stages = _WatchedStages(stages_of(network, order=plan.order))
    (answer,) = run_with_exits(stages, [_case(frames, glance_frames)], plan, rule, batch_size=1)
    seen = seen_of(stages.states[0])
    return Look(
        probabilities=answer.probabilities,
        gflops=answer.gflops,
        seen=seen,
        exits={
            "budget": budget,
            "gflops_spent": answer.gflops,
            "full_gflops": plan.ladder.gflops[-1],
            "exit_step": answer.step + 1,
            "last_step": plan.ladder.steps[-1] + 1,
            "focus_frames": len(seen.frames),
            "expected": {**exits.expected(rule), "from": exits.solved_on},
        },
    )


class _WatchedStages:
    """Stages whose cases can be looked at afterwards.

    Attributes:
        states: of the cases glanced at last.
    """

    states: list[Any]

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self.num_global_exits = stages.num_global_exits
        self.glance_probabilities, self.focus = stages.glance_probabilities, stages.focus

    def glance(self, cases: Sequence[CaseFrames]) -> list[Any]:
        self.states = self._stages.glance(cases)
        return self.states


def _case(frames: Tensor, glance_frames: Tensor | None) -> CaseFrames:
    return CaseFrames(frames.unsqueeze(0), None if glance_frames is None else glance_frames.unsqueeze(0))


def _numbers(values: Tensor) -> Floats:
    """Return the first row."""
    return np.asarray(values[0].double().cpu().numpy(), dtype=np.float64)
