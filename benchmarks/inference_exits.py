"""Seconds against the budget, with exits that skip work: `python benchmarks/inference_exits.py` (SYNTHETIC).

The ActivityNet network on videos without content (``inference_cases.py``); thresholds are solved on as many others.
Every budget runs the cases from pixels to answers by ``early_exit.runner``, at most a batch of them live; beside it all
cases run to the end, glance and all focus frames at once, by the same stages. Rounds in turn; seconds are medians, the
share is the median over rounds. The glance's exit is the cheapest one: no budget is below it.
"""

import argparse
import statistics
import time
from functools import partial

import numpy as np
import torch
from inference_cases import case, telling_model

from neurofocus.allocator import keep_freed_memory
from neurofocus.data.video.augment import normalise
from neurofocus.early_exit.plan import exit_ladder, solve_plan
from neurofocus.early_exit.runner import run_with_exits
from neurofocus.inference.optimise import optimised
from neurofocus.inference.torch_stages import CaseFrames, TorchStages
from neurofocus.model.cost import measure_cost
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.early_exit import ExitConfig, ExitPlan, ExitRule
from neurofocus.schema.inference import InferenceSettings

SHARES = (1.0, 0.75, 0.5, 0.35)
to_input = partial(normalise, kind="imagenet")


@torch.no_grad()
def plan_on(model: UniAdaFocus, number: int, every: int) -> ExitPlan:
    """Solve thresholds on other videos than those that are timed."""
    shown = [model(to_input(case(5000 + place))).step_probs[0] for place in range(number)]
    probabilities = torch.stack(shown).double().numpy()
    costs = measure_cost(model.config).exit_gflops
    ladder = exit_ladder(costs, model.config.num_focus_frames, every=every)
    worth = np.zeros(probabilities.shape[:2])  # the geometric solver asks for costs only
    return solve_plan(
        probabilities, worth, ladder, ExitConfig(solver="geometric", every=every, num_budgets=65)
    )


def to_the_end(plan: ExitPlan) -> tuple[ExitPlan, ExitRule]:
    """Return the ladder with the last step alone."""
    last = plan.ladder.model_copy(update={"steps": plan.ladder.steps[-1:], "gflops": plan.ladder.gflops[-1:]})
    rule = ExitRule(thresholds=(), gflops=last.gflops[0], accuracy=0.0)
    return ExitPlan(criterion=plan.criterion, order=plan.order, ladder=last, rules=(rule,)), rule


def run(
    stages: TorchStages, number: int, plan: ExitPlan, rule: ExitRule, batch: int
) -> tuple[float, float, float]:
    """Return wall and CPU seconds, and the mean GFLOPs."""
    cases = [CaseFrames(case(place)) for place in range(number)]
    start, spent = time.perf_counter(), time.process_time()
    answers = list(run_with_exits(stages, cases, plan, rule, batch_size=batch))
    wall, cpu = time.perf_counter() - start, time.process_time() - spent
    return wall, cpu, float(np.mean([answer.gflops for answer in answers]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    arguments = parser.parse_args()
    keep_freed_memory()
    model = optimised(telling_model(), InferenceSettings(precision=arguments.precision))
    assert isinstance(model, UniAdaFocus)
    plan, stages = plan_on(model, arguments.cases, arguments.every), TorchStages(model, prepare=to_input)
    full = plan.ladder.gflops[-1]
    end = to_the_end(plan)
    chosen = [min(plan.rules, key=lambda rule: abs(rule.gflops - share * full)) for share in SHARES]
    runs = {"all to the end": end} | {
        f"budget {share:.2f}": (plan, rule) for share, rule in zip(SHARES, chosen, strict=True)
    }
    print(
        f"SYNTHETIC, {arguments.cases} videos, {torch.get_num_threads()} threads, {arguments.precision}, freed memory kept"
    )
    print(
        f"ladder {plan.ladder.steps}, GFLOPs {[round(cost, 1) for cost in plan.ladder.gflops]} (1e9 multiply-adds)"
    )
    for batch in arguments.batches:
        rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in runs}
        for _ in range(arguments.rounds):
            for name, (ladder, rule) in runs.items():
                rows[name].append(run(stages, arguments.cases, ladder, rule, batch))
        for name, times in rows.items():
            shares = [
                statistics.median(
                    now[kind] / whole[kind] for now, whole in zip(times, rows["all to the end"], strict=True)
                )
                for kind in (0, 1)
            ]
            wall, cpu, gflops = (statistics.median(column) for column in zip(*times, strict=True))
            print(
                f"batch {batch:2}  {name:15} GFLOPs {gflops:5.1f} ({gflops / full:4.0%})  wall {wall:6.2f} s "
                f"({shares[0]:4.0%})  CPU {cpu:6.2f} s ({shares[1]:4.0%})"
            )


if __name__ == "__main__":
    main()
