"""Batch normalisations folded into the layers before them, in networks of any shape."""

from collections import Counter
from typing import Any

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from neurofocus.model.encoders.protocol import Encoder
from neurofocus.model.encoders.temporal_shift import temporal_shift
from neurofocus.model.encoders.x3d import X3D

__all__ = ["called_module", "fold", "trace", "trace_encoder"]


def trace(network: nn.Module) -> fx.GraphModule:
    """Return a network with its layers listed in the order of their calls, so that they can be changed.

    Layers are shared with ``network``.
    """
    return fx.GraphModule(network, _Tracer().trace(network))


def trace_encoder(encoder: Encoder) -> tuple[nn.Module, list[fx.GraphModule]]:
    """Return an encoder in traced form, and its traced parts.

    An X3D, which first counts its frames, stays itself; its blocks are traced, in place.
    """
    if not isinstance(encoder, X3D):
        traced = trace(encoder)
        return traced, [traced]
    stages = {f"s{number}": encoder.get_submodule(f"s{number}") for number in range(1, 6)}
    names = [f"{stage}.{name}" for stage, blocks in stages.items() for name, _ in blocks.named_children()]
    parts = {name: trace(encoder.get_submodule(name)) for name in (*names, "head")}
    for name, part in parts.items():
        encoder.set_submodule(name, part)
    return encoder, list(parts.values())


def fold(traced: fx.GraphModule) -> None:
    """Fold every batch normalisation that follows a convolution or linear layer, in place.

    Args:
        traced: in evaluation mode; a layer whose result is used elsewhere too, or that is called twice, stays.
    """
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    for node in list(traced.graph.nodes):
        norm = called_module(traced, node)
        if not isinstance(norm, _BatchNorm):
            continue
        before = node.args[0]
        layer = called_module(traced, before)
        if len(before.users) > 1 or calls[before.target] > 1:
            continue
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            traced.set_submodule(before.target, fuse_conv_bn_eval(layer, norm))
        elif isinstance(layer, nn.Linear):
            traced.set_submodule(before.target, fuse_linear_bn_eval(layer, norm))
        else:
            continue
        node.replace_all_uses_with(before)
        traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()


def called_module(traced: fx.GraphModule, node: Any) -> nn.Module | None:
    """Return the layer that a node calls; None: it calls none."""
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    return traced.get_submodule(str(node.target))


class _Tracer(fx.Tracer):
    """Looks into every module that has parts."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=(temporal_shift,))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not any(True for _ in m.children())
