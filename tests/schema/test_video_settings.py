"""The shipped configurations of video data sets hold the paper's numbers (section 5.1, appendices G and H.3)."""

import pytest

from neurofocus.schema.load import load_run_config

# Classes (appendix G), batch and weight decay (appendix H.3), alpha of the released recipes.
_SETTINGS = {
    "activitynet": (200, 32, 2e-4, 1.0),
    "fcvid": (239, 64, 1e-4, 1.0),
    "mini-kinetics": (200, 64, 1e-4, 0.75),
    "rlvs": (2, 32, 2e-4, 1.0),
}


@pytest.mark.parametrize("name", _SETTINGS)
def test_the_setting_of_the_paper(name: str) -> None:
    config = load_run_config(name)
    model, train = config.model, config.train
    classes, batch, decay, alpha = _SETTINGS[name]
    assert (model.num_frames, model.num_glance_frames, model.num_focus_frames) == (48, 16, 16)
    assert (model.num_classes, model.frame_size, model.patch_size, model.frame_channels) == (
        classes,
        224,
        128,
        3,
    )
    assert (model.global_encoder.name, model.local_encoder.name) == ("mobilenet_v2", "resnet50")
    assert (train.optimizer, train.momentum, train.epochs, train.warmup_epochs) == ("sgd", 0.9, 50, 0)
    assert (train.batch_size, train.weight_decay, train.objective.size_weight) == (batch, decay, alpha)
    assert (train.class_balanced, train.objective.label_smoothing, train.amp) == (False, 0.0, "off")


@pytest.mark.parametrize("name", _SETTINGS)
def test_learning_rates_scale_with_the_batch(name: str) -> None:
    train = load_run_config(name).train
    rates = train.learning_rates
    found = (rates.global_encoder, rates.local_encoder, rates.classifier, rates.policy)
    expected = [train.batch_size / 32 * rate for rate in (0.001, 0.002, 0.04, 0.0004)]
    assert found == pytest.approx(expected, rel=1e-12)
