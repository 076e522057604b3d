"""A model in its fast form: the same answers, in less time."""

import copy

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from neurofocus.inference.fast_crop import sample_patches
from neurofocus.inference.fast_encoder import FastEncoder
from neurofocus.inference.fusion import fold, trace
from neurofocus.inference.hardware import check_bfloat16, check_packed
from neurofocus.inference.packed import pack
from neurofocus.model.build import Model
from neurofocus.model.tsm_plus import TsmPlus
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.inference import InferenceSettings

__all__ = ["optimised"]


def optimised(model: Model, settings: InferenceSettings | None = None) -> Model:
    """Return a new model that computes the same faster; the one that is given stays as it is.

    The new model is for prediction only, on the device that it was made on: it has no gradients, its encoders have
    no weights that could be saved. In float32 its answers differ by rounding. In bfloat16 its encoders' do by about
    one percent, so that other frames may be chosen.

    Args:
        model: in evaluation mode, on its device.
        settings: which of the fast forms; None: all that are exact up to rounding.

    Raises:
        ConfigError: the device cannot do what is asked for.
        ValueError: the model is in training mode.
    """
    settings = settings or InferenceSettings()
    if model.training:
        raise ValueError("only a model in evaluation mode can be optimised; call model.eval()")
    device = next(model.parameters()).device
    if settings.precision == "bfloat16":
        check_bfloat16(device)
    if settings.packed and device.type == "cpu":
        check_packed()
    made = copy.deepcopy(model).requires_grad_(False)
    config = made.config
    channels = 3 if config.frame_channels == 1 and config.gray_input == "repeat" else config.frame_channels
    glance = config.glance_size or config.frame_size
    focus = config.frame_size if isinstance(made, TsmPlus) else config.patch_size
    made.global_encoder = FastEncoder(
        made.global_encoder, settings, shape=(channels, glance, glance), num_frames=config.num_glance_frames
    )
    made.local_encoder = FastEncoder(
        made.local_encoder, settings, shape=(channels, focus, focus), num_frames=config.num_focus_frames
    )
    if isinstance(made, UniAdaFocus) and settings.sampled:
        made.cropper = sample_patches
    if settings.fold:
        _fold_rest(made, packed=settings.packed and device.type == "cpu")
    return made


def _fold_rest(model: nn.Module, *, packed: bool) -> None:
    """Fold the batch normalisations of policies and classifier: each stands in a sequence of layers."""
    for name, part in list(model.named_modules()):
        if isinstance(part, nn.Sequential) and any(isinstance(layer, _BatchNorm) for layer in part):
            traced = trace(part)
            fold(traced)
            if packed:
                pack(traced)
            model.set_submodule(name, traced)
