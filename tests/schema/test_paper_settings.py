"""The shipped run configurations of the clinical cohorts hold the paper's numbers (section 5.1, appendix H)."""

import pytest

from neurofocus.resources import list_resources
from neurofocus.schema.load import load_cohort_spec, load_run_config


@pytest.mark.parametrize("name", ["adni", "oasis", "ppmi"])
def test_the_setting_of_the_paper(name: str) -> None:
    config = load_run_config(name)
    model, train, rates = config.model, config.train, config.train.learning_rates
    assert (model.num_frames, model.num_glance_frames, model.num_focus_frames) == (48, 16, 16)
    assert (model.frame_size, model.patch_size, model.frame_channels) == (224, 128, 1)
    assert (model.global_encoder.name, model.local_encoder.name) == ("mobilenet_v2", "resnet50")
    assert (config.data.folds, config.data.validation_fraction) == (5, 0.25)
    assert (train.optimizer, train.momentum, train.weight_decay) == ("sgd", 0.9, 2e-4)
    assert (train.epochs, train.batch_size, train.amp) == (50, 32, "off")
    assert (rates.global_encoder, rates.local_encoder, rates.classifier, rates.policy) == (
        (0.001, 0.002, 0.04, 0.0004)
    )
    objective = train.objective
    assert objective.auxiliary and objective.diversity and objective.stop_gradient
    assert (objective.policy_gradient, objective.num_mc_samples) == ("features", 128)


@pytest.mark.parametrize(
    ("name", "classes", "weight_decay", "alpha"),
    [
        ("sthv1", 174, 1e-3, 0.5),
        ("sthv2", 174, 5e-4, 0.5),
        ("jester", 27, 1e-3, 0.25),
        ("diving48", 48, 1e-3, 0.5),
    ],
)
def test_the_setting_of_tsm(name: str, classes: int, weight_decay: float, alpha: float) -> None:
    """Section 5.2, appendices H.1 and H.3."""
    config = load_run_config(name)
    model, train, rates = config.model, config.train, config.train.learning_rates
    assert (model.num_classes, model.streams, model.mixes_frames) == (classes, "separate", True)
    assert (model.num_frames, model.num_glance_frames, model.num_focus_frames) == (36, 8, 12)
    assert (model.frame_size, model.patch_size, model.spatial_policy.scope) == (224, 128, "clip")
    assert (model.global_encoder.name, model.local_encoder.name) == ("mobilenet_v2", "resnet50")
    assert model.global_encoder.temporal_shift and model.local_encoder.temporal_shift
    assert (train.optimizer, train.momentum, train.weight_decay) == ("sgd", 0.9, weight_decay)
    assert (train.epochs, train.batch_size, train.class_balanced) == (50, 64, False)
    assert (rates.global_encoder, rates.local_encoder, rates.classifier, rates.policy) == (
        (0.01, 0.02, 0.02, 0.004)
    )
    assert (train.objective.profile, train.objective.size_weight) == ("paper", alpha)


def test_the_baseline_is_trained_as_sthv1() -> None:
    baseline, ours = load_run_config("tsm-plus"), load_run_config("sthv1")
    assert (baseline.model.kind, baseline.model.num_focus_frames) == ("tsm_plus", 8)
    assert baseline.model.global_encoder == ours.model.global_encoder
    assert baseline.model.local_encoder == ours.model.local_encoder
    assert baseline.model.classifier == ours.model.classifier
    same = {"objective": ours.train.objective}  # alpha has no effect without a policy
    assert baseline.train.model_copy(update=same) == ours.train


def test_only_the_axis_differs_between_cohorts() -> None:
    adni, oasis, ppmi = (load_run_config(name) for name in ("adni", "oasis", "ppmi"))
    assert adni == oasis
    assert ppmi.prepare.axis == "axial"
    assert ppmi.model_copy(update={"prepare": adni.prepare}) == adni


def test_every_cohort_names_a_configuration_that_ships() -> None:
    shipped = list_resources("configs")
    for name in list_resources("cohorts"):
        spec = load_cohort_spec(name)
        assert spec.config in shipped
        assert name.startswith(spec.config) or spec.config in ("demo", "mri")
