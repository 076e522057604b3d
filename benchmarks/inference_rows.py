"""Timing that ``benchmarks/inference.py`` is made of: every row in a process of its own, rounds in turn.

A process of its own gives each row its own allocator setting and its own peak of memory. Weights are random: speed
does not depend on them.
"""

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor, nn

from neurofocus.allocator import keep_freed_memory
from neurofocus.inference.fast_encoder import FastEncoder
from neurofocus.inference.optimise import optimised
from neurofocus.model.build import build_model
from neurofocus.model.cost import count_operations, measure_cost
from neurofocus.model.encoders.resnet import ResNet
from neurofocus.model.outputs import FocusOutput
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.inference import InferenceSettings
from neurofocus.schema.load import load_run_config

SIDE_OF_PRODUCT = 1024
CALLS = 3  # of a model in a round, after one that is not timed: cases come one after another


@dataclass(frozen=True)
class Row:
    """What one process times; ``settings`` None: the model as built."""

    name: str
    config: str
    settings: InferenceSettings | None
    overrides: tuple[str, ...] = ()
    batch: int = 1
    kept_memory: bool = True
    whole_frames: int = 0  # not the model, but a ResNet-50 on so many whole frames


@dataclass
class Times:
    """Of one row: seconds of each round, the machine's rate beside them, stage times, memory."""

    gflops: float = 0.0
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)  # 1e9 multiply-adds a second of a matrix product
    stages: list[dict[str, float]] = field(default_factory=list)
    peak: float = 0.0


class WholeFrames(nn.Module):
    """ResNet-50 on whole frames, averaged."""

    def __init__(self, settings: InferenceSettings | None, frames: int) -> None:
        super().__init__()
        encoder = ResNet(depth=50).eval()
        counted = count_operations(encoder, torch.zeros(1, 3, 224, 224))
        self.gflops = counted.gflops("mac")["ResNet"] * frames
        fast = settings and FastEncoder(encoder, settings, shape=(3, 224, 224), num_frames=1)
        self.encoder, self.head = fast or encoder, nn.Linear(2048, 200)

    def forward(self, frames: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(frames.flatten(0, 1)).mean((-2, -1)))
        return logits.view(*frames.shape[:2], -1).mean(1)


def built(row: Row, device: torch.device) -> tuple[nn.Module, list[Tensor], float]:
    """Return the model, its input and its GFLOPs for the whole batch."""
    torch.manual_seed(0)
    if row.whole_frames:
        whole = WholeFrames(row.settings, row.whole_frames).eval().to(device)
        frames = torch.randn(row.batch, row.whole_frames, 3, 224, 224, device=device)
        return whole, [frames], whole.gflops * row.batch
    config = load_run_config(row.config, list(row.overrides)).model
    model = build_model(config).eval().to(device)
    fast = model if row.settings is None else optimised(model, row.settings)
    shape = (3, config.frame_size, config.frame_size)
    inputs = [torch.randn(row.batch, config.num_frames, *shape, device=device)]
    if config.streams == "separate":
        inputs.append(torch.randn(row.batch, config.num_glance_frames, *shape, device=device))
    return fast, inputs, measure_cost(config).executed_gflops * row.batch


def timed(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Return wall and process CPU seconds."""
    synchronise(device)
    start, spent = time.perf_counter(), time.process_time()
    work()
    synchronise(device)
    return time.perf_counter() - start, time.process_time() - spent


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def stage_seconds(model: UniAdaFocus, inputs: list[Tensor], device: torch.device) -> dict[str, float]:
    """Return the CPU seconds (on a GPU: wall) of each stage."""
    found: dict[str, float] = {}
    kept: dict[str, Any] = {}

    def stage(name: str, work: Callable[[], Any]) -> Any:
        wall, cpu = timed(lambda: kept.update({name: work()}), device)
        found[name] = wall if device.type == "cuda" else cpu
        return kept[name]

    glance = stage("glance", lambda: model.glance(inputs[-1]))
    decision = stage("policy", lambda: model.decide(glance))
    indices = stage("frames", lambda: model.select_frames(decision))
    boxes = stage("boxes", lambda: model.place_boxes(decision, indices))
    patches = stage("crop", lambda: model.crop(inputs[0], boxes, indices))
    features = stage("focus", lambda: model.encode_patches(patches))
    stage("classifier", lambda: model.classify(glance, FocusOutput(indices, boxes, patches, features)))
    return found


def serve(pipe: Connection, row: Row, threads: int, name: str) -> None:
    """Answer requests for one round each, until told to stop."""
    torch.set_num_threads(threads)
    device = torch.device(name)
    if row.kept_memory and device.type == "cpu":
        keep_freed_memory()
    bfloat16 = row.settings is not None and row.settings.precision == "bfloat16"
    side = torch.randn(SIDE_OF_PRODUCT, SIDE_OF_PRODUCT, device=device)
    side = side.bfloat16() if bfloat16 else side
    with torch.inference_mode():
        model, inputs, gflops = built(row, device)
        model(*inputs)
        pipe.send(gflops)
        while pipe.recv():
            product = timed(lambda: side @ side, device)
            model(*inputs)
            calls = [timed(lambda: model(*inputs), device) for _ in range(CALLS)]
            wall, cpu = (statistics.median(column) for column in zip(*calls, strict=True))
            rate = SIDE_OF_PRODUCT**3 / 1e9 / product[device.type == "cpu"]
            stages = stage_seconds(model, inputs, device) if isinstance(model, UniAdaFocus) else {}
            pipe.send((wall, cpu, rate, stages, peak_memory(device)))


def peak_memory(device: torch.device) -> float:
    """Return the most memory so far, GiB: the process's, or the tensors' on a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def run_rows(rows: list[Row], rounds: int, *, threads: int, device: str) -> list[Times]:
    """Time all rows: round 1 of every row, then round 2 of every row, and so on."""
    context = multiprocessing.get_context("spawn")
    pipes, workers = [], []
    for row in rows:
        ours, theirs = context.Pipe()
        worker = context.Process(target=serve, args=(theirs, row, threads, device), daemon=True)
        worker.start()
        theirs.close()
        pipes.append(ours)
        workers.append(worker)
    times = [Times(gflops=pipe.recv()) for pipe in pipes]
    for _ in range(rounds):
        for pipe, each in zip(pipes, times, strict=True):
            pipe.send(True)
            wall, cpu, rate, stages, each.peak = pipe.recv()
            for kept, value in ((each.wall, wall), (each.cpu, cpu), (each.rate, rate), (each.stages, stages)):
                kept.append(value)
    for pipe, worker in zip(pipes, workers, strict=True):
        pipe.send(False)
        worker.join()
    return times
