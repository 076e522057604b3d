import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurofocus.early_exit.decide import exit_positions, rule_for_budget
from neurofocus.errors import ConfigError
from neurofocus.schema.early_exit import ExitLadder, ExitPlan, ExitRule

PLAN = ExitPlan(
    criterion="entropy",
    order="time",
    ladder=ExitLadder(steps=(3, 7, 11), gflops=(1.0, 2.0, 4.0)),
    rules=(
        ExitRule(thresholds=(-1.0, -1.0), gflops=4.0, accuracy=0.9),
        ExitRule(thresholds=(-1.0, 0.4), gflops=3.0, accuracy=0.8),
        ExitRule(thresholds=(0.2, 0.6), gflops=2.0, accuracy=0.6),
        ExitRule(thresholds=(0.7, 0.7), gflops=1.0, accuracy=0.5),
    ),
)


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 99))
def test_the_first_sure_step_takes_the_case(count: int, steps: int, seed: int) -> None:
    draws = np.random.default_rng(seed)
    unsure = draws.choice([0.0, 0.2, 0.4, 0.6], (count, steps))  # ties with thresholds
    thresholds = draws.choice([-1.0, 0.0, 0.2, 0.5], steps - 1)
    expected = []
    for case in unsure:
        step = 0
        while step < steps - 1 and not case[step] <= thresholds[step]:
            step += 1
        expected.append(step)
    assert exit_positions(unsure, thresholds).tolist() == expected


def test_a_budget_between_two_rules_is_interpolated() -> None:
    rule = rule_for_budget(PLAN, 1.5)
    assert rule.thresholds == pytest.approx((0.45, 0.65))
    assert (rule.gflops, rule.accuracy) == pytest.approx((1.5, 0.55))


def test_never_counts_as_zero_between_two_rules() -> None:
    assert rule_for_budget(PLAN, 2.25).thresholds == pytest.approx((0.15, 0.55))
    assert rule_for_budget(PLAN, 3.5).thresholds == pytest.approx((-1.0, 0.2))


@pytest.mark.parametrize(("budget", "position"), [(4.0, 0), (99.0, 0), (3.0, 1), (2.0, 2), (1.0, 3)])
def test_a_rules_own_budget_gives_that_rule(budget: float, position: int) -> None:
    assert rule_for_budget(PLAN, budget) == PLAN.rules[position]


@pytest.mark.parametrize("budget", [0.99, 0.0, -3.0])
def test_a_budget_below_the_cheapest_exit_is_refused(budget: float) -> None:
    with pytest.raises(ConfigError, match=r"--budget .*below the cheapest exit; give 1 GFLOPs or more"):
        rule_for_budget(PLAN, budget)


@pytest.mark.parametrize("budget", [float("nan"), float("inf")])
def test_a_budget_is_a_number(budget: float) -> None:
    with pytest.raises(
        ConfigError, match=rf"--budget {budget}: not a number of GFLOPs; give 1 GFLOPs or more"
    ):
        rule_for_budget(PLAN, budget)


def test_models_that_share_a_budget_are_told_of_the_whole() -> None:
    assert rule_for_budget(PLAN, 4.5, num_models=3) == rule_for_budget(PLAN, 1.5)
    with pytest.raises(ConfigError, match=r"--budget 2\.9: below .* give 3 GFLOPs .*complete answer: 12\)"):
        rule_for_budget(PLAN, 2.9, num_models=3)


@pytest.mark.parametrize("least", [0.1234449, 41.2341, 7.0001e-3, 12345.0])
def test_the_least_budget_that_is_told_is_accepted(least: float) -> None:
    ladder = ExitLadder(steps=(0, 1), gflops=(least, 2 * least))
    rules = tuple(
        ExitRule(thresholds=(value,), gflops=cost * least, accuracy=1) for value, cost in ((-1, 2), (1, 1))
    )
    plan = ExitPlan(criterion="entropy", order="time", ladder=ladder, rules=rules)
    with pytest.raises(ConfigError) as caught:
        rule_for_budget(plan, 0.9 * least, num_models=5)
    told = float(str(caught.value).split("give ")[1].split()[0])
    assert rule_for_budget(plan, told, num_models=5).gflops == pytest.approx(least, rel=1e-3)
