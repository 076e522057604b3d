"""Seconds of one case by what computes: PyTorch as built and fast, ONNX Runtime, OpenVINO.

    python benchmarks/runtimes.py
    python benchmarks/runtimes.py --config sthv1 --set model.patch_size=96 --set model.num_focus_frames=8

A case is run to the end, as ``video predict`` does. Weights and frames are random: speed does not depend on them.
The graphs are exported once, into a temporary folder. Every row has a process of its own with as many threads,
rounds go in turn; a round is the median of three calls after one that is not timed. The largest differences of a
probability to PyTorch as built are printed, too; those of bfloat16 say little for random weights.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from neurofocus.allocator import keep_freed_memory
from neurofocus.errors import ConfigError
from neurofocus.inference.graph_files import Precision, open_graph
from neurofocus.inference.hardware import check_bfloat16
from neurofocus.inference.onnx_export import export_graphs
from neurofocus.inference.onnx_stages import ExitGraphs
from neurofocus.inference.optimise import optimised
from neurofocus.inference.stages import ExportedModel, Network, whole
from neurofocus.inference.torch_stages import CaseFrames
from neurofocus.model.build import build_model
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.inference import InferenceSettings
from neurofocus.schema.load import load_run_config
from neurofocus.schema.model import ModelConfig

CALLS = 3
EXACT = {
    "torch, as built": ("torch", ""),
    "torch, fast": ("torch", "float32"),
    "onnx": ("onnx", "f32"),
    "openvino": ("openvino", "f32"),
}
ROUGH = {"torch, fast, bf16": ("torch", "bfloat16"), "openvino, bf16": ("openvino", "bf16")}


def seeded_model(config: ModelConfig) -> UniAdaFocus:
    torch.manual_seed(0)
    model = build_model(config).eval()
    assert isinstance(model, UniAdaFocus)
    return model


def seeded_case(config: ModelConfig) -> CaseFrames:
    generator = torch.Generator().manual_seed(1)
    shape = (3, config.frame_size, config.frame_size)
    frames = torch.randn(1, config.num_frames, *shape, generator=generator)
    if config.streams == "shared":
        return CaseFrames(frames)
    return CaseFrames(frames, torch.randn(1, config.num_glance_frames, *shape, generator=generator))


def opened(kind: tuple[str, str], config: ModelConfig, folder: Path, threads: int) -> Network:
    """Return what answers."""
    runtime, precision = kind
    if runtime == "torch":
        model = seeded_model(config)
        return optimised(model, InferenceSettings(precision=precision)) if precision else model
    assert runtime == "onnx" or runtime == "openvino"
    glance, decide, focus, classifier = (
        open_graph(
            folder / f"{name}.onnx",
            runtime=runtime,
            precision="f32" if name == "decide" else cast(Precision, precision),
            threads=threads,
        )
        for name in ("glance", "decide", "focus", "classifier")
    )
    return ExportedModel(ExitGraphs(glance, decide, focus, classifier), config, runtime)


def serve(pipe: Connection, kind: tuple[str, str], config: ModelConfig, folder: Path, threads: int) -> None:
    """Answer requests for one round each, until told to stop."""
    torch.set_num_threads(threads)
    if kind[0] == "torch":
        keep_freed_memory()
    case = seeded_case(config)
    with torch.inference_mode():
        network = opened(kind, config, folder, threads)
        pipe.send(whole(network, case)[0])
        while pipe.recv():
            whole(network, case)
            calls = [timed(lambda: whole(network, case)) for _ in range(CALLS)]
            pipe.send(tuple(statistics.median(column) for column in zip(*calls, strict=True)))


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and process CPU milliseconds."""
    start, spent = time.perf_counter(), time.process_time()
    work()
    return 1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="activitynet")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    config, threads = load_run_config(arguments.config, arguments.set).model, torch.get_num_threads()
    rows = dict(EXACT)
    try:
        check_bfloat16(torch.device("cpu"))
        rows |= ROUGH
    except ConfigError as error:
        print(f"without bfloat16: {error}")
    with tempfile.TemporaryDirectory() as name:
        export_graphs(seeded_model(config), Path(name))
        found, answers = run(rows, arguments.rounds, config, Path(name))
    print(
        f"{arguments.config}, batch 1, {threads} threads of {os.cpu_count()}, {arguments.rounds} rounds in turn"
    )
    print(f"{'':20} {'wall ms':>8} {'min':>6} {'CPU ms':>8} {'as built':>9} {'fast':>6}  difference")
    for row, rounds in found.items():
        wall, cpu = zip(*rounds, strict=True)
        over = [
            statistics.median(base[0] / own for base, own in zip(found[other], wall, strict=True))
            for other in ("torch, as built", "torch, fast")
        ]
        difference = float(np.abs(answers[row] - answers["torch, as built"]).max())
        print(
            f"{row:20} {statistics.median(wall):8.0f} {min(wall):6.0f} {statistics.median(cpu):8.0f} {over[0]:8.2f}x "
            f"{over[1]:5.2f}x  {difference:.1e}"
        )


def run(
    rows: dict[str, tuple[str, str]], rounds: int, config: ModelConfig, folder: Path
) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Time all rows in turn; return (wall ms, CPU ms) of every round, and the answers."""
    context = multiprocessing.get_context("spawn")
    pipes, workers = {}, []
    for name, kind in rows.items():
        pipes[name], theirs = context.Pipe()
        arguments = (theirs, kind, config, folder, torch.get_num_threads())
        workers.append(context.Process(target=serve, args=arguments, daemon=True))
        workers[-1].start()
        theirs.close()
    answers = {name: pipe.recv() for name, pipe in pipes.items()}
    found: dict[str, list[Any]] = {name: [] for name in rows}
    for _ in range(rounds):
        for name, pipe in pipes.items():
            pipe.send(True)
            found[name].append(pipe.recv())
    for pipe, worker in zip(pipes.values(), workers, strict=True):
        pipe.send(False)
        worker.join()
    return found, answers


if __name__ == "__main__":
    main()
