"""Heads on pooled features: linear, or with a hidden layer as X3D's own, which published weights can fill."""

import logging
from collections.abc import Mapping

from torch import Tensor, nn

from neurofocus.model.encoders.protocol import Encoder
from neurofocus.model.encoders.weights import locate_weights
from neurofocus.model.tensor_files import describe_misfit, read_tensors
from neurofocus.schema.model import EncoderConfig, ModelConfig

__all__ = ["MlpHead", "auxiliary_head", "fill_heads"]

logger = logging.getLogger(__name__)

_PUBLISHED = "head."  # what X3D's published names, as the encoder translates them, start with


class MlpHead(nn.Module):
    """What X3D does after its pooling: linear without bias, ReLU, dropout, linear. The names are SlowFast's.

    Args:
        in_channels: of a feature.
        hidden: width of the layer between.
        dropout: before the last layer.
        num_classes: K.
    """

    def __init__(self, in_channels: int, *, hidden: int, dropout: float, num_classes: int) -> None:
        super().__init__()
        self.lin_5 = nn.Linear(in_channels, hidden, bias=False)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(hidden, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits [..., K] of features [..., D]."""
        logits: Tensor = self.projection(self.dropout(self.relu(self.lin_5(features))))
        return logits


def auxiliary_head(in_channels: int, config: ModelConfig) -> nn.Module:
    """Return FC_G or FC_L of Eq. 11, for features of ``in_channels``: frame by frame."""
    if config.auxiliary_hidden is None:
        return nn.Sequential(nn.Dropout(config.auxiliary_dropout), nn.Linear(in_channels, config.num_classes))
    return MlpHead(
        in_channels,
        hidden=config.auxiliary_hidden,
        dropout=config.auxiliary_dropout,
        num_classes=config.num_classes,
    )


def fill_heads(heads: Mapping[str, nn.Module], encoder: Encoder, config: EncoderConfig) -> tuple[str, ...]:
    """Fill X3D's heads in place from the file that filled the encoder, as far as they have its shapes.

    Heads of other classes than the file's stay random; the log says so.

    Args:
        heads: of that encoder, by name; others than `MlpHead` are left alone.
        encoder: knows the file's names.
        config: names the file, or none.

    Returns:
        The names of the heads that were filled.

    Raises:
        BundleError: if the file is missing or damaged.
    """
    fillable = {name: head for name, head in heads.items() if isinstance(head, MlpHead)}
    if config.weights is None or not fillable:
        return ()
    path = locate_weights(config)
    published = {
        name.removeprefix(_PUBLISHED): tensor.flatten(1) if tensor.dim() > 2 else tensor
        for name, tensor in encoder.translate(read_tensors(path)).items()
        if name.startswith(encoder.head_prefixes)
    }
    filled = []
    for name, head in fillable.items():
        if misfit := describe_misfit(published, head.state_dict()):
            logger.warning("%s: stays random, since the head in %s differs: %s", name, path.name, misfit)
            continue
        head.load_state_dict(published)
        filled.append(name)
    if filled:
        logger.info("%s: filled from the head in %s", ", ".join(filled), path.name)
    return tuple(filled)
