"""Train and test one fold: a pure job from (configuration, fold, cases, roles) to a folder.

The folder is complete once it holds ``DONE``. A job that was killed at any moment is started again with the
same arguments and ends with the same bytes (on the CPU, at the recorded number of threads).
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from neurofocus.data.augment import Augmenter
from neurofocus.data.dataset import FrameDataset
from neurofocus.data.loaders import evaluation_loader, training_loader
from neurofocus.data.seeds import derive_seed
from neurofocus.errors import CohortError, ConfigError, NeurofocusError
from neurofocus.evaluation.thresholds import choose_threshold, decide
from neurofocus.model.build import Model
from neurofocus.model.cost import measure_cost
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.run import RunConfig
from neurofocus.training.distributed import is_main, main_first, part
from neurofocus.training.engine import LAST_CHECKPOINT, FoldTraining, train_fold
from neurofocus.training.inference import predict_logits
from neurofocus.training.reproducible import reproducible
from neurofocus.training.state import EpochRecord, SavedState, TrainingState, load_saved
from neurofocus.training.validation import class_measures
from neurofocus.workflows.folds.lock import LOCK_SECONDS, alone_in
from neurofocus.workflows.folds.record import FoldResult, finished_fold, mark_done, write_outputs
from neurofocus.workflows.run_record import config_hash

__all__ = ["FoldJob", "run_fold", "train_only"]

_COLUMNS = ["participant_id", "session_id", "label", "role"]

Role = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class FoldJob:
    """Everything that decides a fold's numbers.

    Attributes:
        config: of the whole run.
        fold: counted from 1.
        classes: their names; a label is a position in it.
        cases: one row a scan: participant_id, session_id, label (int), role (train, validation or test).
        frames: per row all frames of the scan, [T, H, W].
        grid_affine: (frame, row, column) index -> template world mm [4, 4]; see ``data.frames.FrameGrid``.
    """

    config: RunConfig
    fold: int
    classes: tuple[str, ...]
    cases: pd.DataFrame
    frames: Sequence[npt.NDArray[np.float32]]
    grid_affine: npt.NDArray[np.float64]

    def identity(self) -> dict[str, Any]:
        """Return digests of the settings and of the scans (who, which role, every pixel)."""
        digest = hashlib.sha256(json.dumps(list(self.classes)).encode())
        digest.update(self.cases[_COLUMNS].to_csv(index=False).encode())
        digest.update(np.ascontiguousarray(self.grid_affine, dtype=np.float64).data)
        for frames in self.frames:
            digest.update(str(frames.shape).encode())
            digest.update(np.ascontiguousarray(frames, dtype=np.float32).data)
        return {"fold": self.fold, "settings": config_hash(self.config), "scans": digest.hexdigest()}

    def rows(self, role: Role) -> npt.NDArray[np.int64]:
        """Return the positions of the cases with a role."""
        return np.flatnonzero((self.cases["role"] == role).to_numpy())

    def dataset(self, role: Role) -> FrameDataset:
        """Return the cases of a role; those of ``train`` are drawn and augmented."""
        rows = self.rows(role)
        labels = self.cases["label"].to_numpy()
        training = role == "train"
        return FrameDataset(
            [self.frames[row] for row in rows],
            [int(labels[row]) for row in rows],
            self.config.model.num_frames,
            augmenter=Augmenter(self.config.augment, self.grid_affine) if training else None,
            stream=(self.config.seed, self.fold) if training else None,
        )


def run_fold(
    job: FoldJob, folder: Path, *, device: torch.device | str = "cpu", patience: float = LOCK_SECONDS
) -> FoldResult:
    """Train a fold, or continue, or just read it if it is done.

    Args:
        job: what to do.
        folder: of this fold alone.
        device: where to compute.
        patience: seconds to wait for another process that works on the fold.

    Raises:
        FoldBusyError: another process is at it.
        NeurofocusError: the loss is not finite, or the disk is full.
        ConfigError: the folder was started with other settings or scans.
        CohortError: too few cases for training or validation.
        BundleError: the checkpoint is damaged.
    """
    _check(job)
    with alone_in(folder, f"fold {job.fold}", patience):
        identity = job.identity()
        if (result := finished_fold(folder, job.classes, identity)) is not None:
            return result
        with _training(job, folder, device) as training:
            state = train_fold(*training)
            how = {
                "threads": training[1].identity["threads"],
                "processes": part()[1],
                "device": torch.device(device).type,
            }
            _conclude(job, folder, state, how)
        with main_first():
            if is_main():
                mark_done(folder, identity)
    result = finished_fold(folder, job.classes, identity)
    if result is None:
        raise NeurofocusError(f"{folder}: changed while it was written; run the same command again")
    return result


def train_only(
    job: FoldJob, folder: Path, watch: Callable[[EpochRecord], None], *, device: torch.device | str = "cpu"
) -> list[EpochRecord]:
    """Train a fold without looking at its test part, for the search of settings; return the record of every epoch.

    Args:
        job: what to do.
        folder: of this training alone; holds its checkpoint.
        watch: called with the record of every epoch; what it raises ends the training.
        device: where to compute.

    Raises:
        NeurofocusError: as ``run_fold`` raises it.
    """
    _check(job)
    folder.mkdir(parents=True, exist_ok=True)
    with _training(job, folder, device) as (model, training, saved):
        return train_fold(model, replace(training, watch=watch), saved).history


@contextmanager
def _training(
    job: FoldJob, folder: Path, device: torch.device | str
) -> Iterator[tuple[UniAdaFocus, FoldTraining, SavedState | None]]:
    """Give what ``train_fold`` needs, with randomness and threads pinned inside the block."""
    identity = job.identity()
    saved = load_saved(folder / LAST_CHECKPOINT, identity)
    threads = _threads(job.config) if saved is None else int(saved.identity["threads"])
    with reproducible(threads=threads, deterministic=job.config.train.deterministic):
        torch.manual_seed(derive_seed("weights", job.config.seed, job.fold))
        model = UniAdaFocus(job.config.model).to(device)
        batch, share = job.config.train.batch_size, part()
        validation = job.dataset("validation")
        training = FoldTraining(
            name=f"fold {job.fold}",
            config=job.config.train,
            stream=(job.config.seed, job.fold),
            training=training_loader(
                job.dataset("train"), batch, num_workers=job.config.data.num_workers, part=share
            ),
            validation=evaluation_loader(validation, batch, part=share),
            measure=partial(class_measures, labels=validation.labels),
            folder=folder,
            identity={**identity, "threads": threads},
        )
        yield model, training, saved


def _check(job: FoldJob) -> None:
    """Refuse a job that cannot be trained."""
    if len(job.frames) != len(job.cases):
        raise ValueError(f"{len(job.cases)} rows but {len(job.frames)} frame arrays")
    if job.config.model.num_classes != len(job.classes):
        raise ConfigError(
            f"model.num_classes is {job.config.model.num_classes}, the cohort has {len(job.classes)} classes "
            f"({', '.join(job.classes)}); add --set model.num_classes={len(job.classes)}"
        )
    for role, least in (("train", 2), ("validation", 1)):
        count = int((job.cases["role"] == role).sum())
        if count < least:
            raise CohortError(
                f"fold {job.fold}: {count} {role} scans, at least {least} needed; use fewer folds (--folds) "
                "or more participants"
            )


def _threads(config: RunConfig) -> int:
    """Return the CPU threads of one fold, the same whether folds run together or one by one."""
    return config.threads or max(1, torch.get_num_threads() // config.parallel_folds)


def _conclude(job: FoldJob, folder: Path, state: TrainingState, how: Mapping[str, Any]) -> None:
    """Choose the threshold on the validation part, predict the test part and write everything."""
    model = state.model
    model.load_state_dict(state.best_weights)
    validation, test = _probabilities(job, model, "validation"), _probabilities(job, model, "test")
    labels = job.cases["label"].to_numpy(dtype=np.int64)
    threshold = _threshold(labels[job.rows("validation")], validation)
    gflops = measure_cost(job.config.model).gflops
    predictions = _prediction_table(job, test, decide(test, threshold), gflops)
    chosen = {"fold": job.fold, "threshold": threshold, "cases": len(validation), "gflops": gflops}
    if is_main():
        write_outputs(folder, state, predictions, {**chosen, **how})


def _probabilities(job: FoldJob, model: Model, role: Role) -> npt.NDArray[np.float64]:
    """Return the probabilities [N, K] of the cases of a role."""
    dataset = job.dataset(role)
    if len(dataset) == 0:
        return np.zeros((0, len(job.classes)))
    loader = evaluation_loader(dataset, job.config.train.batch_size, part=part())
    return np.asarray(predict_logits(model, loader).softmax(-1).numpy(), dtype=np.float64)


def _threshold(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> float | None:
    """Choose the threshold on validation; None with more than two classes, or one class at hand."""
    if probabilities.shape[1] != 2 or len(set(labels.tolist())) < 2:
        return None
    return choose_threshold(labels, probabilities[:, 1])


def _prediction_table(
    job: FoldJob, probabilities: npt.NDArray[np.float64], predicted: npt.NDArray[np.int64], gflops: float
) -> pd.DataFrame:
    cases = job.cases.iloc[job.rows("test")]
    table = pd.DataFrame(
        {
            "participant_id": cases["participant_id"].to_numpy(),
            "session_id": cases["session_id"].to_numpy(),
            "fold": job.fold,
            "label": [job.classes[label] for label in cases["label"]],
            "predicted": [job.classes[label] for label in predicted],
        }
    )
    for number, name in enumerate(job.classes):
        table[f"prob_{name}"] = probabilities[:, number]
    table["gflops"] = gflops
    return table
