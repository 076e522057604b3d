"""Convolutions on a CPU in one call each: weights in oneDNN's own order, sum and activation on the way out.

torch's convolution puts its weights into that order anew at every call, which for small maps is half of the work
(ResNet-50 on 96 pixels), and its sums and activations read and write the maps once more. The operators are those
that torch's compiler calls; they need no compiler.
"""

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn

from neurofocus.inference.fusion import called_module

__all__ = ["PackedConvolution", "PackedLinear", "pack"]

# What oneDNN calls the activations, and their bounds.
_ACTIVATIONS: dict[type[nn.Module], tuple[str, list[float]]] = {
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    nn.SiLU: ("swish", []),
}


class PackedConvolution(nn.Module):
    """A 2-D or 3-D convolution, then perhaps a sum, then perhaps an activation.

    It has no parameters any more: its weights are put into order at the first call, for maps of that call's shape.
    Maps of other shapes are computed right too, if slower.

    Args:
        convolution: on a CPU, with a bias or without; its own weights are not changed.
        activation: ReLU, ReLU6, SiLU or None.
    """

    def __init__(self, convolution: nn.Conv2d | nn.Conv3d, activation: nn.Module | None) -> None:
        super().__init__()
        sides = (convolution.padding, convolution.stride, convolution.dilation)
        self._geometry: tuple[Any, ...] = (*(list(pair) for pair in sides), convolution.groups)
        self._activation, self._bounds = _ACTIVATIONS[type(activation)] if activation else ("none", [])
        self._activation_after_sum = (
            None if activation is None else self._activation
        )  # "none" is not known there
        self._flat = isinstance(convolution, nn.Conv2d)
        order = torch.channels_last if self._flat else torch.channels_last_3d
        self._weight = convolution.weight.detach().contiguous(memory_format=order)
        self._bias = None if convolution.bias is None else convolution.bias.detach()

    def forward(self, maps: Tensor, other: Tensor | None = None) -> Tensor:
        """Return activation(convolution(maps) + other), [N, out, h', w'], of maps [N, in, h, w]; 3-D alike."""
        if not self._weight.is_mkldnn:
            self._weight = self._in_order(maps)
        known = (self._weight, self._bias, *self._geometry)
        if other is None:
            result: Tensor = torch.ops.mkldnn._convolution_pointwise(
                maps, *known, self._activation, self._bounds, ""
            )
        else:
            result = torch.ops.mkldnn._convolution_pointwise.binary(
                maps, other, *known, "add", 1.0, self._activation_after_sum, self._bounds, None
            )
        return result

    def _in_order(self, maps: Tensor) -> Tensor:
        shape = list(maps.shape)
        if self._flat:
            weight: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
                self._weight, *self._geometry, shape
            )
        else:
            reorder: Any = torch._C._nn.mkldnn_reorder_conv3d_weight  # torch's stub lacks the shape
            weight = reorder(self._weight.to_mkldnn(), *self._geometry, shape)
        return weight


class PackedLinear(nn.Module):
    """A linear layer, then perhaps ReLU, as `PackedConvolution`.

    Args:
        linear: on a CPU; its own weights are not changed.
        rectified: whether ReLU follows.
    """

    def __init__(self, linear: nn.Linear, *, rectified: bool) -> None:
        super().__init__()
        self._weight = linear.weight.detach()
        self._bias = None if linear.bias is None else linear.bias.detach()
        self._activation = "relu" if rectified else "none"

    def forward(self, features: Tensor) -> Tensor:
        """Return activation(features @ weight^T + bias), [N, out], of features [N, in]."""
        if not self._weight.is_mkldnn:
            self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight, len(features))
        result: Tensor = torch.ops.mkldnn._linear_pointwise(
            features, self._weight, self._bias, self._activation, [], ""
        )
        return result


def pack(traced: fx.GraphModule) -> None:
    """Replace every plain convolution with the sum and the activation after it by one call, in place.

    Linear layers with their ReLU likewise.
    """
    places = {node: place for place, node in enumerate(traced.graph.nodes)}
    for node in list(traced.graph.nodes):
        convolution = called_module(traced, node)
        if type(convolution) is nn.Linear:
            _pack_linear(traced, node, convolution)
            continue
        if not isinstance(convolution, (nn.Conv2d, nn.Conv3d)) or not _is_plain(convolution):
            continue
        last, inputs = _with_sum(node, places)
        activation = _activation_after(traced, last)
        end = last if activation is None else next(iter(last.users))
        traced.set_submodule(node.target, PackedConvolution(convolution, activation))
        with traced.graph.inserting_before(end):
            packed = traced.graph.call_module(node.target, inputs)
        end.replace_all_uses_with(packed)
        for done in dict.fromkeys((end, last, node)):
            traced.graph.erase_node(done)
        places[packed] = places[end]
    traced.delete_all_unused_submodules()
    traced.recompile()


def _pack_linear(traced: fx.GraphModule, node: fx.Node, linear: nn.Linear) -> None:
    rectified = type(_activation_after(traced, node)) is nn.ReLU
    traced.set_submodule(str(node.target), PackedLinear(linear, rectified=rectified))
    if rectified:
        activation = next(iter(node.users))
        activation.replace_all_uses_with(node)
        traced.graph.erase_node(activation)


def _is_plain(convolution: nn.Conv2d | nn.Conv3d) -> bool:
    """Return whether it is torch's own: subclasses compute something else, such as a padding of their own."""
    own = type(convolution) in (nn.Conv2d, nn.Conv3d)
    return own and convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)


def _with_sum(node: fx.Node, places: dict[fx.Node, int]) -> tuple[fx.Node, tuple[Any, ...]]:
    """Return the last node of a convolution and its sum, if it is the sum's later part, and what goes in."""
    user = next(iter(node.users))
    if len(node.users) == 1 and user.target is operator.add and len(user.args) == 2:
        first, second = user.args
        other = second if first is node else first
        if isinstance(other, fx.Node) and other is not node and places[other] < places[node]:
            return user, (node.args[0], other)
    return node, (node.args[0],)


def _activation_after(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """Return the activation that alone reads the node's result."""
    user = next(iter(node.users))
    found = called_module(traced, user) if len(node.users) == 1 else None
    return found if type(found) in _ACTIVATIONS else None
