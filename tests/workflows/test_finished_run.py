"""What a finished cross-validation of the tiny SYNTHETIC cohort leaves: every promised file, and what is in it."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from neurofocus.files import sha256_file
from neurofocus.ingest.flow import COHORT_COLUMNS
from neurofocus.tables import read_tsv
from neurofocus.workflows.bundle import load_bundle

FOLD_FILES = {
    "best.safetensors",
    "last.safetensors",
    "predictions.tsv",
    "validation.json",
    "history.tsv",
    "exits.npz",
    "DONE",
}


def test_promised_files(tiny_run: Path) -> None:
    assert {path.name for path in tiny_run.iterdir()} == {
        *(
            "run.json",
            "cohort.tsv",
            "folds.tsv",
            "checks.json",
            "predictions.tsv",
            "metrics.json",
            "report.html",
        ),
        *("checks.json", "fold-1", "fold-2", "bundle"),
    }
    for number in (1, 2):
        assert {path.name for path in (tiny_run / f"fold-{number}").iterdir()} >= FOLD_FILES
    assert not [path for path in tiny_run.rglob("*nf-partial*")]


def test_cohort_table(tiny_run: Path, tiny_data: Path) -> None:
    table = read_tsv(tiny_run / "cohort.tsv", integers=["label"])
    assert tuple(table.columns) == COHORT_COLUMNS
    assert len(table) == 16
    assert set(table["space"]) == {"template"}
    assert set(zip(table["diagnosis"], table["label"], strict=True)) == {("CN", 0), ("AD", 1)}
    for path in table["path"]:  # below the data set, not of this machine
        assert not Path(path).is_absolute()
        assert (tiny_data / path).is_file()


def test_out_of_fold_predictions(tiny_run: Path) -> None:
    table = read_tsv(
        tiny_run / "predictions.tsv", numbers=["prob_CN", "prob_AD", "gflops"], integers=["fold"]
    )
    assert list(table.columns) == [
        *("participant_id", "session_id", "fold", "label", "predicted", "prob_CN", "prob_AD", "gflops"),
    ]
    cohort = read_tsv(tiny_run / "cohort.tsv")
    assert table["participant_id"].tolist() == sorted(cohort["participant_id"])  # everyone exactly once
    labels = dict(zip(cohort["participant_id"], cohort["diagnosis"], strict=True))
    assert table["label"].tolist() == [labels[name] for name in table["participant_id"]]
    np.testing.assert_allclose(table["prob_CN"] + table["prob_AD"], 1, atol=1e-12)
    folds = read_tsv(tiny_run / "folds.tsv", integers=["fold"]).set_index("participant_id")
    for row in table.to_dict("records"):
        assert row["fold"] == folds.loc[row["participant_id"], "fold"]
        assert folds.loc[row["participant_id"], f"role_{row['fold']}"] == "test"
    for number in (1, 2):  # decided with the fold's own threshold
        threshold = json.loads((tiny_run / f"fold-{number}" / "validation.json").read_text())["threshold"]
        part = table[table["fold"] == number]
        assert ((part["prob_AD"] >= threshold) == (part["predicted"] == "AD")).all()


def test_metrics(tiny_run: Path) -> None:
    metrics = json.loads((tiny_run / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["classes"] == ["CN", "AD"]
    assert metrics["synthetic"] is True
    assert metrics["n_subjects"] == 16
    assert {"balanced_accuracy", "accuracy", "roc_auc", "sensitivity", "specificity"} <= metrics[
        "pooled"
    ].keys()
    assert [fold["fold"] for fold in metrics["folds"]] == [1, 2]
    assert metrics["bayes_ceiling"]["auc"] > 0.5
    table = read_tsv(tiny_run / "predictions.tsv", numbers=["gflops"])
    assert metrics["pooled"]["accuracy"]["value"] == pytest.approx(
        (table["label"] == table["predicted"]).mean()
    )
    assert metrics["mean_gflops"] == pytest.approx(table["gflops"].mean())
    whole = metrics["exits"]["fixed"][-1]
    assert whole["balanced_accuracy"] == pytest.approx(metrics["pooled"]["balanced_accuracy"])
    assert whole["gflops"] == pytest.approx(metrics["mean_gflops"])
    assert len(metrics["exits"]["conditional"]) == 17


def test_report(tiny_run: Path) -> None:
    text = (tiny_run / "report.html").read_text(encoding="utf-8")
    assert "SYNTHETIC" in text
    assert "Cross-validation of tiny" in text
    assert sha256_file(tiny_run / "predictions.tsv") in text


def test_bundle(tiny_run: Path) -> None:
    bundle = load_bundle(tiny_run / "bundle")
    manifest = bundle.manifest
    assert manifest.name == "tiny"
    assert manifest.synthetic
    assert manifest.classes == ("CN", "AD")
    assert manifest.metrics == json.loads((tiny_run / "metrics.json").read_text(encoding="utf-8"))
    assert manifest.provenance["predictions_sha256"] == sha256_file(tiny_run / "predictions.tsv")
    for number, (entry, model) in enumerate(zip(manifest.folds, bundle.models, strict=True), start=1):
        folder = tiny_run / f"fold-{number}"
        validation = json.loads((folder / "validation.json").read_text())
        assert entry.threshold == validation["threshold"]
        assert entry.exits is not None
        assert entry.exits.model_dump(mode="json") == validation["exits"]
        state = model.state_dict()
        for name, value in load_file(folder / "best.safetensors").items():
            assert state[name].equal(value)


def test_nothing_names_this_machine(tiny_run: Path, tiny_cohort: Path, tiny_data: Path) -> None:
    names = [str(tiny_cohort.parent), str(tiny_run.parent), str(tiny_data), str(Path.home())]
    for path in tiny_run.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".tsv", ".html", ""):
            text = path.read_text(encoding="utf-8")
            assert not [name for name in names if name in text], path.name
