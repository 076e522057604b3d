"""The four graphs that a model is exported as, cut so that an early exit computes nothing that comes after it.

glance: frames -> maps, features, what f_C keeps of them, and the answer after the glance where there is one;
decide: maps, features -> frames, boxes, frame weights; focus: frames, boxes -> what f_C keeps of each;
classifier: what f_C keeps of the glance and of the focus frames so far -> the answer.

What f_C computes of a single frame belongs to the graph that sees the frame, so that it is computed once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurofocus.model.classifier import (
    AverageClassifier,
    Classifier,
    MaxPoolingClassifier,
    PooledMlpClassifier,
)
from neurofocus.model.frame_sampling import chosen_weights
from neurofocus.model.outputs import GlanceOutput
from neurofocus.model.patches import crop_matrices
from neurofocus.model.uni_adafocus import UniAdaFocus

__all__ = ["GRAPHS", "NamedGraph", "cut_model"]

GRAPHS = 2  # counted up when graphs change, so that cached exports are made again


@dataclass(frozen=True)
class NamedGraph:
    """One graph as a module.

    Attributes:
        module: takes tensors in the order of ``inputs``, returns them in the order of ``outputs``.
        inputs: name -> an example; the first axis may have any length.
        outputs: names.
        free: inputs whose second axis may have any length, too.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    free: frozenset[str] = frozenset()


def cut_model(model: UniAdaFocus) -> dict[str, NamedGraph]:
    """Return a model's graphs by name, in the order in which they run.

    Args:
        model: on the CPU, in evaluation mode.
    """
    config = model.config
    side, colours, glanced = config.frame_size, config.frame_channels, config.num_glance_frames
    clip = config.num_focus_frames if model.local_encoder.mixes_frames else 1
    frames = torch.zeros(2, glanced, colours, side, side)
    images = torch.zeros(2, clip, colours, side, side)
    boxes = torch.full((2, clip, 4), side / 2)
    glance, focus = _Glance(model), _Focus(model)
    with torch.no_grad():
        seen, kept = glance(frames), focus(images, boxes)
    known = ("kept_glance", "logits") if config.classifier.reuse_global else ()
    results = ("global_maps", "global_features", *known)
    return {
        "glance": NamedGraph(glance, {"frames": frames}, results),
        "decide": NamedGraph(
            _Decide(model),
            dict(zip(results[:2], seen, strict=False)),
            ("frame_indices", "boxes", "frame_weights", "chosen_weights"),
        ),
        "focus": NamedGraph(focus, {"images": images, "boxes": boxes}, ("kept_focus",)),
        "classifier": _answer_graph(model, kept.shape[-1], dict(zip(results, seen, strict=True))),
    }


def _answer_graph(model: UniAdaFocus, width: int, seen: Mapping[str, Tensor]) -> NamedGraph:
    whole = model.config.classifies_clips
    inputs = {"kept_focus": torch.zeros(2, model.config.num_focus_frames if whole else 2, width)}
    module: nn.Module = _MeanAnswer(model.classifier)
    if isinstance(model.classifier, MaxPoolingClassifier):
        module = _PooledAnswer(model.classifier)
        inputs["head"] = torch.tensor([0])
    if "kept_glance" in seen:
        inputs["kept_glance"] = seen["kept_glance"]
    return NamedGraph(module, inputs, ("logits",), frozenset() if whole else frozenset({"kept_focus"}))


class _Glance(nn.Module):
    """f_G, and what is known after it."""

    rows: Tensor
    cols: Tensor

    def __init__(self, model: UniAdaFocus) -> None:
        super().__init__()
        self.model = model
        config = model.config
        self.shrinks = config.glance_size is not None and config.glance_size != config.frame_size
        # Two products instead of torch's interpolate: OpenVINO leaves the low-pass out of ONNX's Resize.
        middle, whole = config.frame_size / 2, float(config.frame_size)
        rows, cols = crop_matrices(
            torch.tensor([[middle, middle, whole, whole]]),
            config.frame_size,
            config.glance_size or config.frame_size,
            antialias=config.patches.antialias,
        )
        self.register_buffer("rows", rows[0])
        self.register_buffer("cols", cols[0].T.contiguous())

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Return e^G [B, T, D, h, w], its mean [B, T, D]; with reuse also what f_C keeps [B, S] and logits [B, K].

        Args:
            frames: the T_G frames to glance at, [B, T, C, H, W].
        """
        images = frames.flatten(0, 1)
        if self.shrinks:
            images = self.rows @ (images @ self.cols)
        maps = self.model.global_maps(images, frames.shape[1])
        maps = maps.view(-1, frames.shape[1], *maps.shape[1:])
        features = maps.mean((-2, -1))
        if not self.model.config.classifier.reuse_global:
            return maps, features
        kept = _kept_of_glance(self.model.classifier, features)
        return maps, features, kept, self._answer(features, kept)

    def _answer(self, features: Tensor, kept: Tensor) -> Tensor:
        model = self.model
        if model.exits_by_head:
            means: Tensor = model.global_head(features).mean(1)
            return means
        if isinstance(model.classifier, MaxPoolingClassifier):
            logits: Tensor = model.classifier.global_classifiers[-1](kept)
            return logits
        return kept.clone()  # a result has one name


class _Decide(nn.Module):
    """pi: which frames are looked at, and where."""

    def __init__(self, model: UniAdaFocus) -> None:
        super().__init__()
        self.model = model

    def forward(self, global_maps: Tensor, global_features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return frame indices [B, F] (int64), boxes [B, F, 4], frame weights [B, T] and of those frames [B, F].

        All in time; focus frames by weight are those of falling weights, equal ones in time.
        """
        decision = self.model.decide(GlanceOutput(global_maps, global_features))
        indices = self.model.select_frames(decision)
        chosen = chosen_weights(decision.frame_weights, self.model.config.num_frames, indices)
        return indices, self.model.place_boxes(decision, indices), decision.frame_weights, chosen


class _Focus(nn.Module):
    """f_L on the patches of some frames."""

    def __init__(self, model: UniAdaFocus) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Return what f_C keeps of every frame, [M, n, S].

        Args:
            images: of M clips, [M, n, C, H, W]; n is 1 where f_L looks at single frames, else T_L.
            boxes: in them, [M, n, 4].
        """
        size = self.model.config.patch_size
        patches = self.model.resample(images.flatten(0, 1), boxes.flatten(0, 1), size)
        features = self.model.encode_patches(patches.view(-1, images.shape[1], *patches.shape[1:]))
        return _kept_of_focus(self.model.classifier, features)


class _PooledAnswer(nn.Module):
    """Accumulated max-pooling: the maximum so far, and the head of that step."""

    weights: Tensor
    biases: Tensor

    def __init__(self, classifier: MaxPoolingClassifier) -> None:
        super().__init__()
        heads = [part for part in classifier.local_classifiers.modules() if isinstance(part, nn.Linear)]
        self.register_buffer("weights", torch.stack([head.weight.detach() for head in heads]))
        self.register_buffer("biases", torch.stack([head.bias.detach() for head in heads]))

    def forward(self, kept_focus: Tensor, head: Tensor, kept_glance: Tensor | None = None) -> Tensor:
        """Return logits [B, K].

        Args:
            kept_focus: of the n focus frames so far, [B, n, S].
            head: n - 1, int64 [1].
            kept_glance: of the glance, [B, S]; none without reuse.
        """
        pooled = kept_focus.amax(1)
        joined = pooled if kept_glance is None else torch.cat([pooled, kept_glance], dim=-1)
        weights, biases = self.weights.index_select(0, head)[0], self.biases.index_select(0, head)
        return joined @ weights.T + biases


class _MeanAnswer(nn.Module):
    """The averages, and X3D's head on an average."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.head = (
            classifier.local_classifier if isinstance(classifier, PooledMlpClassifier) else nn.Identity()
        )

    def forward(self, kept_focus: Tensor, kept_glance: Tensor | None = None) -> Tensor:
        """Return logits [B, K] of focus frames [B, n, S] and of the glance, [B, K]; none without reuse."""
        logits: Tensor = self.head(kept_focus.mean(1))
        return logits if kept_glance is None else logits + kept_glance


def _kept_of_glance(classifier: Classifier, features: Tensor) -> Tensor:
    """Return what f_C keeps of the glance, [B, S], of features [B, T, D]."""
    if isinstance(classifier, MaxPoolingClassifier):
        kept: Tensor = classifier.global_mlp(features).amax(1)
    elif isinstance(classifier, AverageClassifier):
        kept = classifier.global_classifier(features).mean(1)
    else:
        assert isinstance(classifier, PooledMlpClassifier)
        kept = classifier.global_classifier(features.mean(1))
    return kept


def _kept_of_focus(classifier: Classifier, features: Tensor) -> Tensor:
    """Return what f_C keeps of focus frames, [M, n, S], of features [M, n, D']."""
    if isinstance(classifier, MaxPoolingClassifier):
        kept: Tensor = classifier.local_mlp(features)
    elif isinstance(classifier, AverageClassifier):
        kept = classifier.local_classifier(features)
    else:
        kept = features
    return kept
