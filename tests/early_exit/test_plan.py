"""Both solvers of Eq. 23, on made-up validation predictions and against brute force."""

from itertools import pairwise, product
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofocus.early_exit.compare import exit_steps, random_exits
from neurofocus.early_exit.criteria import always, uncertainty
from neurofocus.early_exit.decide import exit_positions
from neurofocus.early_exit.frontier import frontier
from neurofocus.early_exit.geometric import geometric_thresholds
from neurofocus.early_exit.plan import exit_ladder, solve_plan
from neurofocus.schema.early_exit import ExitConfig, ExitPlan

Solver = Literal["accuracy", "geometric"]
SOLVERS: tuple[Solver, ...] = ("accuracy", "geometric")
COSTS = (1.0, 1.0, 1.5, 2.0, 3.0)  # two glance steps at one price, three focus frames
LADDER = exit_ladder(COSTS, 3, every=1)


def predictions(seed: int, count: int = 300, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [N, 5, K] that sharpen towards the truth, faster for easy cases, and whether they are right."""
    draws = np.random.default_rng(seed)
    labels = draws.integers(classes, size=count)
    ease = draws.gamma(1.0, 1.0, count)
    logits = draws.normal(0, 1, (count, 5, classes)).cumsum(1) * 0.3
    for step in range(5):
        logits[np.arange(count), step, labels] += ease * (0.5 + step)
    exponents = np.exp(logits)
    probabilities = exponents / exponents.sum(-1, keepdims=True)
    return probabilities, (probabilities.argmax(-1) == labels[:, None]).astype(float)


def plan(seed: int, solver: Solver) -> ExitPlan:
    return solve_plan(*predictions(seed), LADDER, ExitConfig(solver=solver, num_budgets=9))


@pytest.mark.parametrize(
    ("every", "steps"),
    [(1, (1, 2, 3, 4)), (2, (1, 3, 4)), (3, (1, 4)), (9, (1, 4))],
)
def test_exits_after_the_glance_and_after_every_few_frames(every: int, steps: tuple[int, ...]) -> None:
    ladder = exit_ladder(COSTS, 3, every=every)
    assert ladder.steps == steps
    assert ladder.gflops == tuple(COSTS[step] for step in steps)


def test_without_reuse_of_the_glance_the_first_exit_has_focus_frames() -> None:
    assert exit_ladder((2.0, 3.0, 4.0), 3, every=2).steps == (1, 2)


@pytest.mark.parametrize("solver", SOLVERS)
@given(seed=st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_from_the_dearest_exit_to_the_cheapest_and_never_above_a_budget(solver: Solver, seed: int) -> None:
    rules = plan(seed, solver).rules
    costs = [rule.gflops for rule in rules]
    assert costs[0] == 3.0
    assert costs[-1] == pytest.approx(1.0)
    assert all(later < earlier for earlier, later in pairwise(costs))
    for budget, cost in zip(np.linspace(3, 1, 9), costs, strict=False):
        assert cost <= budget + 1e-9
        assert cost >= budget - 0.25  # most of it is spent


@pytest.mark.parametrize("solver", SOLVERS)
def test_what_a_rule_says_is_what_it_does(solver: Solver) -> None:
    probabilities, right = predictions(3)
    solved = plan(3, solver)
    for rule in solved.rules:
        steps = exit_steps(probabilities, solved, rule)
        assert np.array(COSTS)[steps].mean() == pytest.approx(rule.gflops)
        assert right[np.arange(len(steps)), steps].mean() == pytest.approx(rule.accuracy)


@pytest.mark.parametrize("solver", SOLVERS)
def test_better_than_chance_on_other_cases(solver: Solver) -> None:
    solved = plan(3, solver)
    probabilities, right = predictions(4, count=4000)
    for rule in solved.rules[1:-1]:
        steps = exit_steps(probabilities, solved, rule)
        dealt = random_exits(steps, seed=0)
        assert np.bincount(dealt).tolist() == np.bincount(steps).tolist()
        rows = np.arange(len(steps))
        assert right[rows, steps].mean() > right[rows, dealt].mean()


def test_the_walk_keeps_up_with_brute_force() -> None:
    """Of all pairs of thresholds on the same cases, the best are hardly better at the costs that the walk reaches."""
    costs, rows, highest = np.array([1.0, 1.5, 2.0]), np.arange(30), always(4, "entropy")
    regrets = []
    for seed in range(12):
        probabilities, right = predictions(seed, count=30)
        unsure, worth = uncertainty(probabilities[:, 1:4], "entropy"), right[:, 1:4]

        def reached(
            thresholds: np.ndarray, unsure: np.ndarray = unsure, worth: np.ndarray = worth
        ) -> tuple[float, float]:
            exits = exit_positions(unsure, thresholds)
            return float(costs[exits].mean()), float(worth[rows, exits].mean())

        pairs = product(*([-1.0, *unsure[:, step]] for step in range(2)))
        every = [reached(np.array(pair)) for pair in pairs]
        for thresholds in frontier(unsure, worth, costs, highest=highest, stride=0.05):
            cost, accuracy = reached(thresholds)
            regrets.append(max(value for spent, value in every if spent <= cost + 1e-9) - accuracy)
    assert min(regrets) >= -1e-9
    assert np.mean(regrets) < 0.05


def test_thresholds_of_the_walk_only_rise() -> None:
    probabilities, right = predictions(5)
    unsure = uncertainty(probabilities[:, 1:], "entropy")
    walk = np.array(
        list(frontier(unsure, right[:, 1:], np.array(COSTS[1:]), highest=always(4, "entropy"), stride=0.1))
    )
    assert (np.diff(walk, axis=0) >= 0).all()


def test_worth_decides_what_the_walk_keeps() -> None:
    """Later answers that are worse than the glance's are never waited for; better ones are."""
    probabilities, _ = predictions(6, count=100)
    worse = np.tile([0.0, 1.0, 0.5, 0.2, 0.1], (100, 1))
    costs = np.array(COSTS[1:])
    unsure = uncertainty(probabilities[:, 1:], "entropy")
    walk = list(frontier(unsure, worse[:, 1:], costs, highest=always(4, "entropy"), stride=9.0))
    assert exit_positions(unsure, walk[1]).tolist() == [0] * 100


def test_the_geometric_shares_by_hand() -> None:
    """Seven cases of distinct uncertainty; at q = 1/2 of three steps 4/7, 2/7 and 1/7 of them stop."""
    unsure = np.tile(np.linspace(0.1, 0.7, 7)[:, None], (1, 3))
    costs = np.array([1.0, 2.0, 3.0])
    budget = (4 * 1 + 2 * 2 + 1 * 3) / 7
    thresholds = geometric_thresholds(unsure, costs, budget, highest=2.0)
    assert np.bincount(exit_positions(unsure, thresholds)).tolist() == [4, 2, 1]
    assert thresholds == pytest.approx([0.45, 0.65])


def test_no_validation_case_is_a_mistake() -> None:
    probabilities, right = predictions(1)
    with pytest.raises(ValueError, match="need validation cases"):
        solve_plan(probabilities[:0], right[:0], LADDER, ExitConfig())
