"""The SYNTHETIC bundle that ships: small, of today's demo configuration, and right about people it never met."""

from pathlib import Path

import numpy as np
import pytest

from neurofocus.schema.load import load_cohort_spec, load_run_config
from neurofocus.simulate.cohort import ensure_simulated
from neurofocus.tables import read_tsv
from neurofocus.workflows.bundle import ModelBundle, default_bundle
from neurofocus.workflows.predict import predict
from neurofocus.workflows.runtime import load_for_prediction

LARGEST = 6_000_000  # bytes


@pytest.fixture(scope="module")
def shipped() -> ModelBundle:
    return load_for_prediction(None, "cpu")


def test_it_is_small() -> None:
    assert 0 < sum(path.stat().st_size for path in default_bundle().iterdir()) <= LARGEST


def test_it_was_made_with_the_shipped_configuration(shipped: ModelBundle) -> None:
    manifest = shipped.manifest
    left_out = {"model": {"num_classes"}}
    made_with = manifest.config.model_dump(exclude=left_out)
    assert made_with == load_run_config("demo").model_dump(exclude=left_out)
    assert len(shipped.models) == manifest.config.data.folds
    assert manifest.classes == tuple(load_cohort_spec("demo").classes)


def test_it_says_what_it_is(shipped: ModelBundle) -> None:
    assert shipped.manifest.synthetic
    assert "Not a medical device" in shipped.manifest.intended_use
    pooled = shipped.manifest.metrics["pooled"]
    assert pooled["balanced_accuracy"]["value"] >= 0.80
    assert pooled["roc_auc"]["low"] < pooled["roc_auc"]["value"] < pooled["roc_auc"]["high"]


def test_every_fold_may_stop_early(shipped: ModelBundle) -> None:
    assert all(fold.exits is not None for fold in shipped.manifest.folds)


@pytest.mark.slow
def test_it_ranks_new_people(shipped: ModelBundle, tmp_path: Path) -> None:
    spec = load_cohort_spec("demo")
    assert spec.simulation is not None
    others = spec.simulation.model_copy(update={"seed": 77, "subjects": 12})
    root = ensure_simulated(spec.model_copy(update={"simulation": others}), tmp_path)
    people = read_tsv(root / "participants.tsv")
    answers = {
        scan.name.split("_")[0]: predict(scan, shipped, out=None).probabilities["AD"]
        for scan in root.glob("sub-*/anat/*_T1w.nii.gz")
    }
    found = people["participant_id"].map(answers)
    ill = (people["diagnosis"] == "AD").to_numpy()
    assert ill.sum() == 6
    right = np.subtract.outer(found[ill].to_numpy(), found[~ill].to_numpy()) > 0
    assert right.mean() > 0.75
