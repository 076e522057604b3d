"""Thresholds and exits come from the validation scans as they are, and from nothing else."""

import dataclasses
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from neurofocus.data.dataset import evaluation_frames
from neurofocus.early_exit.plan import solve_plan
from neurofocus.evaluation.thresholds import decide
from neurofocus.inference.torch_stages import CaseFrames, TorchStages
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.training.optim import build_optimizer
from neurofocus.training.state import EpochRecord, TrainingState
from neurofocus.workflows.folds import conclude as module
from neurofocus.workflows.folds.conclude import answer_values, conclude
from neurofocus.workflows.folds.job import FoldJob

HOW = {"threads": 1, "processes": 1, "device": "cpu"}


def model_of(job: FoldJob) -> UniAdaFocus:
    """A model whose answers differ from case to case and from step to step, as if it had learned."""
    torch.manual_seed(1)
    model = UniAdaFocus(job.config.model)
    for name, parameter in model.named_parameters():
        if "classifiers" in name:
            parameter.data *= 5
    return model.eval()


def concluded(job: FoldJob, folder: Path) -> dict[str, Any]:
    """Conclude a training that has just begun; return validation.json."""
    model = model_of(job)
    record = EpochRecord(epoch=1, learning_rate_factor=1.0, losses={}, validation_loss=1.0)
    state = TrainingState(
        model, build_optimizer(model, job.config.train), torch.amp.GradScaler(enabled=False), history=[record]
    )
    state.best_weights = {name: value.clone() for name, value in model.state_dict().items()}
    folder.mkdir(exist_ok=True)
    conclude(job, folder, state, HOW)
    found: dict[str, Any] = json.loads((folder / "validation.json").read_text(encoding="utf-8"))
    return found


def stored(folder: Path) -> np.ndarray:
    with np.load(folder / "exits.npz") as found:
        return np.asarray(found["logits"])


@pytest.mark.parametrize(("classes", "threshold"), [(2, None), (2, 0.8), (3, None)])
def test_the_mean_worth_is_the_balanced_accuracy(classes: int, threshold: float | None) -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(classes, size=40, p=[0.7, 0.3] if classes == 2 else [0.6, 0.3, 0.1])
    probabilities = rng.dirichlet(np.ones(classes), size=(40, 5))
    values = answer_values(labels, probabilities, threshold)
    for step in range(5):
        decided = decide(probabilities[:, step], threshold)
        assert values[:, step].mean() == pytest.approx(balanced_accuracy_score(labels, decided))
        assert ((values[:, step] > 0) == (decided == labels)).all()


def test_one_class_of_validation_scans_counts_alone() -> None:
    probabilities = np.tile([0.2, 0.8], (4, 3, 1))
    assert answer_values(np.ones(4, np.int64), probabilities, None).tolist() == [[1.0] * 3] * 4


@pytest.mark.parametrize("order", ["time", "weight"])
def test_exits_are_solved_on_the_validation_scans_as_they_are(
    synthetic: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    seen: list[np.ndarray] = []

    def note(probabilities: np.ndarray, values: np.ndarray, *rest: Any) -> Any:
        seen.extend([probabilities, values])
        return solve_plan(probabilities, values, *rest)

    monkeypatch.setattr(module, "solve_plan", note)
    job: FoldJob = synthetic.make_job(f"exit.order={order}", "exit.every=1")
    validation = concluded(job, tmp_path / "fold")
    (probabilities, values) = seen
    stages = TorchStages(model_of(job), order="weight" if order == "weight" else "time")
    rows = job.rows("validation")
    shown = [CaseFrames(evaluation_frames(job.frames[row], 4)[0][None]) for row in rows]
    glanced = stages.glance_probabilities(stages.glance(shown))
    np.testing.assert_allclose(probabilities[:, 3], glanced, atol=1e-5)
    for number in (1, 2):
        expected = stages.focus(stages.glance(shown), [number] * len(shown))
        np.testing.assert_allclose(probabilities[:, 3 + number], expected, atol=1e-5)
    labels = job.cases["label"].to_numpy()[rows]
    decided = probabilities[:, -1, 1] >= validation["threshold"]
    assert values[:, -1].mean() == pytest.approx(balanced_accuracy_score(labels, decided))
    plan = validation["exits"]
    assert plan["order"] == order
    assert plan["ladder"]["steps"] == [3, 4, 5]
    assert plan["rules"][0]["accuracy"] == pytest.approx(values[:, -1].mean())


def test_other_scans_do_not_touch_the_exits(synthetic: ModuleType, tmp_path: Path) -> None:
    job: FoldJob = synthetic.make_job("exit.every=1")
    before = concluded(job, tmp_path / "before")
    again = concluded(job, tmp_path / "again")
    assert again == before
    for name in ("exits.npz", "predictions.tsv", "validation.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "before" / name).read_bytes()

    def turned(*roles: str) -> FoldJob:
        rows = [row for role in roles for row in job.rows(role)]  # type: ignore[arg-type]
        frames, cases = list(job.frames), job.cases.copy()
        for row in rows:
            frames[row] = -frames[row]
        cases.loc[rows, "label"] = 1 - cases.loc[rows, "label"]
        return dataclasses.replace(job, frames=frames, cases=cases)

    assert concluded(turned("train", "test"), tmp_path / "others") == before
    assert not np.allclose(stored(tmp_path / "others"), stored(tmp_path / "before"))
    changed = concluded(turned("validation"), tmp_path / "validation")
    assert changed["exits"] != before["exits"]
    assert np.array_equal(stored(tmp_path / "validation"), stored(tmp_path / "before"))


def test_the_stored_logits_are_the_complete_answers_for_the_test_scans(
    synthetic: ModuleType, tmp_path: Path
) -> None:
    job: FoldJob = synthetic.make_job("exit.every=1")
    concluded(job, tmp_path)
    shown = torch.stack([evaluation_frames(job.frames[row], 4)[0] for row in job.rows("test")])
    with torch.no_grad():
        expected = model_of(job)(shown).logits[:, 3:]
    found = stored(tmp_path)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    assert np.ptp(found[:, 0], axis=0).min() > 1e-3


def test_a_fold_without_test_scans(synthetic: ModuleType, tmp_path: Path) -> None:
    job: FoldJob = synthetic.make_job()
    cases = job.cases.assign(role=job.cases["role"].replace("test", "train"))
    concluded(dataclasses.replace(job, cases=cases), tmp_path)
    assert stored(tmp_path).shape == (0, 2, 2)
