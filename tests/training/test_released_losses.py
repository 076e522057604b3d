"""Loss profiles of models of frames and of clips: who learns from what, and every term by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor
from training.learners import PAPER, TERMS, reached

from neurofocus.model.build import build_model
from neurofocus.model.draws import Draws
from neurofocus.model.frame_sampling import expected_frame_logits, quantile_frames
from neurofocus.model.outputs import FocusOutput
from neurofocus.model.tsm_plus import TsmPlus
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import ModelConfig
from neurofocus.schema.run import ObjectiveConfig
from neurofocus.training.losses import LossTerms, training_loss

FRAMEWISE: dict[str, Any] = {
    "num_classes": 3,
    "frame_size": 64,
    "frame_channels": 1,
    "num_frames": 18,
    "num_glance_frames": 6,
    "num_focus_frames": 6,
    "patch_size": 32,
    "global_encoder": {"name": "mobilenet_v2", "width": 0.25},
    "local_encoder": {"name": "resnet18", "width": 0.25},
    "classifier": {"hidden": 16, "dropout": 0.0},
    "spatial_policy": {"channels": 8},
    "auxiliary_dropout": 0.0,
}
CLIPS: dict[str, Any] = FRAMEWISE | {
    "streams": "separate",
    "global_encoder": {"name": "mobilenet_v2", "width": 0.25, "temporal_shift": True},
    "local_encoder": {"name": "resnet18", "width": 0.25, "temporal_shift": True},
    "classifier": {"kind": "average", "dropout": 0.0},
    "spatial_policy": {"channels": 8, "scope": "clip"},
}
BASELINE = CLIPS | {"kind": "tsm_plus"}
LABELS = torch.tensor([0, 2, 2])
Model = UniAdaFocus | TsmPlus


def _model(config: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    return build_model(ModelConfig.model_validate(config)).train()


def _frames(number: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    level = torch.randn(3, number, 1, 1, 1, generator=generator)
    return level + torch.randn(3, number, 1, 64, 64, generator=generator)


def _draws(seed: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed))


def _loss(model: Model, *, weights: Tensor | None = None, **objective: object) -> LossTerms:
    candidates, glance = _frames(18, 1), _frames(6, 2)
    return training_loss(
        model,
        (candidates, glance) if model.config.streams == "separate" else candidates,
        LABELS,
        objective=ObjectiveConfig.model_validate(objective),
        class_weights=weights,
        draws=_draws(),
    )


NO_POLICY: dict[str, set[str]] = {"spatial": set(), "size": set(), "temporal": set()}


@pytest.mark.parametrize(
    ("config", "profile", "changed"),
    [
        (FRAMEWISE, "paper", {}),
        (FRAMEWISE, "released", {"temporal": {"temporal_policy", "global_encoder", "global_head"}}),
        (CLIPS, "paper", {}),
        (CLIPS, "released", {"classification": {"classifier"}}),
        (BASELINE, "paper", NO_POLICY),
        (BASELINE, "released", NO_POLICY | {"classification": {"classifier"}}),
    ],
)
def test_each_term_reaches_exactly_its_parts(
    config: dict[str, Any], profile: str, changed: dict[str, set[str]]
) -> None:
    model = _model(config)
    loss = _loss(model, profile=profile)
    expected = PAPER | changed
    assert {term: reached(model, getattr(loss, term)) for term in TERMS} == expected
    assert reached(model, loss.total) == set().union(*expected.values())
    assert loss.total.item() == pytest.approx(sum(getattr(loss, term).item() for term in TERMS), rel=1e-6)


@pytest.mark.parametrize("config", [FRAMEWISE, CLIPS, BASELINE])
@pytest.mark.parametrize("profile", ["paper", "released"])
def test_every_parameter_is_trained(config: dict[str, Any], profile: str) -> None:
    model = _model(config)
    _loss(model, profile=profile).total.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_without_auxiliary_supervision_the_glance_exit_still_learns() -> None:
    model = _model(CLIPS | {"temporal_policy": {"dynamic": False}})
    loss = _loss(model, auxiliary=False)
    assert reached(model, loss.global_auxiliary) == {"global_head"}
    assert loss.local_auxiliary.item() == 0
    baseline = _model(BASELINE)
    assert reached(baseline, _loss(baseline, auxiliary=False).total) == PAPER["classification"]


def _cross_entropy(logits: Tensor, weights: Tensor | None = None) -> float:
    """Mean loss of logits [B, S, K] over cases and steps, in numpy."""
    scores: NDArray[np.float64] = logits.detach().double().numpy()
    total = mass = 0.0
    for case, label in zip(scores, LABELS.tolist(), strict=True):
        for step in case:
            weight = 1.0 if weights is None else float(weights[label])
            total += weight * (np.log(np.exp(step - step.max()).sum()) + step.max() - step[label])
            mass += weight
    return total / mass


class Replay:
    """The stages with the loss's draws in its order, and the released terms from them."""

    def __init__(self, config: dict[str, Any]) -> None:
        model, draws = _model(config), _draws()
        separate = config["streams"] == "separate" if "streams" in config else False
        self.glance = model.glance(_frames(6, 2) if separate else _frames(18, 1), draws=draws)
        decision = self.decision = model.decide(self.glance)
        # Stratified over the weights, not drawn by them (Eq. 16).
        indices = quantile_frames(decision.frame_weights, 18, 6, draws=draws)
        boxes = [model.place_boxes(decision, indices), model.draw_boxes(indices, draws=draws)]
        patches = [model.crop(_frames(18, 1), box, indices) for box in boxes]
        features = model.encode_patches(torch.cat(patches)).chunk(2)
        self.focus = [FocusOutput(indices, *one) for one in zip(boxes, patches, features, strict=True)]
        self.global_logits = model.global_head(self.glance.global_features)
        self.local_logits = [model.local_head(one.local_features) for one in self.focus]
        self.step_logits = [
            model.classifier(self.glance.global_features, one.local_features) for one in self.focus
        ]
        self.expected_logits = expected_frame_logits(
            decision.frame_weights, self.global_logits, num_draws=2, num_samples=128, draws=draws
        )  # T1 = 6 // 3
        maps, scale = self.glance.global_maps, 2 / 64
        crops = model.resample(maps.flatten(0, 1), decision.boxes.flatten(0, 1) * scale, 1)
        self.box_logits = model.policy_head(crops.view(3, 6, -1).mean(1))
        self.missing = 1 - decision.actions[..., 2:]


@pytest.mark.parametrize("weights", [None, torch.tensor([3.0, 1.0, 0.5])])
@pytest.mark.parametrize("config", [FRAMEWISE, CLIPS])
def test_every_released_term_by_hand(config: dict[str, Any], weights: Tensor | None) -> None:
    loss = _loss(_model(config), profile="released", weights=weights, size_weight=0.5)
    replay = Replay(config)
    clips = config is CLIPS

    def mean(logits: Tensor) -> float:
        return _cross_entropy(logits.mean(1, keepdim=True) if clips else logits, weights)

    steps = [_cross_entropy(one, weights) for one in replay.step_logits]
    assert replay.step_logits[0].shape[1] == (1 if clips else 12)
    assert loss.classification.item() == pytest.approx(sum(steps) / 2, rel=1e-5)
    assert loss.global_auxiliary.item() == pytest.approx(mean(replay.global_logits), rel=1e-5)
    assert loss.local_auxiliary.item() == pytest.approx(
        sum(mean(one) for one in replay.local_logits) / 2, rel=1e-5
    )
    assert loss.spatial.item() == pytest.approx(_cross_entropy(replay.box_logits[:, None], weights), rel=1e-5)
    assert loss.size.item() == pytest.approx(0.5 * replay.missing.square().mean().item(), rel=1e-5)
    assert loss.temporal.item() == pytest.approx(
        _cross_entropy(replay.expected_logits[:, None], weights), rel=1e-5
    )
    torch.testing.assert_close(loss.logits, replay.step_logits[0])


@pytest.mark.parametrize("config", [FRAMEWISE, CLIPS])
def test_released_means_of_logits_cost_at_most_what_the_papers_mean_losses_do(config: dict[str, Any]) -> None:
    """Convexity; the temporal terms share their expectation, not their samples, hence the slack."""
    paper, released = (
        _loss(_model(config), profile=name, num_mc_samples=4000) for name in ("paper", "released")
    )
    assert released.spatial.item() <= paper.spatial.item()
    assert released.temporal.item() <= paper.temporal.item() + 1e-3
    if config is CLIPS:
        assert released.global_auxiliary.item() < paper.global_auxiliary.item()
    else:
        assert released.global_auxiliary.item() == paper.global_auxiliary.item()


@pytest.mark.parametrize("weights", [None, torch.tensor([3.0, 1.0, 0.5])])
def test_the_baselines_terms_by_hand(weights: Tensor | None) -> None:
    loss = _loss(_model(BASELINE), weights=weights)
    model = _model(BASELINE)
    seen = model.encode(_frames(18, 1), _frames(6, 2), draws=_draws())
    logits = model.classifier(seen.global_features, seen.local_features)
    assert loss.classification.item() == pytest.approx(_cross_entropy(logits, weights), rel=1e-5)
    heads = (model.global_head(seen.global_features), model.local_head(seen.local_features))
    assert loss.global_auxiliary.item() == pytest.approx(_cross_entropy(heads[0], weights), rel=1e-5)
    assert loss.local_auxiliary.item() == pytest.approx(_cross_entropy(heads[1], weights), rel=1e-5)
    assert (loss.spatial.item(), loss.size.item(), loss.temporal.item()) == (0, 0, 0)


@pytest.mark.parametrize(
    "change",
    [{"auxiliary": False}, {"diversity": False}, {"stop_gradient": False}, {"policy_gradient": "pixels"}],
)
def test_the_released_profile_is_fixed(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="profile released goes with auxiliary, diversity"):
        ObjectiveConfig.model_validate(change | {"profile": "released"})
    ObjectiveConfig.model_validate(change | {"profile": "paper"})


def test_the_paper_is_the_default() -> None:
    assert ObjectiveConfig().profile == "paper"
