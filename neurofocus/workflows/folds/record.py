"""What a finished fold leaves in its folder, and how one knows that it is finished and unchanged."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from neurofocus.errors import ConfigError
from neurofocus.files import atomic_write, sha256_file, write_bytes, write_json
from neurofocus.schema.early_exit import ExitConfig, ExitPlan
from neurofocus.tables import read_tsv, write_tsv
from neurofocus.training.state import EpochRecord, TrainingState
from neurofocus.workflows.bundle import pack_weights

__all__ = ["BEST_WEIGHTS", "FoldResult", "finished_fold", "history_table", "mark_done", "write_outputs"]

BEST_WEIGHTS = "best.safetensors"
_DONE = "DONE"
_PREDICTIONS, _VALIDATION, _HISTORY = "predictions.tsv", "validation.json", "history.tsv"
_EXITS = "exits.npz"
_OUTPUTS = (BEST_WEIGHTS, _PREDICTIONS, _VALIDATION, _HISTORY, _EXITS)
_LOGGER = logging.getLogger("neurofocus.workflows.folds.fold")


@dataclass(frozen=True)
class FoldResult:
    """What a finished fold left in its folder.

    Attributes:
        fold: counted from 1.
        folder: holds best.safetensors, predictions.tsv, validation.json, history.tsv, exits.npz and DONE.
        predictions: of the test part, with the columns of predictions.tsv.
        exit_logits: of the test part at every step of the exits' ladder, all of it computed, float32 [N, S, K].
        validation: what validation.json holds: best_epoch, epochs, threshold (None for more than two classes),
            loss, balanced_accuracy, roc_auc, cases, gflops, exits, threads, device.
        history: one row an epoch.
    """

    fold: int
    folder: Path
    predictions: pd.DataFrame
    exit_logits: npt.NDArray[np.float32]
    validation: dict[str, Any]
    history: pd.DataFrame

    @property
    def threshold(self) -> float | None:
        """The threshold on the positive class, chosen on the inner validation part."""
        value = self.validation["threshold"]
        return None if value is None else float(value)

    @property
    def exits(self) -> ExitPlan:
        """When a case may stop early, solved on the inner validation part."""
        return ExitPlan.model_validate(self.validation["exits"])


def finished_fold(
    folder: Path,
    classes: Sequence[str],
    identity: Mapping[str, Any] | None = None,
    *,
    exits: ExitConfig | None = None,
) -> FoldResult | None:
    """Read a finished fold; None if it is not finished, a file no longer has its checksum, or its exits are others.

    Args:
        folder: of the fold.
        classes: names of the classes.
        identity: ``FoldJob.identity()``; None does not compare it.
        exits: how they are to be solved; None takes them as they were.

    Raises:
        ConfigError: it was made with other settings or scans.
    """
    try:
        done = json.loads((folder / _DONE).read_text(encoding="utf-8"))
        hashes = {name: str(done["files"][name]) for name in _OUTPUTS}
        fold = int(done["fold"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        _LOGGER.warning("%s: unreadable; the fold is completed again", folder / _DONE)
        return None
    changed = [key for key, value in (identity or {}).items() if done.get(key) != value]
    if changed:
        raise ConfigError(
            f"{folder}: was made with another {' and '.join(changed)}; "
            "use the old settings, --fresh to start again, or another --out"
        )
    if exits is not None and done.get("exits") != exits.model_dump(mode="json"):
        _LOGGER.info("fold %d: exits are solved again, with other settings; nothing is trained", fold)
        return None
    for name, digest in hashes.items():
        if not (folder / name).is_file() or sha256_file(folder / name) != digest:
            _LOGGER.warning("%s: missing or changed; the fold is completed again", folder / name)
            return None
    numbers = [f"prob_{name}" for name in classes]
    with np.load(folder / _EXITS, allow_pickle=False) as stored:
        exit_logits = stored["logits"]
    return FoldResult(
        fold=fold,
        folder=folder,
        predictions=read_tsv(folder / _PREDICTIONS, numbers=[*numbers, "gflops"], integers=["fold"]),
        exit_logits=exit_logits,
        validation=json.loads((folder / _VALIDATION).read_text(encoding="utf-8")),
        history=read_tsv(folder / _HISTORY, integers=["epoch"]),
    )


def write_outputs(
    folder: Path,
    state: TrainingState,
    predictions: pd.DataFrame,
    validation: Mapping[str, Any],
    *,
    exit_logits: npt.NDArray[np.float32],
) -> None:
    """Write the best weights, the predictions of the test part and what the validation part decided.

    Args:
        folder: of the fold.
        state: of the finished training.
        predictions: of the test part.
        validation: what was chosen on the validation part; the best epoch and its scores are added.
        exit_logits: of the test part at every step of the exits' ladder, [N, S, K].
    """
    best = state.best
    write_bytes(folder / BEST_WEIGHTS, pack_weights(state.best_weights, "float32"))
    write_tsv(folder / _PREDICTIONS, predictions)
    with atomic_write(folder / _EXITS) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, logits=exit_logits)
    write_tsv(folder / _HISTORY, history_table(state.history))
    chosen = {
        "best_epoch": best.epoch,
        "epochs": len(state.history),
        "loss": best.validation_loss,
        **best.measures,
    }
    write_json(folder / _VALIDATION, {**validation, **chosen})


def mark_done(folder: Path, identity: Mapping[str, Any], exits: ExitConfig) -> None:
    """Declare the fold finished: who made it, how exits were solved, and the checksum of every output."""
    hashes = {name: sha256_file(folder / name) for name in _OUTPUTS}
    write_json(folder / _DONE, {**identity, "exits": exits.model_dump(mode="json"), "files": hashes})


def history_table(history: Sequence[EpochRecord]) -> pd.DataFrame:
    """Return the content of history.tsv: one row an epoch."""
    rows = []
    for record in history:
        row = asdict(record)
        losses, measures, policy = (row.pop(name) for name in ("losses", "measures", "diagnostics"))
        # Sorted, as a checkpoint brings them back: an interrupted run has the same columns.
        terms = {f"loss_{name}": losses[name] for name in sorted(losses)}
        policy = {f"policy_{name}": policy[name] for name in sorted(policy)}
        rows.append({**row, **{name: measures[name] for name in sorted(measures)}, **terms, **policy})
    return pd.DataFrame(rows)
