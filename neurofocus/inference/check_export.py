"""Asks of an export, wherever it lies, whether it still answers as its model did. Runs without PyTorch."""

from pathlib import Path

from neurofocus.errors import BundleError, NeurofocusError
from neurofocus.inference.agreement import TOLERANCE, agreement_line, agrees, compare, read_answers
from neurofocus.inference.graph_files import GraphRuntime, open_graphs, read_export, verified
from neurofocus.inference.onnx_stages import OnnxStages
from neurofocus.schema.export import Agreement

__all__ = ["check_export"]


def check_export(folder: Path, runtime: GraphRuntime, *, threads: int | None = None) -> list[Agreement]:
    """Run every fold's graphs on the cases whose answers were stored at export.

    Args:
        folder: of the export.
        runtime: what runs the graphs, in float32.
        threads: of the runtime; none: its own choice.

    Raises:
        BundleError: the folder is no export, or damaged.
        ConfigError: the runtime is not installed.
        NeurofocusError: frames differ, or boxes or probabilities by more than 1e-4.
    """
    manifest, found = read_export(folder), []
    config = manifest.bundle.config.model
    for fold, entry in enumerate(manifest.folds):
        graphs = open_graphs(folder, manifest, fold, runtime=runtime, threads=threads)
        path = verified(folder, entry.answers)
        try:
            known = read_answers(path)
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(f"{path}: not readable ({error}); export the bundle again") from None
        found.append(compare(OnnxStages(graphs, config), known, runtime=runtime))
        if not agrees(found[-1], config):
            raise NeurofocusError(
                f"{folder}: does not answer as its model did ({agreement_line(fold + 1, found[-1])}; accepted are equal frames "
                f"and probabilities within {TOLERANCE:g}); try another version of the runtime, or export again"
            )
    return found
