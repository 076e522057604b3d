"""From a model's configuration to the model."""

from neurofocus.model.tsm_plus import TsmPlus
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import ModelConfig

__all__ = ["Model", "build_model"]

Model = UniAdaFocus | TsmPlus


def build_model(config: ModelConfig) -> Model:
    """Return the kind of model that ``config`` names; its parameters are random or the encoders' initial weights.

    Raises:
        ConfigError: if an encoder does not come as configured.
        BundleError: if an encoder's weights cannot be had.
    """
    return TsmPlus(config) if config.kind == "tsm_plus" else UniAdaFocus(config)
