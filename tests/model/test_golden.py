"""The released architecture's recorded outputs, reproduced through the checkpoint converter."""

from typing import Any

import numpy as np
import pytest
import torch
from model.golden_arrays import recorded_arrays, recorded_frames, recorded_state, relative_error

from neurofocus.model.checkpoints import load_released
from neurofocus.model.outputs import UniAdaFocusOutput
from neurofocus.schema.load import load_run_config

_CHANNELS = 64  # of the pooled features that were recorded


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> UniAdaFocusOutput:
    state = recorded_state("activitynet_mn2_r50", "module.")
    path = tmp_path_factory.mktemp("golden") / "actnet_p96.pth.tar"
    torch.save({"epoch": 49, "state_dict": state, "best_acc1": np.float64(80.7)}, path)
    del state
    model = load_released(path, load_run_config("activitynet", ["model.patch_size=96"]).model)
    path.unlink()
    with torch.no_grad():
        result: UniAdaFocusOutput = model(recorded_frames(48, 7))
    return result


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return recorded_arrays("activitynet_mn2_r50_p96")


def test_actions_and_frame_weights(output: UniAdaFocusOutput, golden: dict[str, torch.Tensor]) -> None:
    assert relative_error(output.decision.actions, golden["actions"]) <= 1e-4
    assert relative_error(output.frame_weights, golden["frame_weights"]) <= 1e-4
    assert golden["actions"].std() > 0.05  # the recorded policy decides something


def test_frame_indices_are_the_same(output: UniAdaFocusOutput, golden: dict[str, torch.Tensor]) -> None:
    assert torch.equal(output.frame_indices, golden["frame_indices"])


def test_pooled_features(output: UniAdaFocusOutput, golden: dict[str, torch.Tensor]) -> None:
    seen = output.glance.global_features[..., :_CHANNELS]
    assert relative_error(seen, golden["global_features"]) <= 1e-4
    seen = output.focus.local_features[..., :_CHANNELS]
    assert relative_error(seen, golden["local_features"]) <= 1e-4


def test_logits_of_every_step(output: UniAdaFocusOutput, golden: dict[str, torch.Tensor]) -> None:
    assert relative_error(output.logits, golden["logits"]) <= 1e-4
    assert torch.equal(output.logits[:, -1].argmax(-1), golden["logits"][:, -1].argmax(-1))
