"""Train and test one fold: a pure job from (configuration, fold, cases, roles) to a folder.

The folder is complete once it holds ``DONE``. A job that was killed at any moment is started again with the
same arguments and ends with the same bytes (on the CPU, at the recorded number of threads).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from neurofocus.data.loaders import evaluation_loader, training_loader
from neurofocus.data.seeds import derive_seed
from neurofocus.errors import NeurofocusError
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.run import RunConfig
from neurofocus.training.distributed import is_main, main_first, part
from neurofocus.training.engine import LAST_CHECKPOINT, FoldTraining, train_fold
from neurofocus.training.reproducible import reproducible
from neurofocus.training.state import EpochRecord, SavedState, load_saved
from neurofocus.training.validation import class_measures
from neurofocus.workflows.folds.conclude import conclude
from neurofocus.workflows.folds.job import FoldJob
from neurofocus.workflows.folds.lock import LOCK_SECONDS, alone_in
from neurofocus.workflows.folds.record import FoldResult, finished_fold, mark_done

__all__ = ["run_fold", "train_only"]


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
    job.refuse_untrainable()
    with alone_in(folder, f"fold {job.fold}", patience):
        identity = job.identity()
        exits = job.config.exit
        if (result := finished_fold(folder, job.classes, identity, exits=exits)) is not None:
            return result
        with _training(job, folder, device) as training:
            state = train_fold(*training)
            how = {
                "threads": training[1].identity["threads"],
                "processes": part()[1],
                "device": torch.device(device).type,
            }
            conclude(job, folder, state, how)
        with main_first():
            if is_main():
                mark_done(folder, identity, exits)
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
    job.refuse_untrainable()
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


def _threads(config: RunConfig) -> int:
    """Return the CPU threads of one fold, the same whether folds run together or one by one."""
    return config.threads or max(1, torch.get_num_threads() // config.parallel_folds)
