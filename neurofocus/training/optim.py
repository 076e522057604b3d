"""Optimisers and learning rates (paper appendix H.3)."""

import math
from collections.abc import Iterable

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from neurofocus.schema.run import LearningRates, TrainConfig

__all__ = ["GROUPS", "build_optimizer", "learning_rate_factor", "parameter_groups", "set_learning_rates"]

# Which module of UniAdaFocus learns at which of the four rates of appendix H.3. The heads of the auxiliary
# losses learn with the part that they teach.
GROUPS: dict[str, str] = {
    "global_encoder": "global_encoder",
    "global_head": "global_encoder",
    "local_encoder": "local_encoder",
    "local_head": "local_encoder",
    "classifier": "classifier",
    "spatial_policy": "policy",
    "temporal_policy": "policy",
    "policy_head": "policy",
}


def parameter_groups(model: nn.Module, rates: LearningRates) -> list[dict[str, object]]:
    """Return the optimiser's groups: every parameter of the model in exactly one.

    Args:
        model: a UniAdaFocus, or anything with (some of) its top-level modules.
        rates: peak learning rates.

    Raises:
        ValueError: if the model has a parameter outside the modules of ``GROUPS``.
    """
    members: dict[str, list[nn.Parameter]] = {name: [] for name in dict.fromkeys(GROUPS.values())}
    for name, parameter in model.named_parameters():
        module = name.split(".", 1)[0]
        if module not in GROUPS:
            raise ValueError(f"parameter {name!r} belongs to no learning-rate group; known: {sorted(GROUPS)}")
        members[GROUPS[module]].append(parameter)
    return [
        {"params": parameters, "name": name, "lr": getattr(rates, name), "peak_lr": getattr(rates, name)}
        for name, parameters in members.items()
        if parameters
    ]


def build_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """Return SGD with momentum (the paper) or AdamW over the four groups.

    Weight decay acts on every parameter, biases and normalisation included, as in the released code. Learning rates
    that are meant for another batch size are scaled in proportion to it (appendix H.3).
    """
    scale = config.batch_size / (config.reference_batch_size or config.batch_size)
    rates = {name: rate * scale for name, rate in config.learning_rates.model_dump().items()}
    groups: Iterable[dict[str, object]] = parameter_groups(model, LearningRates(**rates))
    if config.optimizer == "sgd":
        return SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay)
    return AdamW(groups, betas=(config.momentum, 0.999), weight_decay=config.weight_decay)


def learning_rate_factor(epoch: int, config: TrainConfig) -> float:
    """Return the share of the peak learning rate in an epoch: (1 + cos(pi e / E)) / 2 (appendix H.3).

    ``warmup_epochs`` W > 0 multiplies the first W epochs by (e + 1) / W; the paper uses none.

    Args:
        epoch: e, counted from 0.
        config: gives E and W.
    """
    cosine = 0.5 * (1 + math.cos(math.pi * epoch / config.epochs))
    if epoch < config.warmup_epochs:
        return cosine * (epoch + 1) / config.warmup_epochs
    return cosine


def set_learning_rates(optimizer: Optimizer, factor: float) -> None:
    """Set every group to ``factor`` times its peak; there is no scheduler state to save."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
