"""Does an exported model choose the same frames, place the same boxes and give the same answers as the model?"""

import numpy as np
import numpy.typing as npt
import torch

from neurofocus.errors import NeurofocusError
from neurofocus.inference.graph_files import GraphRuntime
from neurofocus.inference.onnx_stages import CaseArrays, ExitGraphs, GraphState, OnnxStages
from neurofocus.model.outputs import ModelOutput
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.export import Agreement
from neurofocus.schema.model import ModelConfig

__all__ = ["TOLERANCE", "compare_graphs", "structured_frames"]

TOLERANCE = 1e-4  # of probabilities, and of boxes as a share of the frame's side
_CELLS = 6  # of the coarse pattern in a frame, each side


def compare_graphs(
    model: UniAdaFocus, graphs: ExitGraphs, *, runtime: GraphRuntime, cases: int = 50, seed: int = 0
) -> Agreement:
    """Run model and graphs on the same random frames, every exit step of one case after the other.

    Args:
        model: in evaluation mode, on the CPU.
        graphs: exported from it.
        runtime: what runs them.
        cases: how many.
        seed: of the frames.

    Raises:
        NeurofocusError: answers are not finite.
    """
    stages = OnnxStages(graphs, model.config)
    equal, box_difference, difference = 0, 0.0, 0.0
    for number in range(cases):
        case = structured_frames(model.config, np.random.default_rng([seed, number]))
        with torch.no_grad():
            expected: ModelOutput = model(*_streams(case))
        answers, state = _all_answers(stages, case)
        assert state.frame_indices is not None
        assert state.boxes is not None
        wanted = expected.logits[0, -len(answers) :].double().softmax(-1).numpy()
        if not (np.isfinite(wanted).all() and np.isfinite(answers).all()):
            raise NeurofocusError(
                "export: answers are not finite; the model's weights are damaged or its training has diverged, train it again"
            )
        difference = max(difference, float(np.abs(wanted - answers).max()))
        box_difference = max(box_difference, float(np.abs(expected.boxes.numpy() - state.boxes).max()))
        equal += bool((expected.frame_indices.numpy() == state.frame_indices).all())
    return Agreement(
        runtime=runtime,
        cases=cases,
        seed=seed,
        equal_frames=equal / cases,
        box_difference=box_difference,
        probability_difference=difference,
    )


def structured_frames(config: ModelConfig, rng: np.random.Generator) -> CaseArrays:
    """Return one case of random frames with a coarse pattern that changes over time, an edge and noise.

    Noise alone would show every frame alike, so that no frame or place stood out.

    Args:
        config: of the model that will see them.
        rng: draws them.
    """
    separate = config.streams == "separate"
    frames = _clip(config, config.num_frames, rng)
    return CaseArrays(frames, _clip(config, config.num_glance_frames, rng) if separate else None)


def _clip(config: ModelConfig, length: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    side, colours = config.frame_size, config.frame_channels
    repeats = -(-side // _CELLS)
    level = rng.normal(size=(1, length, colours, 1, 1)).cumsum(1) / np.sqrt(length)
    coarse = rng.normal(size=(1, length, colours, _CELLS, _CELLS))
    pattern = coarse.repeat(repeats, axis=-2).repeat(repeats, axis=-1)[..., :side, :side]
    noise = rng.normal(size=(1, length, colours, side, side))
    return np.asarray(level + pattern + 0.25 * noise, dtype=np.float32)


def _streams(case: CaseArrays) -> list[torch.Tensor]:
    streams = (case.frames, case.glance_frames)
    return [torch.from_numpy(stream) for stream in streams if stream is not None]


def _all_answers(stages: OnnxStages, case: CaseArrays) -> tuple[npt.NDArray[np.float64], GraphState]:
    """Return the answers after the glance, if any, and after every focus exit, [E, K], and what was kept."""
    config = stages.config
    states = stages.glance([case])
    answers = [stages.glance_probabilities(states)] if stages.num_global_exits else []
    exits = 1 if config.classifies_clips else config.num_focus_frames
    answers += [stages.focus(states, [number]) for number in range(1, exits + 1)]
    return np.concatenate(answers), states[0]
