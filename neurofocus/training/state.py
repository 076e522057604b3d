"""Everything about a training run that the next epoch depends on, and how it is kept on disk."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from neurofocus.errors import ConfigError
from neurofocus.model.build import Model
from neurofocus.training.checkpoint import read_checkpoint, write_checkpoint
from neurofocus.training.distributed import sum_gradients
from neurofocus.training.ema import WeightAverage

__all__ = ["EpochRecord", "SavedState", "TrainingState", "load_saved"]


@dataclass(frozen=True)
class EpochRecord:
    """One line of a run's history.

    Attributes:
        epoch: counted from 1.
        learning_rate_factor: share of the peak learning rates.
        losses: mean of ``total`` and of every term of Eq. 22 over the epoch.
        diagnostics: of the policy in training, mean over the epoch; see `PolicyDiagnostics`.
        validation_loss: cross-entropy of the last step on the inner validation part; None without one.
        measures: others on the same part, by name; None where undefined.
    """

    epoch: int
    learning_rate_factor: float
    losses: dict[str, float]
    validation_loss: float | None = None
    measures: dict[str, float | None] = field(default_factory=dict)
    diagnostics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SavedState:
    """A checkpoint as read: verified, not yet in a model."""

    tensors: dict[str, Tensor]
    fields: dict[str, Any]

    @property
    def identity(self) -> dict[str, Any]:
        """Return what the training was started with."""
        found: dict[str, Any] = self.fields["identity"]
        return found


@dataclass
class TrainingState:
    """Model, optimiser and history between two epochs.

    Attributes:
        model: in training, on its device.
        optimizer: over the model's parameters.
        scaler: of gradients; inactive outside fp16.
        average: moving average of the weights, or None.
        keep: which epoch's weights are the result.
        history: one record a finished epoch.
        best_weights: state dict on the CPU of that epoch.
    """

    model: Model
    optimizer: Optimizer
    scaler: torch.amp.GradScaler
    average: WeightAverage | None = None
    keep: Literal["best", "last"] = "best"
    history: list[EpochRecord] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    @property
    def best(self) -> EpochRecord:
        """Return the epoch to keep: that with the smallest validation loss, the earlier one of two equals, or the last."""
        measured = [
            (record.validation_loss, record.epoch)
            for record in self.history
            if record.validation_loss is not None
        ]
        if self.keep == "last" or not measured:
            return self.history[-1]
        return self.history[min(measured)[1] - 1]

    @contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        """Let the model hold the weights to evaluate: the moving average if there is one."""
        if self.average is None:
            yield
            return
        current = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average.weights)
        try:
            yield
        finally:
            self.model.load_state_dict(current)

    def step(self, loss: Tensor, grad_clip: float | None) -> None:
        """Take one optimiser step; under fp16 a step with overflowing gradients is skipped.

        Args:
            loss: of this process's part of the batch.
            grad_clip: largest global gradient norm.
        """
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self.scaler.scale(loss))
        sum_gradients(self.model)
        if grad_clip is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), grad_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.model)

    def add(self, record: EpochRecord) -> None:
        """Append an epoch; keep the evaluated weights if it is the best so far. Call under evaluation weights."""
        self.history.append(record)
        if self.best is record:
            self.best_weights = {name: value.cpu().clone() for name, value in self.model.state_dict().items()}

    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Write the whole state to one file; ``identity`` says which run it belongs to."""
        optimizer = self.optimizer.state_dict()["state"]
        tensors = {
            **{f"model/{name}": value for name, value in self.model.state_dict().items()},
            **{f"best/{name}": value for name, value in self.best_weights.items()},
            **{
                f"optimizer/{number}/{key}": value
                for number, entry in optimizer.items()
                for key, value in entry.items()
                if value is not None
            },
        }
        if self.average is not None:
            tensors |= {f"average/{name}": value for name, value in self.average.weights.items()}
        write_checkpoint(
            path,
            tensors,
            {
                "identity": dict(identity),
                "history": [asdict(record) for record in self.history],
                "scaler": self.scaler.state_dict(),
                "average_updates": 0 if self.average is None else self.average.updates,
            },
        )

    def restore(self, saved: SavedState) -> None:
        """Take over a saved state; model and optimiser must be built from the same configuration."""
        self.model.load_state_dict(_part(saved.tensors, "model/"))
        self.best_weights = _part(saved.tensors, "best/")
        entries: dict[int, dict[str, Tensor]] = {}
        for name, value in _part(saved.tensors, "optimizer/").items():
            number, key = name.split("/", 1)
            entries.setdefault(int(number), {})[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": entries, "param_groups": groups})
        self.scaler.load_state_dict(saved.fields["scaler"])
        if self.average is not None:
            for name, value in _part(saved.tensors, "average/").items():
                self.average.weights[name].copy_(value)
            self.average.updates = saved.fields["average_updates"]
        self.history = [EpochRecord(**record) for record in saved.fields["history"]]


def load_saved(path: Path, identity: Mapping[str, Any]) -> SavedState | None:
    """Read a training state; None if there is none yet.

    Args:
        path: the checkpoint.
        identity: what this training is started with; keys that only the checkpoint has are not compared.

    Raises:
        BundleError: the file is damaged.
        ConfigError: it belongs to a training with another identity.
    """
    if not path.is_file():
        return None
    tensors, fields = read_checkpoint(path)
    saved = SavedState(tensors, fields)
    changed = [key for key, value in identity.items() if saved.identity.get(key) != value]
    if changed:
        raise ConfigError(
            f"{path}: was started with other {' and '.join(changed)}; "
            "use the old settings to continue, --fresh to start again, or another --out"
        )
    return saved


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
