"""``neurofocus predict --budget``: every fold model gets an equal share, and stops when it is sure enough."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from neurofocus.early_exit.decide import rule_for_budget
from neurofocus.early_exit.runner import ExitAnswer, run_with_exits
from neurofocus.errors import ConfigError
from neurofocus.explain.attribution import Look
from neurofocus.inference.stages import stages_of
from neurofocus.inference.torch_stages import CaseFrames
from neurofocus.schema.early_exit import ExitPlan, ExitRule
from neurofocus.workflows.bundle import ModelBundle
from neurofocus.workflows.exits import focus_frames_of

__all__ = ["BudgetedAnswer", "ExitBudget", "answer_within", "exit_budget"]


@dataclass(frozen=True)
class ExitBudget:
    """What a budget asks of each fold model.

    Attributes:
        gflops: for one scan and all fold models, 1e9 multiply-adds, on average over scans.
        plans: of each fold model.
        rules: the thresholds of its share of the budget.
        cross_validated: what one fold model alone reached on its test scans at its share, or the next smaller one that was
            tried: budget, gflops and balanced_accuracy with its interval; none: an older bundle does not say.
    """

    gflops: float
    plans: tuple[ExitPlan, ...]
    rules: tuple[ExitRule, ...]
    cross_validated: Mapping[str, Any] | None


@dataclass(frozen=True)
class BudgetedAnswer:
    """What came of one scan.

    Attributes:
        budget: what was asked.
        answers: of each fold model.
        looks: how far each of them looked.
        num_focus_frames: T_L, all that one could look at.
    """

    budget: ExitBudget
    answers: tuple[ExitAnswer, ...]
    looks: tuple[Look, ...]
    num_focus_frames: int

    @property
    def gflops(self) -> float:
        """What all fold models spent, 1e9 multiply-adds."""
        return sum(answer.gflops for answer in self.answers)

    @property
    def expected_gflops(self) -> float:
        """What all fold models together spend on average, by the validation scans."""
        return sum(rule.gflops for rule in self.budget.rules)

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """The mean over the fold models, [K]."""
        return np.asarray(np.mean([answer.probabilities for answer in self.answers], axis=0))

    def document(self) -> dict[str, Any]:
        """Return the group "exits" of prediction.json."""
        parts = zip(self.answers, self.looks, self.budget.rules, strict=True)
        return {
            "budget": self.budget.gflops,
            "gflops_spent": self.gflops,
            "expected": {"gflops": self.expected_gflops, "from": "validation scans of each fold"},
            "cross_validated": self.budget.cross_validated,
            "fold_models": [
                {
                    "fold_model": number,
                    "exit_step": answer.step + 1,
                    "focus_frames": look.focus_frames,
                    "gflops": answer.gflops,
                    "expected": {"gflops": rule.gflops},
                }
                for number, (answer, look, rule) in enumerate(parts, start=1)
            ],
        }

    def line(self) -> str:
        """Return what a person reads about the budget."""
        seen = ", ".join(str(look.focus_frames) for look in self.looks)
        found = (self.budget.cross_validated or {}).get("balanced_accuracy", {"value": None})
        words = "; cross-validation: balanced accuracy {value:.3f} (95 % interval {low:.3f} to {high:.3f}) a fold model"
        accuracy = "" if None in found.values() else words.format(**found)  # too few scans have no interval
        return (
            f"{self.budget.gflops:.4g} GFLOPs: spent {self.gflops:.4g}, expected {self.expected_gflops:.4g}{accuracy}; focus frames "
            f"seen: {seen} of {self.num_focus_frames}"
        )


def exit_budget(bundle: ModelBundle, gflops: float) -> ExitBudget:
    """Return the thresholds with which a bundle spends a budget, an equal share for each fold model.

    Args:
        bundle: its fold models' plans were solved on their validation scans.
        gflops: mean of a scan for all fold models together, 1e9 multiply-adds.

    Raises:
        ConfigError: the bundle has no exits, or the budget is below the cheapest exit.
    """
    folds = bundle.manifest.folds
    plans = tuple(fold.exits for fold in folds if fold.exits is not None)
    if len(plans) < len(folds):
        raise ConfigError(
            f"--budget {gflops:g}: the bundle {bundle.manifest.name!r} was made without exits; leave --budget out, or make "
            "the bundle again with 'neurofocus cv' of this version"
        )
    rules = tuple(rule_for_budget(plan, gflops, num_models=len(plans)) for plan in plans)
    return ExitBudget(gflops, plans, rules, _cross_validated(bundle, gflops / len(plans)))


def _cross_validated(bundle: ModelBundle, share: float) -> Mapping[str, Any] | None:
    """Return the dearest of the budgets scored on test scans that one model's share pays for."""
    points = (bundle.manifest.metrics.get("exits") or {}).get("conditional", ())
    paid = [point for point in points if point["budget"] <= share * (1 + 1e-9)]
    if not paid:
        return None
    best = max(paid, key=lambda point: float(point["budget"]))
    return {name: best[name] for name in ("budget", "gflops", "balanced_accuracy")}


def answer_within(budget: ExitBudget, bundle: ModelBundle, frames: Tensor) -> BudgetedAnswer:
    """Let every fold model look at a scan until it is sure enough; what it need not see is not computed.

    Args:
        budget: of this bundle.
        bundle: the fold models.
        frames: [1, T0, C, H, W] as the models see them.
    """
    answers, looks = [], []
    for model, plan, rule in zip(bundle.networks, budget.plans, budget.rules, strict=True):
        stages = stages_of(model, order=plan.order)
        (answer,) = run_with_exits(stages, [CaseFrames(frames)], plan, rule, batch_size=1)
        answers.append(answer)
        looks.append(Look(focus_frames_of(model, answer.step), plan.order))
    return BudgetedAnswer(budget, tuple(answers), tuple(looks), bundle.manifest.config.model.num_focus_frames)
