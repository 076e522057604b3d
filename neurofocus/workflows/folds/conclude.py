"""What a training is worth: threshold and exits from its validation part, then the answers for its test part."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from neurofocus.data.loaders import evaluation_loader
from neurofocus.early_exit.plan import solve_plan
from neurofocus.evaluation.thresholds import choose_threshold, decide
from neurofocus.model.cost import measure_cost
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.training.distributed import is_main, part
from neurofocus.training.inference import predict_cases
from neurofocus.training.state import TrainingState
from neurofocus.workflows.exits import ladder_of
from neurofocus.workflows.folds.job import FoldJob, Role
from neurofocus.workflows.folds.record import write_outputs

__all__ = ["answer_values", "conclude"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def conclude(job: FoldJob, folder: Path, state: TrainingState, how: Mapping[str, Any]) -> None:
    """Choose threshold and exits on the validation part, predict the test part and write everything.

    Args:
        job: whose training it was.
        folder: of the fold.
        state: of the finished training; its model takes the best weights.
        how: more for validation.json: threads, processes, device.
    """
    model, config = state.model, job.config
    assert isinstance(model, UniAdaFocus)
    model.load_state_dict(state.best_weights)
    validation, logits = _logits(job, model, "validation").softmax(-1).numpy(), _logits(job, model, "test")
    labels = job.cases["label"].to_numpy(dtype=np.int64)[job.rows("validation")]
    threshold = _threshold(labels, validation[:, -1])
    ladder = ladder_of(model, config.exit.every)
    plan = solve_plan(validation, answer_values(labels, validation, threshold), ladder, config.exit)
    test = logits[:, -1].softmax(-1).numpy()
    gflops = measure_cost(config.model).gflops
    predictions = _prediction_table(job, test, decide(test, threshold), gflops)
    chosen = {
        "fold": job.fold,
        "threshold": threshold,
        "cases": len(validation),
        "gflops": gflops,
        "exits": plan.model_dump(mode="json"),
    }
    if is_main():
        exit_logits = logits[:, list(ladder.steps)].numpy().astype(np.float32)
        write_outputs(folder, state, predictions, {**chosen, **how}, exit_logits=exit_logits)


def answer_values(labels: Ints, probabilities: Floats, threshold: float | None) -> Floats:
    """Return what the answer at every exit step is worth, [N, E]: its mean over the cases is the balanced accuracy.

    Args:
        labels: [N].
        probabilities: [N, E, K].
        threshold: on the positive class of two, the same for every step: an answer is right if the decision is.
    """
    decided = decide(probabilities, threshold)
    members = np.bincount(labels, minlength=probabilities.shape[-1])
    shares = len(labels) / (np.count_nonzero(members) * members[labels])
    return np.asarray(shares[:, None] * (decided == labels[:, None]), dtype=np.float64)


def _logits(job: FoldJob, model: UniAdaFocus, role: Role) -> Tensor:
    """Return the logits of every exit step of the cases of a role, float64 [N, E, K]."""
    dataset = job.dataset(role)
    if len(dataset) == 0:
        steps = len(measure_cost(job.config.model).exit_gflops)
        return torch.zeros(0, steps, len(job.classes), dtype=torch.float64)
    loader = evaluation_loader(dataset, job.config.train.batch_size, part=part())
    return predict_cases(model, loader, order=job.config.exit.order).logits


def _threshold(labels: Ints, probabilities: Floats) -> float | None:
    """Choose the threshold on validation; None with more than two classes, or one class at hand."""
    if probabilities.shape[1] != 2 or len(set(labels.tolist())) < 2:
        return None
    return choose_threshold(labels, probabilities[:, 1])


def _prediction_table(job: FoldJob, probabilities: Floats, predicted: Ints, gflops: float) -> pd.DataFrame:
    cases = job.cases.iloc[job.rows("test")]
    table = pd.DataFrame(
        {
            "participant_id": cases["participant_id"].to_numpy(),
            "session_id": cases["session_id"].to_numpy(),
            "fold": job.fold,
            "label": [job.classes[label] for label in cases["label"]],
            "predicted": [job.classes[label] for label in predicted],
        }
    )
    for number, name in enumerate(job.classes):
        table[f"prob_{name}"] = probabilities[:, number]
    table["gflops"] = gflops
    return table
