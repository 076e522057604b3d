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
