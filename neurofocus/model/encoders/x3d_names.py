"""The two layouts in which X3D's Kinetics weights are published, and ours.

Ours is SlowFast's without the normalisation of the first shortcut, which pytorchvideo's networks do not have.
pytorchvideo's stem calls the spatial convolution ``conv_t`` and the temporal one ``conv_xy``.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["to_our_names"]

_PYTORCHVIDEO_BLOCK = re.compile(r"blocks\.(\d+)\.res_blocks\.(\d+)\.(.+)\.(\w+)$")
_BLOCK_PARTS = {
    "branch1_conv": "branch1",
    "branch1_norm": "branch1_bn",
    "branch2.conv_a": "branch2.a",
    "branch2.norm_a": "branch2.a_bn",
    "branch2.conv_b": "branch2.b",
    "branch2.norm_b.0": "branch2.b_bn",
    "branch2.norm_b.1.block.0": "branch2.se.fc1",
    "branch2.norm_b.1.block.2": "branch2.se.fc2",
    "branch2.conv_c": "branch2.c",
    "branch2.norm_c": "branch2.c_bn",
}
_OTHER_PARTS = {
    "blocks.0.conv.conv_t": "s1.pathway0_stem.conv_xy",
    "blocks.0.conv.conv_xy": "s1.pathway0_stem.conv",
    "blocks.0.norm": "s1.pathway0_stem.bn",
    "blocks.5.pool.pre_conv": "head.conv_5",
    "blocks.5.pool.pre_norm": "head.conv_5_bn",
    "blocks.5.pool.post_conv": "head.lin_5",
    "blocks.5.proj": "head.projection",
}

_SHORTCUT = "s2.pathway0_res0.branch1"
_SHORTCUT_SUM = "s2.pathway0_res0.branch2.c_bn.bias"
_EPS = 1e-5  # of every normalisation in both code bases


def to_our_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state of either layout under the names of `X3D`; names that neither has pass unchanged."""
    return _fold_first_shortcut({_our_name(name): tensor for name, tensor in state.items()})


def _our_name(name: str) -> str:
    match = _PYTORCHVIDEO_BLOCK.match(name)
    if match is None:
        part, _, leaf = name.rpartition(".")
        return f"{_OTHER_PARTS[part]}.{leaf}" if part in _OTHER_PARTS else name
    stage, block, part, leaf = match.groups()
    if part not in _BLOCK_PARTS:
        return name
    return f"s{int(stage) + 1}.pathway0_res{block}.{_BLOCK_PARTS[part]}.{leaf}"


def _fold_first_shortcut(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Move the normalisation of the first shortcut into its convolution and its bias into the sum's other side.

    A state with some of the tensors missing or misshapen passes unchanged: whoever compares it with a network names them.
    """
    norm = [f"{_SHORTCUT}_bn.{leaf}" for leaf in ("weight", "bias", "running_mean", "running_var")]
    weight_name = f"{_SHORTCUT}.weight"
    if not {*norm, weight_name, _SHORTCUT_SUM} <= state.keys():
        return state
    weight, sum_bias = state[weight_name], state[_SHORTCUT_SUM]
    if any(state[name].shape != sum_bias.shape for name in norm) or weight.shape[:1] != sum_bias.shape:
        return state
    gain, bias, mean, variance = (state[name].double() for name in norm)
    scale = gain / torch.sqrt(variance + _EPS)
    folded = {name: value for name, value in state.items() if not name.startswith(f"{_SHORTCUT}_bn.")}
    folded[weight_name] = (weight.double() * scale.view(-1, 1, 1, 1, 1)).to(weight.dtype)
    folded[_SHORTCUT_SUM] = (sum_bias.double() + bias - mean * scale).to(sum_bias.dtype)
    return folded
