"""Parameter groups, schedule and optimisers against hand-computed values."""

import math
from collections.abc import Iterable

import pytest
import torch
from torch import nn

from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import EncoderConfig, ModelConfig
from neurofocus.schema.run import LearningRates, TrainConfig
from neurofocus.training.optim import (
    build_optimizer,
    learning_rate_factor,
    parameter_groups,
    set_learning_rates,
)

RATES = LearningRates(global_encoder=0.001, local_encoder=0.002, classifier=0.04, policy=0.0004)


def tiny_config(*, dynamic: bool = True) -> ModelConfig:
    encoder = EncoderConfig(name="resnet18", width=0.125)
    return ModelConfig.model_validate(
        {
            "frame_size": 32,
            "num_frames": 4,
            "num_glance_frames": 4,
            "num_focus_frames": 2,
            "patch_size": 16,
            "global_encoder": encoder,
            "local_encoder": encoder,
            "classifier": {"hidden": 16},
            "temporal_policy": {"dynamic": dynamic},
        }
    )


def members(group: dict[str, object]) -> Iterable[nn.Parameter]:
    found = group["params"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("dynamic", [True, False])
def test_every_parameter_is_in_exactly_one_group(dynamic: bool) -> None:
    model = UniAdaFocus(tiny_config(dynamic=dynamic))
    groups = parameter_groups(model, RATES)
    listed = [id(parameter) for group in groups for parameter in members(group)]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(parameter) for parameter in model.parameters()}


def test_groups_have_the_rates_of_their_modules() -> None:
    model = UniAdaFocus(tiny_config())
    rate = {id(p): group["lr"] for group in parameter_groups(model, RATES) for p in members(group)}
    expected = {
        "global_encoder": 0.001,
        "global_head": 0.001,
        "local_encoder": 0.002,
        "local_head": 0.002,
        "classifier": 0.04,
        "spatial_policy": 0.0004,
        "temporal_policy": 0.0004,
        "policy_head": 0.0004,
    }
    for name, value in expected.items():
        parameters = list(getattr(model, name).parameters())
        assert parameters
        assert {rate[id(parameter)] for parameter in parameters} == {value}


def test_unknown_module_is_refused() -> None:
    model = nn.ModuleDict({"global_encoder": nn.Linear(2, 2), "stranger": nn.Linear(2, 2)})
    with pytest.raises(ValueError, match=r"stranger\.weight"):
        parameter_groups(model, RATES)


def test_cosine_schedule() -> None:
    config = TrainConfig(epochs=50)
    factors = [learning_rate_factor(epoch, config) for epoch in range(50)]
    assert factors[0] == 1
    assert factors[25] == pytest.approx(0.5)
    assert factors[49] == pytest.approx(0.5 * (1 + math.cos(math.pi * 49 / 50)))
    assert factors == sorted(factors, reverse=True) and factors[-1] > 0


def test_warmup_is_linear_times_cosine() -> None:
    plain, warm = TrainConfig(epochs=20), TrainConfig(epochs=20, warmup_epochs=4)
    ratios = [learning_rate_factor(e, warm) / learning_rate_factor(e, plain) for e in range(6)]
    assert ratios == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_set_learning_rates_scales_the_peaks_every_time() -> None:
    model = UniAdaFocus(tiny_config())
    optimizer = build_optimizer(model, TrainConfig(learning_rates=RATES))
    for factor in (1.0, 0.5, 0.1):
        set_learning_rates(optimizer, factor)
        rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
        assert rates == pytest.approx(
            {
                name: getattr(RATES, name) * factor
                for name in ("global_encoder", "local_encoder", "classifier", "policy")
            }
        )


def test_sgd_step_by_hand() -> None:
    model = nn.ModuleDict({"classifier": nn.Linear(1, 1, bias=True)})
    weight, bias = model["classifier"].weight, model["classifier"].bias
    nn.init.constant_(weight, 2.0)
    nn.init.constant_(bias, 1.0)
    config = TrainConfig(learning_rates=RATES, momentum=0.9, weight_decay=0.1)
    optimizer = build_optimizer(model, config)
    w, b, vw, vb = 2.0, 1.0, 0.0, 0.0
    for _ in range(3):
        optimizer.zero_grad()
        torch.autograd.backward(3 * weight.sum() + 5 * bias.sum())
        optimizer.step()
        # Decay on the bias too, as in the released code.
        vw, vb = 0.9 * vw + 3 + 0.1 * w, 0.9 * vb + 5 + 0.1 * b
        w, b = w - 0.04 * vw, b - 0.04 * vb
    assert weight.item() == pytest.approx(w, rel=1e-6)
    assert bias.item() == pytest.approx(b, rel=1e-6)


def test_adamw_is_chosen() -> None:
    model = nn.ModuleDict({"classifier": nn.Linear(1, 1)})
    optimizer = build_optimizer(model, TrainConfig(optimizer="adamw", weight_decay=0.03, momentum=0.8))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.999)
    assert optimizer.param_groups[0]["weight_decay"] == 0.03


@pytest.mark.parametrize(("reference", "scale"), [(None, 1.0), (32, 0.25), (8, 1.0)])
def test_rates_follow_the_batch_size(reference: int | None, scale: float) -> None:
    config = TrainConfig(batch_size=8, reference_batch_size=reference, learning_rates=RATES)
    optimizer = build_optimizer(UniAdaFocus(tiny_config()), config)
    rates = {group["name"]: group["peak_lr"] for group in optimizer.param_groups}
    assert rates == {name: pytest.approx(scale * rate) for name, rate in RATES.model_dump().items()}
