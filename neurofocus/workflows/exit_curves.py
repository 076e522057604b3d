"""Figure 12 of the paper for a cross-validation: every fold's own exits on its own test part, at the same budgets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurofocus.early_exit.criteria import uncertainty
from neurofocus.early_exit.decide import exit_positions, rule_for_budget
from neurofocus.evaluation.exits import share_figures
from neurofocus.evaluation.intervals import NUM_DRAWS, bootstrap_weights
from neurofocus.evaluation.thresholds import decide
from neurofocus.schema.early_exit import ExitConfig, ExitPlan, ExitRule
from neurofocus.workflows.folds.record import FoldResult

__all__ = ["budget_places", "exit_curves", "rule_at"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _FoldAnswers:
    """The complete answers of one fold for its test part.

    Attributes:
        result: the fold.
        labels: [N] class indices.
        unsure: at every step of its ladder, [N, S].
        right: whether the decision at every step is right, [N, S], 0 or 1.
        gflops: of a case that stops there, [S].
    """

    result: FoldResult
    labels: npt.NDArray[np.int64]
    unsure: Floats
    right: Floats
    gflops: Floats


def exit_curves(
    results: Sequence[FoldResult], classes: Sequence[str], settings: ExitConfig, *, seed: int
) -> dict[str, Any]:
    """Return what exits give on the test parts: with each fold's own rules, at random, and at fixed lengths.

    Args:
        results: every fold.
        classes: class names in order.
        settings: how the folds' plans were solved, and how many budgets to show.
        seed: of the bootstrap, which is that of the other figures.

    Returns:
        "conditional", "random" and "fixed": each a list from the cheapest to the dearest with mean GFLOPs,
        balanced accuracy and accuracy (value, low, high). Conditional exits add the budget, what validation
        promised, and "above_random", the difference of the balanced accuracies.
    """
    folds = [_answers(result, classes) for result in results]
    labels = np.concatenate([fold.labels for fold in folds])
    people = [name for fold in folds for name in fold.result.predictions["participant_id"]]
    weights = bootstrap_weights(people, labels.tolist(), seed=seed)
    places = budget_places(settings, results[0].exits)
    sizes = [len(fold.labels) for fold in folds]
    conditional, at_random = [], []
    for place in places:
        found = [_stopped(fold, place) for fold in folds]
        right, dealt, costs = (np.concatenate([each[part] for each in found]) for part in range(3))
        promised = np.average([each[3] for each in found], axis=0, weights=sizes)
        gflops = float(costs.mean())
        gain = share_figures(right - dealt, labels, weights)["balanced_accuracy"]
        conditional.append(
            {
                "budget": float(promised[0]),
                "gflops": gflops,
                "expected": {"gflops": float(promised[1]), "balanced_accuracy": float(promised[2])},
                **share_figures(right, labels, weights),
                "above_random": gain,
            }
        )
        at_random.append({"gflops": gflops, **share_figures(dealt, labels, weights)})
    fixed = [
        {
            "gflops": float(
                np.concatenate([np.full(len(fold.labels), fold.gflops[step]) for fold in folds]).mean()
            ),
            **share_figures(np.concatenate([fold.right[:, step] for fold in folds]), labels, weights),
        }
        for step in range(len(folds[0].gflops))
    ]
    return {
        **settings.model_dump(mode="json"),
        "gflops_unit": "1e9 multiply-adds a case and model",
        "interval": f"95 % percentile bootstrap by subject within label, {NUM_DRAWS} draws",
        "random_rule": "each fold's stops dealt to its test scans at random; the mean over all deals",
        "conditional": conditional,
        "random": at_random,
        "fixed": fixed,
    }


def budget_places(settings: ExitConfig, plan: ExitPlan) -> list[float]:
    """Return where the shown budgets lie, from 0 at the cheapest exit to 1 at the dearest."""
    return np.linspace(0, 1, settings.num_budgets).tolist() if len(plan.ladder.steps) > 1 else [1.0]


def rule_at(plan: ExitPlan, place: float) -> tuple[float, ExitRule]:
    """Return the budget at a place, and the thresholds for it."""
    cheapest, dearest = plan.ladder.gflops[0], plan.ladder.gflops[-1]
    budget = cheapest + place * (dearest - cheapest)
    return budget, rule_for_budget(plan, budget)


def _answers(result: FoldResult, classes: Sequence[str]) -> _FoldAnswers:
    order = {name: index for index, name in enumerate(classes)}
    labels = np.array([order[name] for name in result.predictions["label"]], dtype=np.int64)
    # As the fold itself took them, so that decisions are the same to the last bit.
    probabilities = torch.from_numpy(result.exit_logits).double().softmax(-1).numpy()
    decided = decide(probabilities, result.threshold)
    return _FoldAnswers(
        result,
        labels,
        uncertainty(probabilities, result.exits.criterion),
        (decided == labels[:, None]).astype(np.float64),
        np.array(result.exits.ladder.gflops),
    )


def _stopped(fold: _FoldAnswers, place: float) -> tuple[Floats, Floats, Floats, tuple[float, float, float]]:
    """Return which answers are right [N], how likely at random [N], the costs [N]; and budget, cost and accuracy expected.

    Args:
        fold: its answers.
        place: of the budget, from 0 at the cheapest exit to 1 at the dearest.
    """
    budget, rule = rule_at(fold.result.exits, place)
    exits = exit_positions(fold.unsure, rule.thresholds)
    shares = np.bincount(exits, minlength=len(fold.gflops)) / max(len(exits), 1)
    right = fold.right[np.arange(len(exits)), exits]
    return right, fold.right @ shares, fold.gflops[exits], (budget, rule.gflops, rule.accuracy)
