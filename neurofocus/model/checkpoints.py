"""The released Uni-AdaFocus checkpoints and our names for the same parameters.

What each released name is: the paper's code release; here, folder "ActivityNet, FCVID and Mini-Kinetics". The
patch size is not in a checkpoint, since every module that sees patches is convolutional; it is in the
released file's name. So are, for TSM, the numbers of frames.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from neurofocus.errors import BundleError
from neurofocus.model.encoders.mobilenet import from_flat_names, to_flat_names
from neurofocus.model.released_tsm import from_released_tsm, is_released_tsm, to_released_tsm
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

# Parts of names that only X3D has, in pytorchvideo's and in SlowFast's layout.
_X3D_MARKS = ("blocks.0.conv.conv_t.", "pathway0_stem.")
_X3D_NOT_RELEASED = (
    "no Uni-AdaFocus-X3D checkpoint was released, X3D weights only initialise its encoders: "
    "set model.global_encoder.weights and model.local_encoder.weights to those of X3D-S and X3D-L"
)
_PATCH_SIZE = re.compile(r"_p(\d{2,3})(?!\d)")
_FRAMES = re.compile(r"_(\d+)and(\d+)(?!\d)")
_FRAME_MARK = "global_CNN.features."
_FRAME_FAMILY = "a MobileNetV2 + ResNet-50 checkpoint (ActivityNet, FCVID, Mini-Kinetics)"
_FRAME_CONFIGS = "'activitynet'"
_TSM_FAMILY = "a TSM checkpoint (Something-Something, Jester)"
_TSM_CONFIGS = "'sthv1', 'sthv2' or 'jester'"


def load_released(path: str | Path, config: ModelConfig) -> UniAdaFocus:
    """Return the model of a released checkpoint, in evaluation mode.

    Args:
        path: the released file, or one with the same names as .safetensors.
        config: the shipped configuration "activitynet" (also for FCVID, Mini-Kinetics), "sthv1", "sthv2" or
            "jester", with ``num_classes``, ``patch_size`` and the numbers of frames of the file.

    Raises:
        BundleError: if the file is damaged, of another family, or does not fit the configuration: every name
            in it must be used and every parameter of the model filled.
    """
    path = Path(path)
    released = read_tensors(path)
    _require_family(path, released, config)
    tsm = config.mixes_frames
    used = {name: tensor for name, tensor in released.items() if tsm or not name.startswith(_UNUSED)}
    state = from_released_tsm(used) if tsm else _from_released(used)
    model = UniAdaFocus(without_initial_weights(config))
    # The file's own names are compared: users see them, and TSM's say which convolutions see shifted maps.
    if misfit := describe_misfit(used, to_released(model)):
        hint = _hint(state, config) or (
            f"use the shipped configuration {_TSM_CONFIGS if tsm else _FRAME_CONFIGS} with this file's settings"
        )
        raise BundleError(f"{path}: does not fit the configuration: {misfit}; {hint}")
    model.load_state_dict(state)
    _warn_of_settings(path, config)
    return model.eval()


def to_released(model: UniAdaFocus) -> dict[str, Tensor]:
    """Return a model's state under the released names, without ``module.`` and the unused ImageNet heads.

    Raises:
        ValueError: if the model has an X3D encoder, of which none was released.
    """
    if _has_x3d(model.config):
        raise ValueError(_X3D_NOT_RELEASED)
    if model.config.mixes_frames:
        return to_released_tsm(model)
    ours = {new: old for old, new in _PREFIXES.items()}
    state = model.state_dict()
    split = _with_prefix(state, "global_encoder.")
    flat = {f"global_encoder.{name}": tensor for name, tensor in to_flat_names(split).items()}
    nested = {name: tensor for name, tensor in state.items() if not name.startswith("global_encoder.")}
    return {_rename(name, ours): tensor for name, tensor in (flat | nested).items()}


def _require_family(path: Path, released: Mapping[str, Tensor], config: ModelConfig) -> None:
    """Refuse a file whose encoders see clips with a configuration whose encoders see frames, and vice versa."""
    if config.kind != "uni_adafocus":
        raise BundleError(f"{path}: model.kind is {config.kind}, of which none is released; set uni_adafocus")
    if any(mark in name for name in released for mark in _X3D_MARKS):
        raise BundleError(f"{path}: is an X3D checkpoint (Kinetics-400); {_X3D_NOT_RELEASED}")
    if _has_x3d(config):
        raise BundleError(f"{path}: does not fit a configuration with X3D encoders; {_X3D_NOT_RELEASED}")
    if is_released_tsm(released) and not config.mixes_frames:
        raise BundleError(
            f"{path}: is {_TSM_FAMILY}; use the shipped configuration {_TSM_CONFIGS} "
            "(the configured encoders have temporal_shift false)"
        )
    if config.mixes_frames and any(name.startswith(_FRAME_MARK) for name in released):
        raise BundleError(
            f"{path}: is {_FRAME_FAMILY}; use the shipped configuration {_FRAME_CONFIGS} "
            "(the configured encoders mix frames)"
        )


def _has_x3d(config: ModelConfig) -> bool:
    return any(encoder.name.startswith("x3d_") for encoder in (config.global_encoder, config.local_encoder))


def _from_released(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state = {_rename(name, _PREFIXES): tensor for name, tensor in released.items()}
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
        "num_glance_frames": _count(state, "classifier.global_classifiers.") or _clip_frames(state),
        "num_focus_frames": _count(state, "classifier.local_classifiers."),
    }
    wrong = {name: value for name, value in seen.items() if value and value != getattr(config, name)}
    return " and ".join(
        f"set model.{name}={value} (configured: {getattr(config, name)})" for name, value in wrong.items()
    )


def _rows(state: Mapping[str, Tensor], name: str) -> int:
    return state[name].shape[0] if name in state and state[name].dim() else 0


def _clip_frames(state: Mapping[str, Tensor]) -> int:
    """Return over how many frames the policy places one box a clip; 0 where it places one a frame."""
    last = state.get("spatial_policy.encoder.9.weight")
    depth = last.shape[2] if last is not None and last.dim() == 5 else 1
    return depth if depth > 1 else 0


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
    frames = _FRAMES.search(path.name)
    configured = (config.num_glance_frames, config.num_focus_frames)
    if frames and (int(frames[1]), int(frames[2])) != configured:
        logger.warning(
            "%s was trained with %s glance and %s focus frames by its name, configured are %d and %d",
            path.name,
            frames[1],
            frames[2],
            *configured,
        )
    if config.patches.antialias or config.patches.padding != "zeros":
        logger.warning(
            "%s was trained without anti-aliasing and with zero padding; "
            "set model.patches.antialias=false and model.patches.padding=zeros",
            path.name,
        )
