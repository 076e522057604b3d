from typing import Any

import pytest
from pydantic import ValidationError

from neurofocus.schema.video_run import VideoConfig


def test_defaults_are_the_papers() -> None:
    """Appendix G and the released code: ActivityNet's streams and augmentation, one crop."""
    config = VideoConfig()
    assert (config.scales, config.max_distort, config.flip) == ((1.0, 0.875, 0.75, 0.66), 1, "horizontal")
    assert (config.test_crops, config.normalisation, config.antialias) == (1, "imagenet", True)


def test_a_configuration_survives_json() -> None:
    config = VideoConfig(flip="labelmap", flip_labels=((86, 87), (93, 94)), short_side=360)
    assert VideoConfig.model_validate_json(config.model_dump_json()) == config
    assert VideoConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scales": [1.0, 1.5]}, r"scales \[1.5\] lie outside 0..1"),
        ({"scales": [0.0]}, r"scales \[0.0\] lie outside"),
        ({"scales": []}, "at least 1 item"),
        ({"max_distort": -1}, "greater than or equal to 0"),
        ({"flip": "vertical"}, "'none', 'horizontal' or 'labelmap'"),
        ({"flip": "labelmap"}, "flip labelmap with 0 flip_labels"),
        ({"flip_labels": [[1, 2]]}, "flip horizontal with 1 flip_labels"),
        ({"flip": "labelmap", "flip_labels": [[1, 2], [2, 3]]}, "each class once"),
        ({"flip": "labelmap", "flip_labels": [[-1, 2]]}, "class numbers from 0"),
        ({"test_crops": 2}, "1 or 3"),
        ({"short_side": 8}, "greater than or equal to 16"),
        ({"normalise": "imagenet"}, "Extra inputs are not permitted"),
    ],
)
def test_what_is_not_acceptable(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        VideoConfig.model_validate(changes)
