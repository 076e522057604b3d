"""The released Uni-AdaFocus checkpoints (MobileNetV2 + ResNet-50) and our names for the same parameters.

What each released name is: the paper's code release, folder "ActivityNet, FCVID and Mini-Kinetics". The
patch size is not in a checkpoint, since every module that sees patches is convolutional; it is in the
released file's name.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from neurofocus.errors import BundleError
from neurofocus.model.encoders.mobilenet import from_flat_names, to_flat_names
from neurofocus.model.tensor_files import describe_misfit, read_tensors
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import ModelConfig, without_initial_weights

__all__ = ["load_released", "to_released"]

logger = logging.getLogger(__name__)

# Released prefix -> ours; modules that are not listed have the same name on both sides.
_PREFIXES = {
    "global_CNN_fc.": "global_head.",
    "local_CNN_fc.": "local_head.",
    "global_CNN.": "global_encoder.",
    "local_CNN.": "local_encoder.",
    "aux_fc.": "policy_head.",
}
# ImageNet classifiers that the released code carries along and never uses.
_UNUSED = ("global_CNN.classifier.", "local_CNN.fc.")

# Parts of names that only other families of released checkpoints have.
_OTHER_FAMILIES = {
    ".base_model.": "a TSM checkpoint (Something-Something, Jester)",
    "blocks.0.conv.conv_t.": "an X3D checkpoint (Kinetics-400)",
    "pathway0_stem.": "an X3D checkpoint (Kinetics-400)",
}
_PATCH_SIZE = re.compile(r"_p(\d{2,3})(?!\d)")


def load_released(path: str | Path, config: ModelConfig) -> UniAdaFocus:
    """Return the model of a released checkpoint, in evaluation mode.

    Args:
        path: the released file, or one with the same names as .safetensors.
        config: the shipped configuration "activitynet", with ``num_classes`` and ``patch_size`` of the file.

    Raises:
        BundleError: if the file is damaged, of another family, or does not fit the configuration: every name
            in it must be used and every parameter of the model filled.
    """
    path = Path(path)
    released = read_tensors(path)
    for mark, family in _OTHER_FAMILIES.items():
        if any(mark in name for name in released):
            raise BundleError(
                f"{path}: is {family}; this version loads the MobileNetV2 + ResNet-50 checkpoints "
                "(ActivityNet, FCVID, Mini-Kinetics) only"
            )
    state = _from_released(released)
    model = UniAdaFocus(without_initial_weights(config))
    expected = model.state_dict()
    if misfit := describe_misfit(state, expected):
        hint = _hint(state, config) or "use the shipped configuration 'activitynet' with this file's settings"
        raise BundleError(f"{path}: does not fit the configuration: {misfit}; {hint}")
    model.load_state_dict(state)
    _warn_of_settings(path, config)
    return model.eval()


def to_released(model: UniAdaFocus) -> dict[str, Tensor]:
    """Return a model's state under the released names, without ``module.`` and the unused ImageNet heads."""
    ours = {new: old for old, new in _PREFIXES.items()}
    state = model.state_dict()
    split = _with_prefix(state, "global_encoder.")
    flat = {f"global_encoder.{name}": tensor for name, tensor in to_flat_names(split).items()}
    nested = {name: tensor for name, tensor in state.items() if not name.startswith("global_encoder.")}
    return {_rename(name, ours): tensor for name, tensor in (flat | nested).items()}


def _from_released(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    used = {name: tensor for name, tensor in released.items() if not name.startswith(_UNUSED)}
    state = {_rename(name, _PREFIXES): tensor for name, tensor in used.items()}
    encoder = from_flat_names(_with_prefix(state, "global_encoder."))
    others = {name: tensor for name, tensor in state.items() if not name.startswith("global_encoder.")}
    return {f"global_encoder.{name}": tensor for name, tensor in encoder.items()} | others


def _with_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _rename(name: str, prefixes: Mapping[str, str]) -> str:
    for old, new in prefixes.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _hint(state: Mapping[str, Tensor], config: ModelConfig) -> str:
    """Name the settings that the checkpoint itself tells, where they differ."""
    seen = {
        "num_classes": _rows(state, "policy_head.weight"),
        "num_glance_frames": _count(state, "classifier.global_classifiers."),
        "num_focus_frames": _count(state, "classifier.local_classifiers."),
    }
    wrong = {name: value for name, value in seen.items() if value and value != getattr(config, name)}
    return " and ".join(
        f"set model.{name}={value} (configured: {getattr(config, name)})" for name, value in wrong.items()
    )


def _rows(state: Mapping[str, Tensor], name: str) -> int:
    return state[name].shape[0] if name in state and state[name].dim() else 0


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})


def _warn_of_settings(path: Path, config: ModelConfig) -> None:
    """Say what would load silently and still give other numbers than the released ones."""
    named = _PATCH_SIZE.search(path.name)
    if named and int(named[1]) != config.patch_size:
        logger.warning(
            "%s was trained with patches of %s pixels by its name, model.patch_size is %d",
            path.name,
            named[1],
            config.patch_size,
        )
    if config.patches.antialias or config.patches.padding != "zeros":
        logger.warning(
            "%s was trained without anti-aliasing and with zero padding; "
            "set model.patches.antialias=false and model.patches.padding=zeros",
            path.name,
        )
