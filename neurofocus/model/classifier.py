"""f_C: from the features seen so far to one prediction an exit step (Eq. 3, appendix H.1).

Classifiers of single frames use all T_G glance frames first and then add focus frames one at a time, in temporal
order. Where an encoder mixes the frames of a clip, there is one step for all of them, or one a stage.
"""

from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor, nn

from neurofocus.model.heads import MlpHead
from neurofocus.schema.model import ClassifierConfig

__all__ = [
    "AverageClassifier",
    "Classifier",
    "ClassifierSizes",
    "ClipClassifier",
    "MaxPoolingClassifier",
    "PooledMlpClassifier",
    "build_classifier",
]


class ClassifierSizes(NamedTuple):
    """What a classifier is made for.

    Attributes:
        in_channels: feature channels of f_G and f_L.
        num_frames: T_G and T_L.
        num_classes: K.
    """

    in_channels: tuple[int, int]
    num_frames: tuple[int, int]
    num_classes: int


class Classifier(nn.Module):
    """What all classifiers share: by default one exit step a frame.

    Attributes:
        reuse_global: whether glance features take part.
        num_exits: E, the number of exit steps.
        num_global_exits: how many of them, the first ones, need no focus frame.
    """

    def __init__(self, config: ClassifierConfig, sizes: ClassifierSizes) -> None:
        super().__init__()
        num_glance_frames, num_focus_frames = sizes.num_frames
        self.reuse_global = config.reuse_global
        self.num_global_exits = num_glance_frames if config.reuse_global else 0
        self.num_exits = self.num_global_exits + num_focus_frames

    def forward(self, global_features: Tensor, local_features: Tensor) -> Tensor:
        """Return logits [B, E, K] of glance features [B, T, D] and focus features [B, F, D'].

        With the first k focus frames only, the result is the first T_G + k steps: later frames never change
        earlier predictions.
        """
        raise NotImplementedError

    def last_step(self, global_features: Tensor, local_features: Tensor) -> Tensor:
        """Return the last step's logits alone, [B, K], of all glance features and the focus features so far."""
        return self(global_features, local_features)[:, -1]  # type: ignore[no-any-return]  # calls of modules are untyped


class MaxPoolingClassifier(Classifier):
    """Accumulated max-pooling: the running maximum of embedded frames, and one linear head a step.

    Step t <= T_G predicts from max z^G over glance frames 1..t; step T_G + k from max z^L over focus frames 1..k
    next to max z^G over all glance frames (local first, as in the released checkpoints). Without reuse of global
    features there are T_L steps, from max z^L alone.
    """

    def __init__(self, config: ClassifierConfig, sizes: ClassifierSizes) -> None:
        super().__init__(config, sizes)
        in_channels, num_frames, num_classes = sizes
        hidden, dropout = config.hidden, config.dropout
        if config.reuse_global:
            self.global_mlp = _Embedding(in_channels[0], hidden)
            self.global_classifiers = _heads(num_frames[0], hidden, dropout, num_classes)
        self.local_mlp = _Embedding(in_channels[1], hidden)
        local_width = 2 * hidden if config.reuse_global else hidden
        self.local_classifiers = _heads(num_frames[1], local_width, dropout, num_classes)

    def forward(self, global_features: Tensor, local_features: Tensor) -> Tensor:
        """Return logits [B, E, K]; see `Classifier.forward`."""
        pooled = list(accumulate(self.local_mlp(local_features).unbind(1), torch.maximum))
        if not self.reuse_global:
            return torch.stack(_apply_heads(self.local_classifiers, pooled), dim=1)
        glanced = list(accumulate(self.global_mlp(global_features).unbind(1), torch.maximum))
        joined = [torch.cat([step, glanced[-1]], dim=-1) for step in pooled]
        logits = _apply_heads(self.global_classifiers, glanced) + _apply_heads(self.local_classifiers, joined)
        return torch.stack(logits, dim=1)

    def last_step(self, global_features: Tensor, local_features: Tensor) -> Tensor:
        """Apply one head instead of one a step; see `Classifier.last_step`."""
        glanced = [self.global_mlp(global_features).amax(1)] if self.reuse_global else []
        seen = local_features.shape[1]
        if not seen:
            logits: Tensor = self.global_classifiers[-1](glanced[0])
        else:
            joined = torch.cat([self.local_mlp(local_features).amax(1), *glanced], dim=-1)
            logits = self.local_classifiers[seen - 1](joined)
        return logits


class AverageClassifier(Classifier):
    """Average consensus: linear per-frame predictions, averaged over the frames seen so far.

    Step t <= T_G is the mean logit of glance frames 1..t; step T_G + k adds the mean logit of focus frames 1..k to
    the mean of all glance frames, which is a linear layer on concatenated features. Without reuse of global
    features there are T_L steps, the running means of the focus frames.
    """

    def __init__(self, config: ClassifierConfig, sizes: ClassifierSizes) -> None:
        super().__init__(config, sizes)
        if config.reuse_global:
            self.global_classifier = _head(sizes.in_channels[0], config.dropout, sizes.num_classes)
        self.local_classifier = _head(sizes.in_channels[1], config.dropout, sizes.num_classes)

    def forward(self, global_features: Tensor, local_features: Tensor) -> Tensor:
        """Return logits [B, E, K]; see `Classifier.forward`."""
        focused = _running_mean(self.local_classifier(local_features))
        if not self.reuse_global:
            return focused
        glanced = _running_mean(self.global_classifier(global_features))
        return torch.cat([glanced, glanced[:, -1:] + focused], dim=1)


class ClipClassifier(AverageClassifier):
    """Average consensus of a whole clip: its last step alone (appendix H.1, TSM).

    It is a linear layer on the concatenated mean features of both encoders, or of f_L's without reuse of global
    features. The parameters are those of `AverageClassifier`.
    """

    def __init__(self, config: ClassifierConfig, sizes: ClassifierSizes) -> None:
        super().__init__(config, sizes)
        self.num_global_exits, self.num_exits = 0, 1

    def forward(self, global_features: Tensor, local_features: Tensor) -> Tensor:
        """Return logits [B, 1, K] of all glance features [B, T, D] and all focus features [B, F, D']."""
        logits: Tensor = self.local_classifier(local_features).mean(1, keepdim=True)
        if self.reuse_global:
            logits = logits + self.global_classifier(global_features).mean(1, keepdim=True)
        return logits


class PooledMlpClassifier(Classifier):
    """X3D's own head on each encoder's features, averaged over the clip (appendix H.1, X3D).

    The first step is the glance's head alone, the second adds the focus's. Without reuse of global features there
    is one step, the focus's head alone.
    """

    def __init__(self, config: ClassifierConfig, sizes: ClassifierSizes) -> None:
        super().__init__(config, sizes)
        self.num_global_exits = int(config.reuse_global)
        self.num_exits = self.num_global_exits + 1
        global_head, local_head = (
            MlpHead(channels, hidden=config.hidden, dropout=config.dropout, num_classes=sizes.num_classes)
            for channels in sizes.in_channels
        )
        if config.reuse_global:
            self.global_classifier = global_head
        self.local_classifier = local_head

    def forward(self, global_features: Tensor, local_features: Tensor) -> Tensor:
        """Return logits [B, E, K] of all glance features [B, T, D] and all or none of the focus features."""
        steps = [self.global_classifier(global_features.mean(1))] if self.num_global_exits else []
        if local_features.shape[1]:
            steps.append(self.local_classifier(local_features.mean(1)))
        return torch.stack(list(accumulate(steps)), dim=1)


class _Embedding(nn.Module):
    """A frame's feature, embedded: linear, batch normalisation over cases and frames, ReLU."""

    def __init__(self, in_channels: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_channels, hidden), nn.BatchNorm1d(hidden), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        """Return z, [B, T, hidden], of features [B, T, D]."""
        embedded: Tensor = self.layers(features.flatten(0, 1))
        return embedded.view(*features.shape[:2], embedded.shape[-1])


def build_classifier(
    config: ClassifierConfig, sizes: ClassifierSizes, *, of_clips: bool = False
) -> Classifier:
    """Return the configured classifier.

    Args:
        config: which one, and its width.
        sizes: of what it gets and gives.
        of_clips: one prediction for all frames; what kind average then is.
    """
    kind = ClipClassifier if of_clips and config.kind == "average" else _CLASSIFIERS[config.kind]
    return kind(config, sizes)


_CLASSIFIERS: dict[str, type[Classifier]] = {
    "max_pooling": MaxPoolingClassifier,
    "average": AverageClassifier,
    "pooled_mlp": PooledMlpClassifier,
}


def _head(in_channels: int, dropout: float, num_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(in_channels, num_classes))


def _heads(number: int, in_channels: int, dropout: float, num_classes: int) -> nn.ModuleList:
    return nn.ModuleList(_head(in_channels, dropout, num_classes) for _ in range(number))


def _apply_heads(heads: nn.ModuleList, steps: list[Tensor]) -> list[Tensor]:
    if len(steps) > len(heads):
        raise ValueError(f"{len(steps)} frames, but the classifier has heads for {len(heads)}")
    return [head(step) for head, step in zip(heads, steps, strict=False)]


def _running_mean(logits: Tensor) -> Tensor:
    """Return the mean over frames 1..t at every t, [B, T, K]."""
    if not logits.shape[1]:
        return logits
    sums = torch.stack(list(accumulate(logits.unbind(1))), dim=1)
    return sums / torch.arange(1, sums.shape[1] + 1, device=sums.device)[:, None]
