"""Writes a model as ONNX files, one a stage; see ``onnx_graphs`` for the cut."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch.export import Dim

from neurofocus.inference.agreement import KnownAnswers, draw_case
from neurofocus.inference.fast_encoder import FastEncoder
from neurofocus.inference.graph_files import need_package
from neurofocus.inference.onnx_graphs import NamedGraph, cut_model
from neurofocus.inference.optimise import optimised
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.inference import InferenceSettings

__all__ = ["OPSET", "export_graphs", "known_answers", "require_exporter"]

OPSET = 20


def export_graphs(model: UniAdaFocus, folder: Path) -> tuple[Path, ...]:
    """Write glance.onnx, decide.onnx, focus.onnx and classifier.onnx, of any batch size; return them in that order.

    Args:
        model: on the CPU, in evaluation mode; stays as it is.
        folder: is there.
    """
    paths = []
    for name, graph in cut_model(_folded(model)).items():
        paths.append(folder / f"{name}.onnx")
        _export(graph, paths[-1])
    return tuple(paths)


def require_exporter() -> None:
    """Refuse an environment that cannot export.

    Raises:
        ConfigError: a package is missing.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):  # the last to check what was written
        need_package(package, wanted_by="export to ONNX", extra="onnx")


@torch.no_grad()
def known_answers(model: UniAdaFocus, *, cases: int, seed: int) -> KnownAnswers:
    """Return a model's own answers for random cases.

    Args:
        model: on the CPU, in evaluation mode.
        cases: how many.
        seed: of the cases.
    """
    means, outputs = [], []
    for number in range(cases):
        case = draw_case(model.config, seed, number)
        streams = [torch.from_numpy(each) for each in (case.frames, case.glance_frames) if each is not None]
        means.append(case.frames.mean())
        outputs.append(model(*streams))
    first = max(model.num_global_exits - 1, 0)  # earlier steps are no exits
    return KnownAnswers(
        seed=seed,
        means=np.array(means),
        frames=torch.cat([output.frame_indices for output in outputs]).numpy(),
        boxes=torch.cat([output.boxes for output in outputs]).numpy(),
        probabilities=torch.cat(
            [output.logits[:, first:].double().softmax(-1) for output in outputs]
        ).numpy(),
    )


def _folded(model: UniAdaFocus) -> UniAdaFocus:
    """Return the model with its batch normalisations in the layers before them; all frames go at once."""
    made = optimised(model, InferenceSettings(channels_last=False, packed=False, sampled=False))
    assert isinstance(made, UniAdaFocus)
    for encoder in (made.global_encoder, made.local_encoder):
        assert isinstance(encoder, FastEncoder)
        encoder.frames_per_call = None
    return made


def _export(graph: NamedGraph, path: Path) -> None:
    shapes = [
        {axis: Dim.DYNAMIC for axis in ((0, 1) if name in graph.free else (0,))} if name != "head" else None
        for name in graph.inputs
    ]
    with _quiet():
        program = torch.onnx.export(
            graph.module.eval(),
            tuple(example.contiguous() for example in graph.inputs.values()),
            dynamo=True,
            dynamic_shapes=tuple(shapes),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    program.save(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes to its developers from the user: what it wrote is checked afterwards."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
