"""A training step of the ActivityNet model in less memory, against straightforward implementations of its losses.

    python benchmarks/training.py                         CPU, one thread, batch 2, P = 128: 19 GB
    python benchmarks/training.py --device cuda --batch 16
    python benchmarks/training.py --sides "as written" saving --rounds 9 --gradients

A step is forward, backward and SGD. Every side has a process of its own, so that it has its own allocator and its own
peak of memory (the process's largest resident set, or the device's largest allocation); rounds go in turn. All sides
share weights, frames (random numbers) and random draws; dropout is off, or its masks would differ. With --gradients more
processes take one step in float64, each after the other: there gradients and running statistics must agree. In float32 the table
says how far each side is from float64.
"""

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from training_baseline import straightforward

from neurofocus.allocator import keep_freed_memory
from neurofocus.model.build import build_model
from neurofocus.model.draws import Draws
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.load import load_run_config
from neurofocus.schema.run import ObjectiveConfig
from neurofocus.training.losses import training_loss
from neurofocus.training.optim import build_optimizer
from neurofocus.training.saving import KEPT_BELOW, saving_memory

ROUNDING = 1e-7


@dataclass(frozen=True)
class Side:
    """What a process computes, and below how many bytes freed blocks stay with it; none: glibc's default."""

    name: str
    loss: Literal["written", "shared", "ours"]
    kept_below: int | None = None
    double: bool = False


SIDES = (
    Side("as written", "written"),
    Side("glance shared", "shared"),
    Side("saving", "ours", KEPT_BELOW),  # as train.memory: saving does
    Side("as written, small kept", "written", KEPT_BELOW),
    Side("glance shared, small kept", "shared", KEPT_BELOW),
    Side("saving, glibc's default", "ours"),
    Side("saving, all kept", "ours", 2**30),
)
EXACT = Side("glance shared, float64", "shared", double=True)
CHECKED = (
    EXACT,
    Side("as written, float64", "written", double=True),
    Side("saving, float64", "ours", double=True),
)


def in_double() -> None:
    """Let this process compute in float64, also where the model asks for float32."""
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]


def work(side: Side, arguments: argparse.Namespace, channel: Connection, file: Path) -> None:
    """Take a step a message; answer with (process seconds, wall seconds, peak bytes, loss)."""
    torch.set_num_threads(arguments.threads)
    if side.kept_below is not None:
        keep_freed_memory(below=side.kept_below)
    overrides = ["model.classifier.dropout=0", "model.auxiliary_dropout=0"]
    config = load_run_config("activitynet", [f"train.batch_size={arguments.batch}", *overrides])
    torch.manual_seed(0)
    device = torch.device(arguments.device)
    model = build_model(config.model).to(device).train()
    assert isinstance(model, UniAdaFocus)
    frames = torch.randn(arguments.batch, config.model.num_frames, 3, 224, 224).to(device)
    if side.double:  # the same weights and frames: torch draws others in float64
        in_double()
        model, frames = model.double(), frames.double()
    optimizer = build_optimizer(model, config.train)
    labels = (torch.arange(arguments.batch) % config.model.num_classes).to(device)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        total = loss_of(side, model, frames, labels)
        torch.autograd.backward(total)
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return float(total.detach())

    with saving_memory(model) if side.loss == "ours" else nullcontext():
        channel.send(None)
        while channel.recv():
            start = time.process_time(), time.perf_counter()
            loss = step()
            seconds = time.process_time() - start[0], time.perf_counter() - start[1]
            channel.send((*seconds, peak_memory(device), loss))
            if not file.is_file():  # of the first step, when the weights are still the same
                torch.save(found(model), file)


def loss_of(side: Side, model: UniAdaFocus, frames: Tensor, labels: Tensor) -> Tensor:
    """Return Eq. 22 as the side computes it, with the same draws at every step."""
    draws = Draws(torch.Generator().manual_seed(2))
    if side.loss != "ours":
        return straightforward(model, frames, labels, draws, glance_shared=side.loss == "shared")
    objective = ObjectiveConfig()
    return training_loss(model, frames, labels, objective=objective, class_weights=None, draws=draws).total


def peak_memory(device: torch.device) -> int:
    """Return the most bytes so far: the process's, or the tensors' on a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def found(model: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Return gradients and running statistics by name."""
    gradients = {name: value.grad.cpu() for name, value in model.named_parameters() if value.grad is not None}
    return {
        "gradients": gradients,
        "statistics": {name: value.cpu() for name, value in model.named_buffers()},
    }


def start(side: Side, arguments: argparse.Namespace, folder: Path) -> tuple[Connection, Any]:
    """Start one side's process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(side, arguments, there, folder / side.name), daemon=True)
    process.start()
    here.recv()
    return here, process


def rounds(
    sides: list[Side], number: int, arguments: argparse.Namespace, folder: Path
) -> dict[str, list[Any]]:
    """Take ``number`` steps a side, in turn."""
    started = {side.name: start(side, arguments, folder) for side in sides}
    rows: dict[str, list[Any]] = {name: [] for name in started}
    for turn in range(number):
        for name, (channel, _) in started.items():
            channel.send(True)
            rows[name].append(channel.recv())
            cpu, wall, peak, loss = rows[name][-1]
            print(
                f"round {turn} {name:26} {cpu:7.2f} s cpu {wall:7.2f} s wall {peak / 1e9:6.2f} GB  loss {loss:.5f}"
            )
    for channel, process in started.values():
        channel.send(False)
        process.join()
    return rows


def shares(reference: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, float]:
    """Return of every tensor the difference's norm as a share of the reference's norm.

    A bias whose effect the next normalisation takes out has a gradient of rounding alone, smaller than ``ROUNDING`` of
    the whole gradient: there the share is one of that bound.
    """
    assert reference.keys() == other.keys()
    norms = {name: float(value.double().norm()) for name, value in reference.items()}
    least = ROUNDING * sum(norm**2 for norm in norms.values()) ** 0.5
    return {
        name: float((other[name].double() - value.double()).norm()) / max(norms[name], least)
        for name, value in reference.items()
    }


def report(rows: dict[str, list[Any]]) -> None:
    """Print medians, and of every other side the medians of the rounds' ratios."""
    timed = {name: found[1:] for name, found in rows.items()}
    for name, found in timed.items():
        cpu, wall = (statistics.median(row[column] for row in found) for column in (0, 1))
        print(f"{name:26} {cpu:7.2f} s cpu {wall:7.2f} s wall {found[-1][2] / 1e9:6.2f} GB")
    baselines = [side.name for side in SIDES if side.loss != "ours" and side.name in rows]
    for base in baselines:
        for name in [side.name for side in SIDES if side.loss == "ours" and side.name in rows]:
            pairs = list(zip(timed[base], timed[name], strict=True))
            cpu, wall = (statistics.median(a[column] / b[column] for a, b in pairs) for column in (0, 1))
            memory = timed[name][-1][2] / timed[base][-1][2]
            print(f"{name} over {base}: {cpu:.2f} x (cpu), {wall:.2f} x (wall), {memory:.2f} of the memory")


def compare(folder: Path, names: list[str]) -> None:
    """Print how well the float64 steps agree, and how far the float32 ones are from them."""
    exact = torch.load(folder / EXACT.name)
    for name in [*(side.name for side in CHECKED if side != EXACT), *names]:
        other = torch.load(folder / name)
        for what in ("gradients", "statistics"):
            if what == "statistics" and name.startswith("as written"):
                continue  # its second glance enters the running statistics, too
            differing = sorted(shares(exact[what], other[what]).items(), key=lambda item: item[1])
            print(
                f"{name:26} {what:10} of {len(differing)} tensors: median "
                f"{statistics.median(share for _, share in differing):.1e}, largest {differing[-1][1]:.1e} "
                f"({differing[-1][0]})"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="after one to warm up")
    parser.add_argument(
        "--sides", nargs="+", choices=[side.name for side in SIDES], help="all together take 40 GB"
    )
    parser.add_argument("--gradients", action="store_true", help="also compare with steps in float64")
    arguments = parser.parse_args()
    wanted = arguments.sides or [side.name for side in SIDES[:3]]
    sides = [side for side in SIDES if side.name in wanted]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = rounds(sides, arguments.rounds + 1, arguments, folder)
        print(f"{arguments.device}, {arguments.threads} threads, batch {arguments.batch}, float32")
        report(rows)
        if not arguments.gradients:
            return
        for side in CHECKED:  # one after the other: they need much memory
            rounds([side], 1, arguments, folder)
        compare(folder, [side.name for side in sides])


if __name__ == "__main__":
    main()
