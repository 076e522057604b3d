"""Writes a model as ONNX files, one a stage; see ``onnx_graphs`` for the cut."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.export import Dim

from neurofocus.inference.folding import fold_batch_norms
from neurofocus.inference.graph_files import need_package
from neurofocus.inference.onnx_graphs import NamedGraph, cut_model
from neurofocus.model.uni_adafocus import UniAdaFocus

__all__ = ["OPSET", "export_graphs"]

OPSET = 20


def export_graphs(model: UniAdaFocus, folder: Path) -> tuple[Path, ...]:
    """Write glance.onnx, decide.onnx, focus.onnx and classifier.onnx, of any batch size; return them in that order.

    Args:
        model: on the CPU, in evaluation mode; stays as it is.
        folder: is there.

    Raises:
        ConfigError: a package is missing.
    """
    for package in (
        "onnx",
        "onnxscript",
        "onnxruntime",
    ):  # the last to check what was written: known before the work
        need_package(package, wanted_by="export to ONNX", extra="onnx")
    config = model.config
    side, colours = config.frame_size, config.frame_channels
    frames = torch.zeros(1, config.num_frames, colours, side, side)
    glance = torch.zeros(1, config.num_glance_frames, colours, side, side)
    folded = fold_batch_norms(model, lambda copied: copied(frames, glance))
    paths = []
    for name, graph in cut_model(folded).items():
        paths.append(folder / f"{name}.onnx")
        _export(graph, paths[-1])
    return tuple(paths)


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
