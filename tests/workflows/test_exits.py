"""Where a model's cases may stop: costs and focus frames by hand from the measured parts."""

from typing import Any

import pytest
from inference import exit_models
from inference.exit_models import FRAMEWISE

from neurofocus.model.cost import measure_cost
from neurofocus.model.uni_adafocus import UniAdaFocus
from neurofocus.schema.model import ModelConfig
from neurofocus.workflows.exits import focus_frames_of, ladder_of

SHIFTED = {"name": "resnet18", "width": 0.25, "temporal_shift": True}
CLIPS = exit_models.CLIPS | {"global_encoder": SHIFTED, "local_encoder": SHIFTED}


@pytest.mark.parametrize(
    ("values", "every", "steps", "frames"),
    [
        (FRAMEWISE, 2, (3, 5, 7, 8), (0, 2, 4, 5)),
        (FRAMEWISE, 4, (3, 7, 8), (0, 4, 5)),
        (FRAMEWISE | {"classifier": {"hidden": 16, "reuse_global": False}}, 2, (1, 3, 4), (2, 4, 5)),
        (CLIPS, 4, (0, 1), (0, 5)),
    ],
)
def test_steps_and_their_focus_frames(
    values: dict[str, Any], every: int, steps: tuple[int, ...], frames: tuple[int, ...]
) -> None:
    model = UniAdaFocus(ModelConfig.model_validate(values))
    ladder = ladder_of(model, every)
    assert ladder.steps == steps
    assert tuple(focus_frames_of(model, step) for step in steps) == frames
    cost = measure_cost(model.config)
    parts = {part.name: part for part in cost.parts}
    assert ladder.gflops[-1] == pytest.approx(cost.gflops)
    saved = frames[-1] - frames[-2]
    each = parts["local_encoder"].gflops_each + parts["classifier_focus"].gflops / frames[-1]
    if frames[-2]:
        assert ladder.gflops[-1] - ladder.gflops[-2] == pytest.approx(saved * each)
