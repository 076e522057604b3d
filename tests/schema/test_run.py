from typing import Any

import pytest
from pydantic import ValidationError

from neurofocus.schema.run import RunConfig


def test_a_configuration_survives_json() -> None:
    config = RunConfig.model_validate({"cohort": "demo", "prepare": {"range_mm": [-20, 30]}, "seed": 7})
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config


def test_keys_that_scripts_rely_on() -> None:
    config = RunConfig()
    for group, keys in {
        "model": ("num_frames", "num_glance_frames", "num_focus_frames", "patch_size"),
        "train": ("epochs",),
        "data": ("folds",),
    }.items():
        assert all(hasattr(getattr(config, group), key) for key in keys)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prepare": {"range_mm": [40, -70]}}, "must be increasing"),
        ({"video": {"short_side": 200}}, "short_side 200 is less than model.frame_size 224"),
        ({"video": {"flip": "labelmap", "flip_labels": [[0, 2]]}}, "names class 2; model.num_classes is 2"),
        ({"prepare": {"range_mm": [1, 1]}}, "must be increasing"),
        ({"prepare": {"clip_percentiles": [99, 1]}}, "increasing within 0..100"),
        ({"prepare": {"clip_percentiles": [-1, 50]}}, "increasing within 0..100"),
        ({"prepare": {"pixel_mm": 0}}, "greater than 0"),
        ({"data": {"folds": 1}}, "greater than or equal to 2"),
        ({"data": {"validation_fraction": 1.0}}, "less than 1"),
        ({"data": {"scheme": "leave_one_out"}}, "'kfold' or 'leave_site_out'"),
        ({"data": {"min_site_people": 0}}, "greater than or equal to 1"),
        ({"data": {"scheme": "leave_site_out", "splits": "x"}}, "both decide the folds"),
        ({"train": {"batch_size": 1}}, "greater than or equal to 2"),
        ({"train": {"epochs": 0}}, "greater than or equal to 1"),
        ({"train": {"amp": True}}, "'off', 'bf16' or 'fp16'"),
        ({"train": {"ema_decay": 1.0}}, "less than 1"),
        ({"train": {"objective": {"label_smoothing": 1.0}}}, "less than 1"),
        ({"train": {"weight_decay": float("inf")}}, "finite"),
        ({"threads": 0}, "greater than or equal to 1"),
        ({"seed": 2**32}, "less than 4294967296"),
        ({"bundle": {"weights": "int8"}}, "'float32' or 'float16'"),
        ({"train": {"epoch": 3}}, "Extra inputs are not permitted"),
    ],
)
def test_what_is_not_acceptable(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RunConfig.model_validate(changes)


def test_the_largest_seed_suits_every_library() -> None:
    from sklearn.utils import check_random_state

    check_random_state(RunConfig(seed=2**32 - 1).seed)


def test_bundles_of_older_versions_have_no_exits() -> None:
    from neurofocus.schema.bundle import FoldEntry

    old = {"file": "fold-1.safetensors", "sha256": "0" * 64, "threshold": 0.5}
    assert FoldEntry.model_validate(old).exits is None
