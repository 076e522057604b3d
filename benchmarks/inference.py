"""Seconds of a prediction: each optimisation in turn, and the baselines under the same ones.

    OMP_NUM_THREADS=1 python benchmarks/inference.py steps
    OMP_NUM_THREADS=1 python benchmarks/inference.py tsm --batches 1 4 8

``steps``: the ActivityNet model (P=128), batch 1, as built and with one form more a row; and ResNet-50 on the 16 frames
that the focus would choose, whole. ``tsm``: Uni-AdaFocus-TSM 8+8 (P=96) against TSM+, both with everything on, and what
of the theoretical speed-up is left on the clock. Rows run in processes of their own, their rounds in turn; medians and
minima. A round is the median of three calls after one that is not timed. GFLOPs are 1e9 multiply-adds; "of product" is the share of the rate of a 1024 x 1024 matrix product, taken in
the same process just before each round, both by CPU time on CPUs. Answers are compared in
``benchmarks/inference_answers.py``.
"""

import argparse
import os
import platform
import statistics

import torch
from inference_rows import Row, Times, run_rows

from neurofocus.errors import ConfigError
from neurofocus.inference.hardware import check_bfloat16
from neurofocus.schema.inference import InferenceSettings

FAST = InferenceSettings()
BFLOAT16 = InferenceSettings(precision="bfloat16")
FOLDED = InferenceSettings(packed=False, channels_last=False, sampled=False)
UNI = ("model.patch_size=96", "model.num_focus_frames=8")


def step_rows(*, bfloat16: bool) -> list[Row]:
    name = "activitynet"
    rows = [
        Row("as built, glibc's default", name, None, kept_memory=False),
        Row("as built, freed memory kept", name, None),
        Row("+ batch norm folded", name, FOLDED),
        Row("+ channels last", name, InferenceSettings(packed=False, sampled=False)),
        Row("+ packed convolutions", name, InferenceSettings(sampled=False)),
        Row("+ crops by sampling", name, FAST),
        Row("  the same, glibc's default", name, FAST, kept_memory=False),
    ]
    if bfloat16:
        rows += [
            Row("  bfloat16, not packed", name, BFLOAT16.model_copy(update={"packed": False})),
            Row("+ bfloat16 encoders", name, BFLOAT16),
        ]
    rows.append(Row("ResNet-50, 16 whole frames", name, FAST, whole_frames=16))
    if bfloat16:
        rows.append(Row("  the same, bfloat16", name, BFLOAT16, whole_frames=16))
    return rows


def tsm_rows(batch: int, *, bfloat16: bool) -> list[Row]:
    forms = [("as built", None), ("float32", FAST), *([("bfloat16", BFLOAT16)] if bfloat16 else [])]
    return [
        Row(f"{kind}, {form}", config, settings, overrides, batch)
        for form, settings in forms
        for kind, config, overrides in (("TSM+", "tsm-plus", ()), ("Uni-AdaFocus-TSM", "sthv1", UNI))
    ]


def line(row: Row, times: Times, first: Times, *, on_cpu: bool) -> str:
    compared = "cpu" if on_cpu else "wall"
    spent, base = getattr(times, compared), getattr(first, compared)
    ratio = statistics.median(before / now for before, now in zip(base, spent, strict=True))
    share = statistics.median(
        times.gflops / seconds / rate for seconds, rate in zip(spent, times.rate, strict=True)
    )
    cells = [
        f"{1e3 * statistics.median(values):7.0f} {1e3 * min(values):7.0f}"
        for values in (times.wall, times.cpu)
    ]
    return (
        f"{row.name:32} {'  '.join(cells)}  {ratio:6.2f}x {times.gflops:7.2f} {share:8.0%} {times.peak:7.2f}"
    )


def report(rows: list[Row], found: list[Times], *, on_cpu: bool) -> None:
    print(
        f"{'':32} {'wall ms':>7} {'min':>7}  {'CPU ms':>7} {'min':>7}  {'ratio':>7} {'GFLOPs':>7} {'of product':>9} {'GiB':>6}"
    )
    for row, times in zip(rows, found, strict=True):
        print(line(row, times, found[0], on_cpu=on_cpu))
    print("stages, median ms" + (" of CPU time" if on_cpu else ""))
    for row, times in zip(rows, found, strict=True):
        if times.stages[0]:
            medians = {
                name: statistics.median(each[name] for each in times.stages) for name in times.stages[0]
            }
            print(
                f"{row.name:32} " + "  ".join(f"{name} {1e3 * value:.1f}" for name, value in medians.items())
            )


def compare_pairs(rows: list[Row], found: list[Times], *, on_cpu: bool) -> None:
    """Print practical over theoretical speed-up of every pair TSM+, Uni-AdaFocus-TSM."""
    for place in range(0, len(rows), 2):
        plus, ours = found[place : place + 2]
        theory = plus.gflops / ours.gflops
        form = rows[place].name.split(", ")[1]
        for clock in ("wall", "cpu") if on_cpu else ("wall",):
            pairs = zip(getattr(plus, clock), getattr(ours, clock), strict=True)
            practical = statistics.median(before / now for before, now in pairs)
            print(
                f"{form}, {clock}: {practical:.2f}x of a theoretical {theory:.2f}x = {practical / theory:.2f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=("steps", "tsm"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device, on_cpu = torch.device(arguments.device), arguments.device == "cpu"
    try:
        check_bfloat16(device)
        bfloat16 = True
    except ConfigError as error:
        print(f"without bfloat16: {error}")
        bfloat16 = False
    threads = torch.get_num_threads()
    where = platform.processor() or platform.machine() if on_cpu else torch.cuda.get_device_name(device)
    print(
        f"torch {torch.__version__}, {where}, {threads} threads of {os.cpu_count()}, {arguments.rounds} rounds in turn"
    )
    print(
        "freed memory is kept (mallopt: no mmap below 1 GiB, no trimming) but where a row says otherwise; random weights"
    )
    tables = {
        "steps": [step_rows(bfloat16=bfloat16)],
        "tsm": [tsm_rows(batch, bfloat16=bfloat16) for batch in arguments.batches],
    }
    for rows in tables[arguments.table]:
        found = run_rows(rows, arguments.rounds, threads=threads, device=arguments.device)
        print(f"batch {rows[0].batch}")
        report(rows, found, on_cpu=on_cpu)
        if arguments.table == "tsm":
            compare_pairs(rows, found, on_cpu=on_cpu)


if __name__ == "__main__":
    main()
