"""Names of the released TSM checkpoints (Something-Something, Jester) and ours for the same parameters.

There a shifted convolution is wrapped, so that its weight is ``….net.weight``; ``new_fc`` are the two halves of f_C,
``new_new_fc`` the auxiliary heads. ImageNet's heads are not in the file.
"""

from collections.abc import Mapping

from torch import Tensor

from neurofocus.model.encoders.mobilenet import MobileNetV2, from_flat_names, to_flat_names
from neurofocus.model.encoders.protocol import Encoder
from neurofocus.model.encoders.temporal_shift import from_shift_names
from neurofocus.model.uni_adafocus import UniAdaFocus

__all__ = ["from_released_tsm", "is_released_tsm", "to_released_tsm"]

_MARK = ".base_model."
# Released prefix -> ours; modules that are not listed have the same name on both sides.
_HEADS = {
    "global_CNN.new_fc.": "classifier.global_classifier.1.",
    "global_CNN.new_new_fc.": "global_head.1.",
    "local_CNN.new_fc.": "classifier.local_classifier.1.",
    "local_CNN.new_new_fc.": "local_head.1.",
    "aux_fc.": "policy_head.",
}
_ENCODERS = {"global_CNN.base_model.": "global_encoder.", "local_CNN.base_model.": "local_encoder."}


def is_released_tsm(names: Mapping[str, Tensor]) -> bool:
    """Say whether names are those of a released TSM checkpoint."""
    return any(_MARK in name for name in names)


def from_released_tsm(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a released state under our names; what is unknown keeps its name."""
    state: dict[str, Tensor] = {}
    for name, tensor in released.items():
        prefix = next((old for old in _ENCODERS if name.startswith(old)), None)
        if prefix is None:
            state[_renamed(name, _HEADS)] = tensor
            continue
        layer = from_flat_names(from_shift_names({name.removeprefix(prefix): tensor}))
        state |= {f"{_ENCODERS[prefix]}{own}": value for own, value in layer.items()}
    return state


def to_released_tsm(model: UniAdaFocus) -> dict[str, Tensor]:
    """Return a model's state under the released names, without ``module.``."""
    heads = {own: old for old, own in _HEADS.items()}
    released: dict[str, Tensor] = {}
    for prefix, own in _ENCODERS.items():
        encoder: Encoder = getattr(model, own.removesuffix("."))
        released |= {f"{prefix}{name}": tensor for name, tensor in _released_encoder(encoder).items()}
    for name, tensor in model.state_dict().items():
        if not name.startswith(tuple(_ENCODERS.values())):
            released[_renamed(name, heads)] = tensor
    return released


def _released_encoder(encoder: Encoder) -> dict[str, Tensor]:
    state = encoder.state_dict()
    first = ".conv1."
    if isinstance(encoder, MobileNetV2):
        state, first = to_flat_names(state), ".conv.0."
    shifted = [f"{name}{first}" for name, part in encoder.named_modules() if getattr(part, "shift", False)]
    wrapped = {name: f"{name}net." for name in shifted}
    return {_renamed(name, wrapped): tensor for name, tensor in state.items()}


def _renamed(name: str, prefixes: Mapping[str, str]) -> str:
    for old, new in prefixes.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
