"""The training loop of one fold: an Ignite engine around our own step (paper section 3.4, appendix H.3).

An epoch is a function of (state before it, seed, fold, epoch). The state is saved after every epoch, so a
run that was killed at any moment continues at the last finished epoch and ends with the same bits.
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor
from torch.utils.data import DataLoader

from neurofocus.allocator import keep_freed_memory
from neurofocus.data.dataset import Batch, CaseDataset
from neurofocus.data.loaders import EpochBatchSampler
from neurofocus.data.seeds import derive_seed
from neurofocus.errors import NeurofocusError
from neurofocus.model.build import Model
from neurofocus.model.draws import Draws
from neurofocus.schema.run import TrainConfig
from neurofocus.training.distributed import BatchShare, is_main, part
from neurofocus.training.ema import WeightAverage
from neurofocus.training.inference import model_frames, predict_logits, quiet_engine
from neurofocus.training.losses import training_loss
from neurofocus.training.optim import build_optimizer, learning_rate_factor, set_learning_rates
from neurofocus.training.progress import EpochProgress, ScalarLog
from neurofocus.training.reproducible import Precision
from neurofocus.training.saving import KEPT_BELOW, saving_memory
from neurofocus.training.shared_batch_norm import share_batch_norms
from neurofocus.training.state import EpochRecord, SavedState, TrainingState
from neurofocus.training.tally import TERMS, EpochTally
from neurofocus.training.validation import class_weights, validation_loss

__all__ = ["LAST_CHECKPOINT", "DivergedError", "FoldTraining", "train_fold"]

LAST_CHECKPOINT = "last.safetensors"
_LOGGER = logging.getLogger("neurofocus.training")


class DivergedError(NeurofocusError):
    """The loss is no longer finite."""


@dataclass(frozen=True)
class FoldTraining:
    """What one fold is trained with.

    Attributes:
        name: for messages, such as "fold 1".
        config: optimisation.
        stream: (seed, fold): with epoch and iteration, the source of all randomness.
        training: loader with a stream.
        validation: loader of the inner validation part; None: no epoch is measured and the last one is kept.
        measure: from the validation part's logits, float64 [N, K], to named measures.
        folder: where the checkpoint and the TensorBoard scalars go.
        identity: what the checkpoint belongs to; JSON.
        watch: called with the record of every finished epoch; what it raises ends the training.
    """

    name: str
    config: TrainConfig
    stream: tuple[int, int]
    training: DataLoader[Batch]
    validation: DataLoader[Batch] | None
    measure: Callable[[Tensor], dict[str, float | None]]
    folder: Path
    identity: Mapping[str, Any]
    watch: Callable[[EpochRecord], None] | None = None


def train_fold(model: Model, job: FoldTraining, saved: SavedState | None = None) -> TrainingState:
    """Train until the last epoch or until patience runs out; continue from ``saved`` if given.

    Call it inside ``reproducible``. With ``memory: saving`` the process keeps freed blocks below ``KEPT_BELOW`` from then on.

    Args:
        model: freshly initialised, on its device.
        job: data, settings and folder.
        saved: the fold's checkpoint.

    Returns:
        The final state, with the best epoch's weights.

    Raises:
        DivergedError: the loss is not finite.
    """
    if part()[1] > 1:
        share_batch_norms(model)
    state = _start(model, job, saved)
    if _is_done(state, job.config):
        return state
    if job.config.memory == "saving":
        keep_freed_memory(below=KEPT_BELOW)
    weights = _loss_weights(job, model.config.num_classes)
    engine = quiet_engine(_make_step(state, job, weights))
    length = len(job.training)
    with (
        saving_memory(model, on=job.config.memory == "saving"),
        EpochProgress(job.name, job.config.epochs, length) as progress,
        ScalarLog(
            job.folder / "tensorboard", on=job.config.tensorboard and is_main(), first=len(state.history)
        ) as scalars,
    ):
        engine.add_event_handler(Events.EPOCH_STARTED, _begin_epoch, state, job)
        engine.add_event_handler(Events.ITERATION_COMPLETED, progress.advance)

        def finish(running: Engine) -> None:
            record = _finish_epoch(state, job, weights, running)
            progress.report(record, kept=state.best.epoch)
            scalars.add(record)
            if job.watch is not None:
                job.watch(record)
            if _is_done(state, job.config):
                running.terminate()

        engine.add_event_handler(Events.EPOCH_COMPLETED, finish)
        engine.load_state_dict(
            {"epoch": len(state.history), "max_epochs": job.config.epochs, "epoch_length": length}
        )
        engine.run(job.training)
    return state


def _start(model: Model, job: FoldTraining, saved: SavedState | None) -> TrainingState:
    config, device = job.config, next(model.parameters()).device
    state = TrainingState(
        model=model,
        optimizer=build_optimizer(model, config),
        scaler=Precision(config.amp, device).scaler(),
        average=None if config.ema_decay is None else WeightAverage(model, config.ema_decay),
        keep=config.keep,
    )
    if saved is not None:
        state.restore(saved)
        _LOGGER.info("%s: continues after epoch %d", job.name, len(state.history))
    return state


def _is_done(state: TrainingState, config: TrainConfig) -> bool:
    """Say whether the last epoch is over, or the best one lies ``patience`` epochs back."""
    done = len(state.history)
    patient = config.patience is None or not done or done - state.best.epoch < config.patience
    return done >= config.epochs or not patient


def _loss_weights(job: FoldTraining, num_classes: int) -> Tensor | None:
    dataset = job.training.dataset
    assert isinstance(dataset, CaseDataset)
    return class_weights(dataset.labels, num_classes) if job.config.class_balanced else None


def _begin_epoch(engine: Engine, state: TrainingState, job: FoldTraining) -> None:
    """Set the epoch everywhere: order, draws, learning rates."""
    epoch = engine.state.epoch - 1
    dataset, sampler = job.training.dataset, job.training.batch_sampler
    assert isinstance(dataset, CaseDataset) and isinstance(sampler, EpochBatchSampler)
    dataset.set_epoch(epoch)
    sampler.set_epoch(epoch)
    set_learning_rates(state.optimizer, learning_rate_factor(epoch, job.config))
    engine.state.tally = EpochTally()


def _make_step(state: TrainingState, job: FoldTraining, weights: Tensor | None) -> Any:
    """Return the function that Ignite calls with every batch."""
    device = next(state.model.parameters()).device
    precision = Precision(job.config.amp, device)
    other = part()[:1] if part()[0] else ()  # processes that share a batch drop other units each
    on_device = None if weights is None else weights.to(device)

    def step(engine: Engine, batch: Batch) -> float:
        epoch, iteration = engine.state.epoch - 1, (engine.state.iteration - 1) % engine.state.epoch_length
        state.model.train()
        # Dropout draws from the global stream; everything else from a stream of its own.
        torch.manual_seed(derive_seed("dropout", *job.stream, epoch, iteration, *other))
        draws, share = _share(job, weights, epoch, iteration)
        with precision.autocast():
            terms = training_loss(
                state.model,
                model_frames(batch, device),
                batch["label"].to(device, non_blocking=True),
                objective=job.config.objective,
                class_weights=on_device,
                draws=draws,
            )
        values = share.values(terms, TERMS)
        _require_finite(values[0], f"training loss in epoch {epoch + 1}, iteration {iteration + 1}", job)
        state.step(share.total(terms), job.config.grad_clip)
        engine.state.tally.add(values, terms.decision, state.model.config)
        return values[0]

    return step


def _share(job: FoldTraining, weights: Tensor | None, epoch: int, iteration: int) -> tuple[Draws, BatchShare]:
    """Return the random numbers and the weight of this process's part of a batch."""
    dataset, sampler = job.training.dataset, job.training.batch_sampler
    assert isinstance(dataset, CaseDataset) and isinstance(sampler, EpochBatchSampler)
    batch = sampler.whole_batches()[iteration]
    mine = sampler.mine(len(batch))
    labels = torch.tensor([dataset.labels[position] for position in batch])
    generator = torch.Generator().manual_seed(derive_seed("loss", *job.stream, epoch, iteration))
    return Draws(generator, mine.start, len(batch)), BatchShare.of(labels, mine, weights)


def _finish_epoch(
    state: TrainingState, job: FoldTraining, weights: Tensor | None, engine: Engine
) -> EpochRecord:
    """Validate, remember the weights to keep and save the state."""
    epoch = len(state.history)
    with state.evaluation_weights():
        loss, measures = _validate(state, job, weights)
        record = EpochRecord(
            epoch=epoch + 1,
            learning_rate_factor=learning_rate_factor(epoch, job.config),
            losses=engine.state.tally.mean_losses(),
            diagnostics=engine.state.tally.mean_diagnostics(),
            validation_loss=loss,
            measures=measures,
        )
        state.add(record)
    if is_main():
        state.save(job.folder / LAST_CHECKPOINT, job.identity)
    return record


def _validate(
    state: TrainingState, job: FoldTraining, weights: Tensor | None
) -> tuple[float | None, dict[str, float | None]]:
    if job.validation is None:
        return None, {}
    dataset = job.validation.dataset
    assert isinstance(dataset, CaseDataset)
    logits = predict_logits(state.model, job.validation)
    loss = validation_loss(logits, dataset.labels, weights)
    _require_finite(loss, f"validation loss after epoch {len(state.history) + 1}", job)
    return loss, job.measure(logits)


def _require_finite(value: float, what: str, job: FoldTraining) -> None:
    if not math.isfinite(value):
        raise DivergedError(
            f"{job.name}: the {what} is {value}; lower train.learning_rates or set train.grad_clip "
            "(for example --set train.grad_clip=5), or use train.amp=off"
        )
