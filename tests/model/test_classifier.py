"""f_C: released names, hand computation, and that steps accumulate and never look ahead."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from neurofocus.model.classifier import (
    AverageClassifier,
    Classifier,
    ClassifierSizes,
    ClipClassifier,
    MaxPoolingClassifier,
    build_classifier,
)
from neurofocus.schema.model import ClassifierConfig

GLANCE, FOCUS, CLASSES, HIDDEN = 3, 4, 5, 6
SIZES = ClassifierSizes(in_channels=(7, 8), num_frames=(GLANCE, FOCUS), num_classes=CLASSES)
KINDS = [("max_pooling", True), ("max_pooling", False), ("average", True), ("average", False)]


def _classifier(kind: str = "max_pooling", reuse_global: bool = True, dropout: float = 0.2) -> Classifier:
    torch.manual_seed(0)
    config = ClassifierConfig.model_validate(
        {"kind": kind, "reuse_global": reuse_global, "hidden": HIDDEN, "dropout": dropout}
    )
    return build_classifier(config, SIZES)


def _features(seed: int = 0, batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(batch, GLANCE, 7, generator=generator),
        torch.randn(batch, FOCUS, 8, generator=generator),
    )


def test_names_and_shapes_are_those_of_the_released_checkpoints() -> None:
    shapes = {n: tuple(p.shape) for n, p in _classifier().named_parameters() if p.ndim == 2}
    expected = {
        "global_mlp.layers.0.weight": (HIDDEN, 7),
        "local_mlp.layers.0.weight": (HIDDEN, 8),
        **{f"global_classifiers.{i}.1.weight": (CLASSES, HIDDEN) for i in range(GLANCE)},
        **{f"local_classifiers.{i}.1.weight": (CLASSES, 2 * HIDDEN) for i in range(FOCUS)},
    }
    assert shapes == expected
    assert {"global_mlp.layers.1.running_mean", "local_mlp.layers.1.running_var"} < set(
        _classifier().state_dict()
    )


def test_released_size() -> None:
    classifier = build_classifier(ClassifierConfig(), ClassifierSizes((1280, 2048), (16, 16), 200))
    assert sum(p.numel() for p in classifier.parameters()) == 52_984_064


@pytest.mark.parametrize(("kind", "reuse_global"), KINDS)
def test_one_prediction_an_exit(kind: str, reuse_global: bool) -> None:
    classifier = _classifier(kind, reuse_global)
    assert classifier.num_global_exits == (GLANCE if reuse_global else 0)
    assert classifier.num_exits == classifier.num_global_exits + FOCUS
    for batch in (1, 2):
        logits = classifier.eval()(*_features(batch=batch))
        assert logits.shape == (batch, classifier.num_exits, CLASSES)


def test_max_pooling_by_hand() -> None:
    classifier = _classifier().eval()
    assert isinstance(classifier, MaxPoolingClassifier)
    glanced, focused = _features()
    logits = classifier(glanced, focused)
    z_global, z_local = classifier.global_mlp(glanced), classifier.local_mlp(focused)
    head: Any = classifier.global_classifiers[1]
    torch.testing.assert_close(logits[:, 1], head(z_global[:, :2].amax(1)))
    head = classifier.local_classifiers[2]
    pooled = torch.cat([z_local[:, :3].amax(1), z_global.amax(1)], -1)  # local first
    torch.testing.assert_close(logits[:, GLANCE + 2], head(pooled))


def test_average_by_hand_is_a_linear_layer_on_concatenated_features() -> None:
    classifier = _classifier("average").eval()
    assert isinstance(classifier, AverageClassifier)
    glanced, focused = _features()
    logits = classifier(glanced, focused)
    on_global: Any = classifier.global_classifier[1]
    on_local: Any = classifier.local_classifier[1]
    joined = nn.Linear(15, CLASSES)
    joined.weight.data = torch.cat([on_global.weight, on_local.weight], 1)
    joined.bias.data = on_global.bias + on_local.bias
    mean = torch.cat([glanced.mean(1), focused.mean(1)], -1)
    torch.testing.assert_close(logits[:, -1], joined(mean))
    torch.testing.assert_close(logits[:, 1], on_global(glanced[:, :2].mean(1)))
    torch.testing.assert_close(logits[:, GLANCE], on_global(glanced.mean(1)) + on_local(focused[:, 0]))


@pytest.mark.parametrize("kind", ["max_pooling", "average"])
def test_without_reuse_global_features_do_not_matter(kind: str) -> None:
    classifier = _classifier(kind, reuse_global=False).eval()
    glanced, focused = _features()
    assert torch.equal(classifier(glanced, focused), classifier(glanced + 1, focused))


@pytest.mark.parametrize(("kind", "reuse_global"), KINDS)
@given(seed=st.integers(0, 10_000), seen=st.integers(1, FOCUS))
@settings(max_examples=15)
def test_appending_frames_changes_no_earlier_step(
    kind: str, reuse_global: bool, seed: int, seen: int
) -> None:
    classifier = _classifier(kind, reuse_global).eval()
    glanced, focused = _features(seed)
    logits = classifier(glanced, focused)
    prefix = classifier(glanced, focused[:, :seen])
    assert prefix.shape[1] == classifier.num_global_exits + seen
    torch.testing.assert_close(prefix, logits[:, : prefix.shape[1]])
    later = focused.clone()
    later[:, seen:] += 5
    torch.testing.assert_close(classifier(glanced, later)[:, : prefix.shape[1]], prefix)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15)
def test_pooled_features_never_decrease(seed: int) -> None:
    classifier = _classifier().eval()
    assert isinstance(classifier, MaxPoolingClassifier)
    seen: list[Tensor] = []
    hooks = [
        head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        for head in (*classifier.global_classifiers, *classifier.local_classifiers)
    ]
    classifier(*_features(seed))
    for hook in hooks:
        hook.remove()
    for steps in (seen[:GLANCE], seen[GLANCE:]):
        for before, after in pairwise(steps):
            assert (after >= before).all()


@pytest.mark.parametrize("reuse_global", [True, False])
def test_a_clip_gets_the_last_step_of_average_consensus(reuse_global: bool) -> None:
    config = ClassifierConfig(kind="average", reuse_global=reuse_global, dropout=0.0)
    clips, frames = ClipClassifier(config, SIZES), AverageClassifier(config, SIZES)
    frames.load_state_dict(clips.state_dict())
    glanced, focused = _features()
    assert (clips.num_exits, clips.num_global_exits) == (1, 0)
    torch.testing.assert_close(clips(glanced, focused), frames(glanced, focused)[:, -1:])
    # Any number of frames will do: the mean has no heads of its own.
    assert clips(glanced, torch.cat([focused, focused], 1)).shape == (2, 1, CLASSES)
    built = build_classifier(config, SIZES, of_clips=True)
    assert isinstance(built, ClipClassifier)


def test_more_frames_than_heads_are_refused() -> None:
    glanced, focused = _features()
    with pytest.raises(ValueError, match="5 frames, but the classifier has heads for 4"):
        _classifier().eval()(glanced, torch.cat([focused, focused[:, :1]], 1))


@pytest.mark.parametrize(("kind", "reuse_global"), KINDS)
def test_every_parameter_learns(kind: str, reuse_global: bool) -> None:
    classifier = _classifier(kind, reuse_global, dropout=0.0)
    glanced, focused = (f.requires_grad_() for f in _features())
    logits = classifier(glanced, focused)
    (logits * torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    assert all(p.grad is not None for p in classifier.parameters())
    assert (glanced.grad is not None) == reuse_global
    assert focused.grad is not None


@pytest.mark.parametrize(
    ("kind", "reuse_global", "seen"),
    [(*kind, seen) for kind in KINDS for seen in range(FOCUS + 1) if seen or kind[1]],
)
def test_the_last_step_alone_is_the_last_of_all(kind: str, reuse_global: bool, seen: int) -> None:
    classifier = _classifier(kind, reuse_global).eval()
    glanced, focused = _features()
    expected = classifier(glanced, focused)[:, classifier.num_global_exits + seen - 1]
    torch.testing.assert_close(classifier.last_step(glanced, focused[:, :seen]), expected)
