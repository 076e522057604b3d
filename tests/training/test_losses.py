"""The objective: which term reaches which part, each term against an independent computation, determinism."""

from dataclasses import fields
from typing import Any

import pytest
import torch
from sklearn.metrics import log_loss
from torch import Tensor
from torch.nn import functional
from training.learners import PAPER, TERMS, reached

from neurofocus.model.draws import Draws
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import ModelConfig
from neurofocus.schema.run import ObjectiveConfig
from neurofocus.training.losses import LossTerms, training_loss

TINY: dict[str, Any] = {
    "num_classes": 3,
    "frame_size": 64,
    "frame_channels": 1,
    "num_frames": 8,
    "num_glance_frames": 4,
    "num_focus_frames": 4,
    "patch_size": 32,
    "global_encoder": {"name": "mobilenet_v2", "width": 0.25},
    "local_encoder": {"name": "resnet18", "width": 0.25},
    "classifier": {"hidden": 16, "dropout": 0.0},
    "spatial_policy": {"channels": 8},
    "auxiliary_dropout": 0.0,
}
LABELS = torch.tensor([0, 2, 2])


def _model(**changes: object) -> UniAdaFocus:
    torch.manual_seed(0)
    return UniAdaFocus(ModelConfig.model_validate(TINY | changes)).train()


def _frames(seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 8, 1, 1, 1, generator=generator) + torch.randn(3, 8, 1, 64, 64, generator=generator)


def _draws(seed: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed))


def _loss(
    model: UniAdaFocus, *, class_weights: Tensor | None = None, seed: int = 0, **objective: object
) -> LossTerms:
    return training_loss(
        model,
        _frames(),
        LABELS,
        objective=ObjectiveConfig.model_validate(objective),
        class_weights=class_weights,
        draws=_draws(seed),
    )


CLIP = {"spatial_policy": {"channels": 8, "scope": "clip"}}
FIXED = {"patches": {"deformable": False}}
UNIFORM = {"temporal_policy": {"dynamic": False}}
AVERAGE = {"classifier": {"kind": "average", "dropout": 0.0}}
NO_REUSE = {"classifier": {"hidden": 16, "dropout": 0.0, "reuse_global": False}}
NO_REUSE_AVERAGE = {"classifier": {"kind": "average", "dropout": 0.0, "reuse_global": False}}
LOCAL_ONLY = {"classification": {"local_encoder", "classifier"}}
NO_AUXILIARY: dict[str, set[str]] = {"global_auxiliary": {"global_head"}, "local_auxiliary": set()}
NO_STOP: dict[str, set[str]] = {
    "spatial": {"spatial_policy", "policy_head", "global_encoder"},
    "size": {"spatial_policy", "global_encoder"},
    "temporal": {"temporal_policy", "global_encoder"},
}
PIXELS: dict[str, set[str]] = {
    "classification": {"global_encoder", "local_encoder", "classifier", "spatial_policy"},
    "local_auxiliary": {"local_encoder", "local_head", "spatial_policy"},
    "spatial": set(),
}


@pytest.mark.parametrize(
    ("model_changes", "objective", "changed"),
    [
        ({}, {}, {}),
        ({}, {"diversity": False}, {}),
        ({}, {"auxiliary": False}, NO_AUXILIARY),
        ({}, {"auxiliary": False, "diversity": False}, NO_AUXILIARY),
        (UNIFORM, {"auxiliary": False}, NO_AUXILIARY | {"global_auxiliary": set(), "temporal": set()}),
        (UNIFORM, {}, {"temporal": set()}),
        ({}, {"stop_gradient": False}, NO_STOP),
        ({}, {"policy_gradient": "pixels"}, PIXELS),
        (
            {},
            {"policy_gradient": "pixels", "stop_gradient": False},
            NO_STOP
            | {
                "classification": PIXELS["classification"],
                "local_auxiliary": PIXELS["local_auxiliary"] | {"global_encoder"},
                "spatial": set(),
            },
        ),
        (FIXED, {}, {"size": set()}),
        (FIXED, {"policy_gradient": "pixels"}, PIXELS | {"size": set()}),
        ({}, {"size_weight": 0.0}, {"size": set()}),
        (CLIP, {}, {}),
        (AVERAGE, {}, {}),
        (NO_REUSE, {}, LOCAL_ONLY),
        (NO_REUSE_AVERAGE, {}, LOCAL_ONLY),
    ],
)
def test_each_term_reaches_exactly_its_parts(
    model_changes: dict[str, object], objective: dict[str, object], changed: dict[str, set[str]]
) -> None:
    model = _model(**model_changes)
    loss = _loss(model, **objective)
    assert {term: reached(model, getattr(loss, term)) for term in TERMS} == PAPER | changed
    assert reached(model, loss.total) == set().union(*(PAPER | changed).values())


def test_every_parameter_is_trained() -> None:
    model = _model()
    _loss(model).total.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


@pytest.mark.parametrize(
    "objective", [{}, {"auxiliary": False}, {"policy_gradient": "pixels"}, {"size_weight": 0.3}]
)
def test_total_is_the_sum_of_the_terms(objective: dict[str, object]) -> None:
    loss = _loss(_model(), **objective)
    assert {field.name for field in fields(loss)} == {*TERMS, "total", "logits", "decision"}
    total = sum(getattr(loss, term).item() for term in TERMS)
    assert loss.total.item() == pytest.approx(total, rel=1e-6)
    assert loss.logits.shape == (3, 8, 3)
    assert not loss.logits.requires_grad


def test_same_seed_same_loss_to_the_bit() -> None:
    first, again, other = (_loss(_model(), seed=seed) for seed in (5, 5, 6))
    for term in (*TERMS, "logits"):
        assert torch.equal(getattr(first, term), getattr(again, term))
    assert first.total.item() != other.total.item()


def test_dropout_is_the_only_global_randomness() -> None:
    losses = []
    for seed in (0, 1):
        model = _model()
        torch.manual_seed(seed)
        losses.append(_loss(model).total)
    assert torch.equal(*losses)


def _replay(model: UniAdaFocus, seed: int = 0) -> tuple[Any, Any, list[Any]]:
    """The stages with the loss's draws, in its order: glance, focus frames, random boxes."""
    draws = _draws(seed)
    glance = model.glance(_frames(), draws=draws)
    decision = model.decide(glance)
    indices = model.select_frames(decision, draws=draws)
    boxes = [model.place_boxes(decision, indices), model.draw_boxes(indices, draws=draws)]
    return glance, decision, [model.crop(_frames(), box, indices) for box in boxes]


def _log_loss(logits: Tensor, labels: Tensor = LABELS, weights: Tensor | None = None) -> float:
    """Mean cross-entropy over cases and steps, by scikit-learn."""
    targets = labels.repeat_interleave(logits.shape[1])
    probabilities = logits.detach().double().flatten(0, 1).softmax(-1)
    sample_weight = None if weights is None else weights[targets].numpy()
    value = log_loss(targets.numpy(), probabilities.numpy(), labels=[0, 1, 2], sample_weight=sample_weight)
    return float(value)


@pytest.mark.parametrize("weights", [None, torch.tensor([3.0, 1.0, 0.5])])
def test_recognition_terms_average_two_passes_over_steps_and_cases(weights: Tensor | None) -> None:
    loss = _loss(_model(), class_weights=weights)
    model = _model()
    glance, _, patches = _replay(model)
    features = model.encode_patches(torch.cat(patches)).chunk(2)
    steps = [model.classifier(glance.global_features, local) for local in features]
    local = [_log_loss(model.local_head(f), weights=weights) for f in features]
    both = [_log_loss(s, weights=weights) for s in steps]
    assert loss.classification.item() == pytest.approx(sum(both) / 2, rel=1e-5)
    assert loss.local_auxiliary.item() == pytest.approx(sum(local) / 2, rel=1e-5)
    assert loss.global_auxiliary.item() == pytest.approx(
        _log_loss(model.global_head(glance.global_features), weights=weights), rel=1e-5
    )
    torch.testing.assert_close(loss.logits, steps[0])
    assert both[0] != pytest.approx(both[1], rel=1e-4)


def test_without_diversity_one_pass_has_weight_one() -> None:
    loss = _loss(_model(), diversity=False)
    assert loss.classification.item() == pytest.approx(_log_loss(loss.logits), rel=1e-5)


def test_spatial_term_is_a_loss_a_frame_on_the_features_inside_its_box() -> None:
    changes = {"frame_size": 224, "patch_size": 96, "patches": {"antialias": False, "padding": "zeros"}}
    model = _model(**changes)
    frames = torch.randn(3, 8, 1, 224, 224, generator=torch.Generator().manual_seed(1))
    loss = training_loss(
        model,
        frames,
        LABELS,
        objective=ObjectiveConfig(),
        class_weights=None,
        draws=_draws(),
    )
    model = _model(**changes)
    glance = model.glance(frames, draws=_draws())
    actions = model.decide(glance).actions.flatten(0, 1)
    # The released construction: sizes of 3 to 7 cells on a 7 x 7 map, sampled on a 3 x 3 grid.
    size = 3 + 4 * actions[:, 2:]
    corner = actions[:, :2] * (7 - size)
    theta = torch.zeros(len(actions), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = size[:, 1] / 7, size[:, 0] / 7
    theta[:, 0, 2], theta[:, 1, 2] = ((2 * corner + size) / 7 - 1).flip(-1).unbind(-1)
    grid = functional.affine_grid(theta, [len(actions), 1, 3, 3], align_corners=False)
    crops = functional.grid_sample(glance.global_maps.flatten(0, 1), grid, align_corners=False)
    expected = functional.cross_entropy(
        model.policy_head(crops.mean((2, 3))), LABELS.repeat_interleave(4)
    )  # per frame, not of the clip's mean
    assert glance.global_maps.shape[-1] == 7
    assert loss.spatial.item() == pytest.approx(expected.item(), rel=1e-5)


def test_size_term_is_the_normalised_square_of_what_is_missing() -> None:
    loss = _loss(_model(), size_weight=0.5)
    model = _model()
    _, decision, _ = _replay(model)
    smallest = model.config.patches.min_fraction * 64
    missing = (64 - decision.boxes[..., 2:]) / (64 - smallest)
    assert loss.size.item() == pytest.approx(0.5 * missing.square().mean().item(), rel=1e-5)


def test_size_term_alone_makes_boxes_grow() -> None:
    model = _model()
    optimizer = torch.optim.SGD(model.spatial_policy.parameters(), lr=0.5)
    before = _loss(model).size.item()
    for _ in range(5):
        optimizer.zero_grad()
        _loss(model).size.backward()
        optimizer.step()
    assert _loss(model).size.item() < 0.8 * before


def test_temporal_term_is_a_weighted_mean_of_frame_losses_when_one_frame_is_drawn() -> None:
    changes = {"num_focus_frames": 2}  # T1 = 2 * 4 / 8 = 1: no draw precedes, so Eq. 21 is exact
    weights = torch.tensor([3.0, 1.0, 0.5])
    loss = _loss(_model(**changes), class_weights=weights)
    model = _model(**changes)
    glance, decision, _ = _replay(model)
    logits = model.global_head(glance.global_features)
    frame_losses = functional.cross_entropy(
        logits.flatten(0, 1), LABELS.repeat_interleave(4), reduction="none"
    ).view(3, 4)
    cases = (decision.frame_weights * frame_losses).sum(1)
    expected = (cases * weights[LABELS]).sum() / weights[LABELS].sum()
    assert loss.temporal.item() == pytest.approx(expected.item(), rel=1e-5)


def test_label_smoothing_mixes_with_the_uniform_distribution() -> None:
    smooth = _loss(_model(), diversity=False, label_smoothing=0.3)
    log_probs = smooth.logits.log_softmax(-1)
    picked = log_probs.gather(2, LABELS[:, None, None].expand(-1, 8, 1)).squeeze(2)
    expected = -(0.7 * picked + 0.3 * log_probs.mean(2)).mean()
    assert smooth.classification.item() == pytest.approx(expected.item(), rel=1e-5)


def test_spatial_policy_runs_once_a_step_and_f_l_sees_one_batch() -> None:
    model = _model()
    _loss(model)
    policy_norm: Any = model.spatial_policy.encoder[1]
    assert policy_norm.num_batches_tracked.item() == 1
    counts = {int(value) for name, value in model.local_encoder.named_buffers() if name.endswith("tracked")}
    assert counts == {1}


@pytest.mark.slow
def test_a_few_steps_learn_the_batch() -> None:
    model = _model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    history = []
    for step in range(25):
        loss = _loss(model, seed=step)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        history.append(loss.classification.item())
    assert min(history[-3:]) < 0.5 * history[0]


def test_bfloat16_autocast_gives_a_finite_close_loss() -> None:
    exact = _loss(_model())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = _loss(_model())
    loss.total.backward()
    assert loss.total.dtype == torch.float32
    assert loss.total.item() == pytest.approx(exact.total.item(), rel=0.1)
