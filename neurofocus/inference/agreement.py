"""Does an exported model choose the same frames, place the same boxes and give the same answers as the model?

The model's answers lie beside the graphs, and the frames they are for can be drawn again from their seed, so that the
question can be asked wherever the graphs run. Runs without PyTorch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurofocus.errors import NeurofocusError
from neurofocus.inference.onnx_stages import CaseArrays, GraphState, OnnxStages
from neurofocus.schema.export import Agreement
from neurofocus.schema.model import ModelConfig

__all__ = [
    "TOLERANCE",
    "KnownAnswers",
    "agreement_line",
    "agrees",
    "compare",
    "draw_case",
    "read_answers",
    "write_answers",
]

TOLERANCE = 1e-4  # of probabilities, and of boxes as a share of the frame's side
_CELLS = 6  # of the coarse pattern in a frame, each side
_BATCH = 4  # not the examples' size that the graphs were traced with
_Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class KnownAnswers:
    """What a model of PyTorch answered for N random cases.

    Attributes:
        seed: of the cases; see ``draw_case``.
        means: of each case's pixels, [N]: other means are other cases.
        frames: the focus frames, int64 [N, F].
        boxes: of those frames, [N, F, 4].
        probabilities: after the glance, if that is an exit, and after every focus exit, [N, E, K].
    """

    seed: int
    means: _Floats
    frames: npt.NDArray[np.int64]
    boxes: _Floats
    probabilities: _Floats


def write_answers(path: Path, answers: KnownAnswers) -> None:
    """Write answers as .npz."""
    with path.open("wb") as stream:
        np.savez(
            stream,
            seed=answers.seed,
            means=answers.means,
            frames=answers.frames,
            boxes=answers.boxes,
            probabilities=answers.probabilities,
        )


def read_answers(path: Path) -> KnownAnswers:
    """Read what ``write_answers`` wrote."""
    with np.load(path, allow_pickle=False) as found:
        return KnownAnswers(
            int(found["seed"]), found["means"], found["frames"], found["boxes"], found["probabilities"]
        )


def compare(stages: OnnxStages, known: KnownAnswers, *, runtime: str) -> Agreement:
    """Run an exported model on the cases whose answers are known, every exit step of each.

    Args:
        stages: of the exported model, focus frames in time.
        known: the model's own answers.
        runtime: what runs the graphs.

    Raises:
        NeurofocusError: answers are not finite, or this NumPy draws other cases.
    """
    number = len(known.frames)
    equal, box_difference, difference = 0, 0.0, 0.0
    for start in range(0, number, _BATCH):
        rows = slice(start, min(start + _BATCH, number))
        cases = [draw_case(stages.config, known.seed, place) for place in range(rows.start, rows.stop)]
        if not np.allclose([case.frames.mean() for case in cases], known.means[rows], atol=1e-5):
            raise NeurofocusError(
                f"this NumPy ({np.__version__}) draws other cases from seed {known.seed} than the one at export; export again "
                "with this version"
            )
        answers, states = _all_answers(stages, cases)
        wanted = known.probabilities[rows].astype(np.float64)
        if not (np.isfinite(wanted).all() and np.isfinite(answers).all()):
            raise NeurofocusError(
                "answers are not finite; the model's weights are damaged or its training has diverged, train it again"
            )
        frames, boxes = (np.concatenate(parts) for parts in zip(*map(_decided, states), strict=True))
        difference = max(difference, float(np.abs(wanted - answers).max()))
        box_difference = max(box_difference, float(np.abs(known.boxes[rows] - boxes).max()))
        equal += int((known.frames[rows] == frames).all(1).sum())
    return Agreement.model_validate(
        {
            "runtime": runtime,
            "cases": number,
            "equal_frames": equal / number,
            "box_difference": box_difference,
            "probability_difference": difference,
        }
    )


def agrees(found: Agreement, config: ModelConfig) -> bool:
    """Say whether frames are equal, and boxes and probabilities as near as float32 allows."""
    near = found.box_difference <= TOLERANCE * config.frame_size
    return found.equal_frames == 1 and near and found.probability_difference <= TOLERANCE


def agreement_line(number: int, found: Agreement) -> str:
    """Return one line on how a fold's graphs compare with its model."""
    return (
        f"fold {number}: {found.equal_frames:.1%} of {found.cases} cases with equal frames; largest difference "
        f"{found.probability_difference:.1e} of a probability, {found.box_difference:.1e} pixels of a box  ({found.runtime})"
    )


def draw_case(config: ModelConfig, seed: int, number: int) -> CaseArrays:
    """Return one case of random frames with a coarse pattern that changes over time, an edge and noise.

    Noise alone would show every frame alike, so that no frame or place stood out.

    Args:
        config: of the model that will see them.
        seed: of all cases.
        number: which of them, from 0.
    """
    rng = np.random.default_rng([seed, number])
    frames = _clip(config, config.num_frames, rng)
    separate = config.streams == "separate"
    return CaseArrays(frames, _clip(config, config.num_glance_frames, rng) if separate else None)


def _clip(config: ModelConfig, length: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    side, colours = config.frame_size, config.frame_channels
    repeats = -(-side // _CELLS)
    level = rng.standard_normal((1, length, colours, 1, 1)).cumsum(1) / np.sqrt(length)
    coarse = (rng.standard_normal((1, length, colours, _CELLS, _CELLS)) + level).astype(np.float32)
    pattern = coarse.repeat(repeats, axis=-2).repeat(repeats, axis=-1)[..., :side, :side]
    noise = rng.standard_normal((1, length, colours, side, side), dtype=np.float32)
    return np.asarray(pattern + np.float32(0.25) * noise)


def _all_answers(stages: OnnxStages, cases: list[CaseArrays]) -> tuple[_Floats, list[GraphState]]:
    """Return the answers after the glance, if any, and after every focus exit, [n, E, K], and what was kept."""
    states = stages.glance(cases)
    answers = [stages.glance_probabilities(states)] if stages.num_global_exits else []
    answers += [
        stages.focus(states, [number] * len(cases)) for number in range(1, stages.num_focus_exits + 1)
    ]
    return np.stack(answers, axis=1), states


def _decided(state: GraphState) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    assert state.frame_indices is not None
    assert state.boxes is not None
    return state.frame_indices, state.boxes
