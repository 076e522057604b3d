"""What the batches of an epoch add up to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import torch

from neurofocus.model.outputs import Decision
from neurofocus.schema.model import ModelConfig
from neurofocus.training.diagnostics import PolicyDiagnostics, diagnose_policy
from neurofocus.training.losses import LossTerms

__all__ = ["TERMS", "EpochTally"]

TERMS = tuple(entry.name for entry in fields(LossTerms) if entry.name not in ("logits", "decision"))
_DIAGNOSTICS = tuple(entry.name for entry in fields(PolicyDiagnostics))


@dataclass
class EpochTally:
    """Collects one row a batch.

    Attributes:
        losses: the terms of each batch, in the order of ``TERMS``.
        policy: the diagnostics of each batch; none for a model without a policy.
    """

    losses: list[list[float]] = field(default_factory=list)
    policy: list[list[float]] = field(default_factory=list)

    def add(self, losses: list[float], decision: Decision | None, config: ModelConfig) -> None:
        """Take a batch: its loss terms, and what the policy decided."""
        self.losses.append(losses)
        if decision is None:
            return
        with torch.no_grad():
            found = diagnose_policy(
                decision.frame_weights, decision.boxes, config.patches, frame_size=config.frame_size
            )
            self.policy.append(torch.stack([getattr(found, name).mean() for name in _DIAGNOSTICS]).tolist())

    def mean_losses(self) -> dict[str, float]:
        """Return the mean of every loss term."""
        return _means(TERMS, self.losses)

    def mean_diagnostics(self) -> dict[str, float]:
        """Return the mean of every diagnostic; none without a policy."""
        return _means(_DIAGNOSTICS, self.policy) if self.policy else {}


def _means(names: Sequence[str], rows: list[list[float]]) -> dict[str, float]:
    columns = zip(*rows, strict=True)
    return {name: math.fsum(column) / len(rows) for name, column in zip(names, columns, strict=True)}
