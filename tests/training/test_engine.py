"""The training loop: learns, stops, refuses nonsense, and continues to the last bit after an interruption."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurofocus.data.augment import Augmenter
from neurofocus.data.dataset import Batch, FrameDataset
from neurofocus.data.loaders import evaluation_loader, training_loader
from neurofocus.errors import ConfigError, NeurofocusError
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import ModelConfig
from neurofocus.schema.run import AugmentConfig, TrainConfig
from neurofocus.training import engine as engine_module
from neurofocus.training.engine import LAST_CHECKPOINT, FoldTraining, train_fold
from neurofocus.training.inference import predict_frames, predict_logits
from neurofocus.training.reproducible import Precision, reproducible
from neurofocus.training.saving import KEPT_BELOW
from neurofocus.training.state import EpochRecord, TrainingState, load_saved
from neurofocus.training.validation import class_measures

MODEL = ModelConfig.model_validate(
    {
        "frame_channels": 1,
        "gray_input": "average",
        "frame_size": 32,
        "num_frames": 4,
        "num_glance_frames": 4,
        "num_focus_frames": 2,
        "patch_size": 16,
        "global_encoder": {"name": "compact", "width": 0.25},
        "local_encoder": {"name": "compact", "width": 0.25},
        "classifier": {"hidden": 16},
        "spatial_policy": {"channels": 8},
        "temporal_policy": {"channels": 8},
    }
)
IDENTITY = {"settings": "a", "scans": "b"}


def train_config(**changes: Any) -> TrainConfig:
    values = {
        "epochs": 3,
        "batch_size": 6,
        "learning_rates": dict.fromkeys(("global_encoder", "local_encoder", "classifier", "policy"), 0.01),
        "tensorboard": False,
        "objective": {"num_mc_samples": 8},
    }
    return TrainConfig.model_validate({**values, **changes})


def make_datasets(*, cases: int = 13) -> tuple[FrameDataset, FrameDataset]:
    """Class 1 has a bright square; 13 training cases make the last batch of six a single case."""
    rng = np.random.default_rng(0)

    def part(number: int, *, training: bool) -> FrameDataset:
        labels = [index % 2 for index in range(number)]
        frames = []
        for label in labels:
            case = rng.normal(size=(8, 32, 32)).astype(np.float32)
            case[:, 10:20, 10:20] += 2 * label
            frames.append(case)
        augmenter = Augmenter(AugmentConfig(), np.diag([2.0, 1, 1, 1])) if training else None
        return FrameDataset(frames, labels, 4, augmenter=augmenter, stream=(0, 1) if training else None)

    return part(cases, training=True), part(8, training=False)


def make_job(folder: Path, config: TrainConfig, *, num_workers: int = 0, cases: int = 13) -> FoldTraining:
    training, validation = make_datasets(cases=cases)
    return FoldTraining(
        name="fold 1",
        config=config,
        stream=(0, 1),
        training=training_loader(training, config.batch_size, num_workers=num_workers),
        validation=evaluation_loader(validation, config.batch_size),
        measure=partial(class_measures, labels=validation.labels),
        folder=folder,
        identity=IDENTITY,
    )


def train(folder: Path, config: TrainConfig, *, num_workers: int = 0) -> TrainingState:
    with reproducible(threads=1, deterministic=True):
        torch.manual_seed(0)
        model = UniAdaFocus(MODEL)
        saved = load_saved(folder / LAST_CHECKPOINT, IDENTITY)
        return train_fold(model, make_job(folder, config, num_workers=num_workers), saved)


def assert_same(one: TrainingState, other: TrainingState) -> None:
    assert one.history == other.history
    for name, value in one.best_weights.items():
        assert torch.equal(value, other.best_weights[name]), name


VARIANTS = {
    "sgd": train_config(),
    "adamw-ema-clip": train_config(optimizer="adamw", ema_decay=0.9, grad_clip=0.5),
    "bf16": train_config(amp="bf16"),
}


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_interrupted_training_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    config = VARIANTS[variant]
    whole = train(tmp_path / "whole", config)
    draw = FrameDataset.__getitem__
    # Items of an epoch: 12 to train (one is dropped), 8 to validate. The stops lie in the first batch, in the
    # validation of epoch 2, in its second batch (again from epoch 1), and between two batches of epoch 3.
    for stop in (3, 33, 8, 26):
        left = iter(range(stop))

        def interrupted(self: FrameDataset, index: int, left: Iterator[int] = left) -> Batch:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return draw(self, index)

        monkeypatch.setattr(FrameDataset, "__getitem__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "broken", config)
        monkeypatch.undo()
    resumed = train(tmp_path / "broken", config)
    assert_same(whole, resumed)
    checkpoints = [(tmp_path / name / LAST_CHECKPOINT).read_bytes() for name in ("whole", "broken")]
    assert checkpoints[0] == checkpoints[1]


def test_workers_change_nothing(tmp_path: Path) -> None:
    config = train_config(epochs=2)
    assert_same(train(tmp_path / "0", config), train(tmp_path / "2", config, num_workers=2))


def test_foreign_random_numbers_change_nothing(tmp_path: Path) -> None:
    config = train_config(epochs=1)
    torch.manual_seed(1)
    one = train(tmp_path / "one", config)
    before = torch.get_rng_state()
    np.random.seed(5)
    assert_same(one, train(tmp_path / "two", config))
    assert torch.equal(before, torch.get_rng_state())


def test_saving_memory_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    monkeypatch.setattr(engine_module, "keep_freed_memory", lambda *, below: kept.append(below))
    for memory in ("plain", "saving"):
        recomputed: list[bool] = []
        with reproducible(threads=1, deterministic=True):
            torch.manual_seed(0)
            model = UniAdaFocus(MODEL)

            def watch(_: EpochRecord, model: UniAdaFocus = model, found: list[bool] = recomputed) -> None:
                found.append(any("forward" in vars(part) for part in model.modules()))

            (tmp_path / memory).mkdir()
            job = make_job(tmp_path / memory, train_config(memory=memory))
            train_fold(model, replace(job, watch=watch))
        assert recomputed == [memory == "saving"] * 3
    assert kept == [KEPT_BELOW]


def test_finished_training_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = train_config(epochs=1)
    first = train(tmp_path, config)
    monkeypatch.setattr(FrameDataset, "__getitem__", None)
    assert_same(first, train(tmp_path, config))


def test_it_learns(tmp_path: Path) -> None:
    config = train_config(
        epochs=6,
        optimizer="adamw",
        learning_rates=dict.fromkeys(("global_encoder", "local_encoder", "classifier", "policy"), 0.003),
    )
    with reproducible(threads=1, deterministic=True):
        torch.manual_seed(0)
        model = UniAdaFocus(MODEL)
        state = train_fold(model, make_job(tmp_path, config, cases=36))
    balanced = state.best.measures["balanced_accuracy"]
    assert balanced is not None and balanced > 0.9
    assert state.history[-1].losses["classification"] < 0.7 * state.history[0].losses["classification"]
    for record in state.history:
        terms = [value for name, value in record.losses.items() if name != "total"]
        assert record.losses["total"] == pytest.approx(sum(terms), rel=1e-5)


def test_best_epoch_has_the_smallest_validation_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([0.7, 0.5, 0.6, 0.5, 0.9])
    monkeypatch.setattr(engine_module, "validation_loss", scripted(losses))
    weights = []
    save = TrainingState.save

    def watched(self: TrainingState, path: Path, identity: Any) -> None:
        weights.append({name: value.clone() for name, value in self.model.state_dict().items()})
        save(self, path, identity)

    monkeypatch.setattr(TrainingState, "save", watched)
    state = train(tmp_path, train_config(epochs=5))
    assert state.best.epoch == 2
    assert all(torch.equal(value, weights[1][name]) for name, value in state.best_weights.items())
    assert not all(torch.equal(value, weights[3][name]) for name, value in state.best_weights.items())


@pytest.mark.parametrize("measured", [True, False])
def test_the_last_epoch_is_kept_when_asked_or_when_none_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: bool
) -> None:
    monkeypatch.setattr(engine_module, "validation_loss", scripted(iter([0.5, 0.4, 0.6])))
    config = train_config(epochs=3, keep="last" if measured else "best")
    job = make_job(tmp_path, config)
    with reproducible(threads=1, deterministic=True):
        torch.manual_seed(0)
        state = train_fold(UniAdaFocus(MODEL), job if measured else replace(job, validation=None))
    assert [record.validation_loss for record in state.history] == (
        [0.5, 0.4, 0.6] if measured else [None] * 3
    )
    assert state.best.epoch == 3
    last = state.model.state_dict()
    assert all(torch.equal(value, last[name]) for name, value in state.best_weights.items())


def scripted(losses: Iterator[float]) -> Any:
    return lambda *_: next(losses)


def test_patience_stops_early_also_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "validation_loss", scripted(iter([0.5, 0.4, 0.6, 0.7, 0.1])))
    config = train_config(epochs=5, patience=2)
    assert len(train(tmp_path, config).history) == 4
    again = train(tmp_path, config)
    assert len(again.history) == 4 and again.best.epoch == 2


def test_nonfinite_loss_names_epoch_and_iteration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objective = engine_module.training_loss
    calls = iter(range(100))

    def broken(*arguments: Any, **options: Any) -> Any:
        terms = objective(*arguments, **options)
        return (
            terms if next(calls) != 3 else type(terms)(**{**vars(terms), "total": terms.total * float("nan")})
        )

    monkeypatch.setattr(engine_module, "training_loss", broken)
    with pytest.raises(NeurofocusError, match="fold 1: the training loss in epoch 2, iteration 2 is nan"):
        train(tmp_path, train_config())
    saved = load_saved(tmp_path / LAST_CHECKPOINT, IDENTITY)
    assert saved is not None and len(saved.fields["history"]) == 1


def test_nonfinite_validation_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "validation_loss", scripted(iter([float("inf")])))
    with pytest.raises(NeurofocusError, match="validation loss after epoch 1 is inf"):
        train(tmp_path, train_config())
    assert not (tmp_path / LAST_CHECKPOINT).exists()


def test_learning_rates_follow_the_schedule(tmp_path: Path) -> None:
    state = train(tmp_path, train_config(epochs=2))
    assert [record.learning_rate_factor for record in state.history] == pytest.approx([1.0, 0.5])
    assert state.optimizer.param_groups[0]["lr"] == pytest.approx(0.005)


def test_average_is_what_is_validated(tmp_path: Path) -> None:
    state = train(tmp_path, train_config(ema_decay=0.9, epochs=1))
    assert state.average is not None
    assert all(torch.equal(value, state.average.weights[name]) for name, value in state.best_weights.items())
    current = state.model.state_dict()
    assert not torch.equal(current["local_head.1.weight"], state.best_weights["local_head.1.weight"])


def test_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    train(tmp_path, train_config(epochs=1))
    with pytest.raises(ConfigError, match=r"other scans; .*--fresh"):
        load_saved(tmp_path / LAST_CHECKPOINT, {**IDENTITY, "scans": "c"})


def test_one_line_an_epoch_and_scalars(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with caplog.at_level(logging.INFO, logger="neurofocus"):
        state = train(tmp_path, train_config(epochs=2, tensorboard=True))
    lines = [line for line in caplog.messages if "epoch" in line]
    assert len(lines) == 2
    assert lines[1].startswith("fold 1  epoch 2/2  loss ")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    shown = [event.value for event in events.Scalars("validation/loss")]
    assert shown == pytest.approx([record.validation_loss for record in state.history], rel=1e-6)


def test_prediction_is_deterministic_and_restores_the_mode() -> None:
    torch.manual_seed(0)
    model = UniAdaFocus(MODEL).train()
    _, validation = make_datasets()
    loader = evaluation_loader(validation, 3)
    logits = predict_logits(model, loader)
    assert model.training
    assert logits.shape == (8, 2) and logits.dtype == torch.float64
    torch.testing.assert_close(
        logits, predict_logits(model, evaluation_loader(validation, 8)), atol=1e-5, rtol=0
    )
    frames = torch.stack([validation[index]["frames"] for index in range(8)])
    probabilities, output = predict_frames(model, frames)
    np.testing.assert_allclose(probabilities, logits.softmax(-1).numpy(), atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-12)
    assert output.frame_indices.shape == (8, 2)


def test_reproducible_puts_everything_back() -> None:
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_rng_state())
    with pytest.raises(KeyError), reproducible(threads=3, deterministic=True):
        assert torch.get_num_threads() == 3
        assert torch.are_deterministic_algorithms_enabled()
        torch.rand(5)
        raise KeyError
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before[:2]
    assert torch.equal(torch.get_rng_state(), before[2])


def test_half_precision_needs_cuda() -> None:
    with pytest.raises(ConfigError, match=r"train\.amp: fp16 needs a CUDA device.*bf16 or off"):
        Precision("fp16", torch.device("cpu"))


def test_precision_of_the_step() -> None:
    product = {}
    for mode in ("off", "bf16"):
        with Precision(mode, torch.device("cpu")).autocast():
            product[mode] = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    assert product == {"off": torch.float32, "bf16": torch.bfloat16}
    assert not Precision("bf16", torch.device("cpu")).scaler().is_enabled()
