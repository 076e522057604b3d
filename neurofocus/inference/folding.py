"""Batch normalisation of a finished model as part of the layer before it: fewer passes over memory, same answers."""

import copy
from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["fold_batch_norms"]

Module = TypeVar("Module", bound=nn.Module)
Layer = nn.Conv2d | nn.Conv3d | nn.Linear


def fold_batch_norms(model: Module, run: Callable[[Module], object]) -> Module:
    """Return a copy in which every batch normalisation that follows a layer is in that layer's weights.

    Which layer comes before which normalisation is seen in one run: the one whose output the normalisation was given.
    A normalisation that follows no layer stays. Nothing else may use such a layer's output, as in none of our models.

    Args:
        model: in evaluation mode; stays as it is.
        run: runs the parts of the model that are used.

    Raises:
        ValueError: a layer's output goes into several normalisations.
    """
    folded = copy.deepcopy(model)
    for norm_name, layer_name in _pairs(folded, run).items():
        layer = cast(Layer, folded.get_submodule(layer_name))
        _fold(layer, cast(_BatchNorm, folded.get_submodule(norm_name)))
        parent, _, leaf = norm_name.rpartition(".")
        setattr(folded.get_submodule(parent), leaf, nn.Identity())
    return folded


def _pairs(model: Module, run: Callable[[Module], object]) -> dict[str, str]:
    """Return the layer before each normalisation, by name."""
    outputs: list[tuple[str, Tensor]] = []  # kept, so that no tensor takes another's place in memory
    pairs: dict[str, str] = {}

    def remember(name: str, output: Tensor) -> None:
        outputs.append((name, output))

    def look(name: str, given: Tensor) -> None:
        pairs.update((name, layer) for layer, output in outputs if output is given)

    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear)):
            hooks.append(
                module.register_forward_hook(lambda _, __, output, name=name: remember(name, output))
            )
        elif isinstance(module, _BatchNorm):
            hooks.append(module.register_forward_pre_hook(lambda _, inputs, name=name: look(name, inputs[0])))
    with torch.no_grad():
        run(model)
    for hook in hooks:
        hook.remove()
    if len(set(pairs.values())) < len(pairs):
        raise ValueError("a layer's output goes into several batch normalisations")
    return pairs


def _fold(layer: Layer, norm: _BatchNorm) -> None:
    """Move the normalisation into weight and bias, computed in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    bias = torch.zeros_like(scale) if layer.bias is None else layer.bias.detach().double()
    shape = (-1,) + (1,) * (layer.weight.dim() - 1)
    layer.weight = nn.Parameter((layer.weight.detach().double() * scale.view(shape)).to(layer.weight.dtype))
    moved = norm.bias.detach().double() + (bias - norm.running_mean.double()) * scale
    layer.bias = nn.Parameter(moved.to(layer.weight.dtype))
